"""`maskspot predict` as a whole: inputs of all kinds, forms of output, a kill and a resume."""

import csv
import io
import json
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskspot import Predictor

Run = Callable[..., Any]
NAMES = [f"{letter}.jpg" for letter in "abcdef"]


@pytest.fixture
def expected(pictures: Path, predictor: Predictor) -> dict[str, float]:
    scores = {name: predictor.predict(pictures / name).probability for name in NAMES}
    return {name: each for name, each in scores.items() if each is not None}


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_details_tell_what_is_known_of_each_image(
    cli: Run, pictures: Path, expected: dict[str, float], predictor: Predictor
) -> None:
    (pictures / "b.jpg").write_bytes(b"no image")
    result = cli("predict", pictures, "--details")
    rows = {row["source"]: row for row in table(result.out)}
    assert (result.code, list(rows)) == (1, NAMES)
    good, bad = rows["a.jpg"], rows["b.jpg"]
    assert float(good["probability"]) == expected["a.jpg"]
    assert (good["status"], good["error"], good["format"]) == ("ok", "", "JPEG")
    assert min(int(good["width"]), int(good["height"]), float(good["milliseconds"])) > 0
    assert {row["model"] for row in rows.values()} == {predictor.id}
    assert (bad["probability"], bad["status"]) == ("", "unreadable")
    assert bad["error"].startswith("not an image")


def test_the_endings_say_the_format_and_an_option_overrules_them(
    cli: Run, pictures: Path, tmp_path: Path, expected: dict[str, float]
) -> None:
    for name, more in (("out.jsonl", []), ("out.dat", ["--format", "jsonl"])):
        assert cli("predict", pictures, "-o", tmp_path / name, *more).code == 0
        lines = (tmp_path / name).read_text().splitlines()
        found = {each["source"]: each["probability"] for each in map(json.loads, lines)}
        assert found == expected
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs maskspot[parquet]")
    assert cli("predict", pictures, "-o", tmp_path / "out.parquet", "--details").code == 0
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert {row["source"]: row["probability"] for row in rows} == expected


def test_a_threshold_adds_labels_and_says_how_many(
    cli: Run, pictures: Path, expected: dict[str, float]
) -> None:
    result = cli("predict", pictures, "--threshold", "0.5")
    labels = {row["image"]: row["label"] for row in table(result.out)}
    assert labels == {name: str(int(p >= 0.5)) for name, p in expected.items()}
    above = sum(p >= 0.5 for p in expected.values())
    assert f": {above} mask{'s' * (above != 1)} at 0.5 or above\n" in result.err


def test_sorting_puts_the_most_probable_first_and_top_cuts(
    cli: Run, pictures: Path, expected: dict[str, float]
) -> None:
    order = sorted(expected, key=lambda name: -expected[name])
    assert [row["image"] for row in table(cli("predict", pictures, "--sort").out)] == order
    assert [row["image"] for row in table(cli("predict", pictures, "--top", "2").out)] == order[:2]


def test_top_counts_masks_and_failures_below_it(
    cli: Run, pictures: Path, expected: dict[str, float]
) -> None:
    (pictures / "b.jpg").write_bytes(b"no image")
    result = cli("predict", pictures, "--top", "2")
    assert (result.code, len(table(result.out))) == (1, 2)
    assert result.err.startswith("b.jpg: not an image")
    assert "5 images scored in " in result.err
    above = sum(p >= 0.5 for name, p in expected.items() if name != "b.jpg")
    assert f": {above} mask{'s' * (above != 1)}; 1 failed\n" in result.err


def test_a_submission_can_fill_what_is_missing(
    cli: Run, pictures: Path, tmp_path: Path, expected: dict[str, float]
) -> None:
    (tmp_path / "s.csv").write_text("image,target\nb.jpg,0\nnone.jpg,0\na.jpg,0\n")
    words = ("predict", pictures, "--sample", tmp_path / "s.csv")
    assert (cli(*words).code, cli(*words).out) == (3, "")
    result = cli(*words, "--on-error", "fill=0.25")
    assert result.code == 1
    assert "none.jpg: not among the images" in result.err
    found = {row["image"]: float(row["target"]) for row in table(result.out)}
    assert found == {"b.jpg": expected["b.jpg"], "none.jpg": 0.25, "a.jpg": expected["a.jpg"]}


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="POSIX")
def test_a_stream_by_its_number_is_added_to(pictures: Path, tmp_path: Path) -> None:
    line = f"{sys.executable} -m maskspot predict -q {pictures / 'a.jpg'} -o /dev/fd/1"
    with (tmp_path / "all").open("wb") as file:
        subprocess.run(f"echo one; {line}; echo two", shell=True, check=True, stdout=file)
    first, header, row, last = (tmp_path / "all").read_text().splitlines()
    assert (first, header, last) == ("one", "image,target", "two")
    assert row.startswith(f"{pictures}/a.jpg,")


def test_images_before_a_mistake_are_scored(cli: Run, pictures: Path) -> None:
    result = cli("predict", pictures / "a.jpg", pictures / "b.jpg", pictures / "no*.jpg")
    assert result.code == 3
    assert len(table(result.out)) == 2


def test_folders_archives_patterns_and_lists_give_the_same_scores(
    cli: Run,
    pictures: Path,
    tmp_path: Path,
    expected: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in NAMES:
            archive.write(pictures / name, name)
    monkeypatch.chdir(pictures)
    Path("list.txt").write_text("\n".join(NAMES))
    for words in (["."], [tmp_path / "all.zip"], ["*.jpg"], NAMES, ["--from", "list.txt"]):
        result = cli("predict", *words)
        assert {row["image"]: float(row["target"]) for row in table(result.out)} == expected
    result = cli("predict", NAMES[0], tmp_path / "all.zip")
    assert [row["image"] for row in table(result.out)][1] == f"{tmp_path}/all.zip/a.jpg"


def test_standard_input_holds_an_image_or_a_list(
    cli: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, float]
) -> None:
    monkeypatch.chdir(pictures)
    for words, content in (
        (["-"], (pictures / "a.jpg").read_bytes()),
        (["--from", "-"], b"a.jpg\n"),
        (["--from", "-"], b"a.jpg\0"),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        (row,) = table(cli("predict", *words).out)
        assert float(row["target"]) == expected["a.jpg"]


def test_a_cache_is_asked_before_the_network(
    cli: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", pictures, "--cache", tmp_path / "scores.db")
    first = cli(*words)
    assert first.code == 0

    def fail(self: Predictor, pixels: list[Any], heatmap: bool) -> tuple[list[Any], list[Any]]:
        assert not pixels
        return [], []

    monkeypatch.setattr(Predictor, "_run", fail)
    assert cli(*words).out == first.out
    for other in (["--draft"], ["--max-pixels", "1000000"]):
        with pytest.raises(AssertionError):
            cli(*words, *other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.jpg", "--from", "list.txt"], "--from: name either images or a list of them"),
        (["a.jpg", "--cache", "x", "-o", "x"], "--cache: x is the file of --output"),
        (["a.jpg", "-o", "x.json"], "--output: x.json: the ending .json is not .csv"),
        (
            ["a.jpg", "b.jpg", "--format", "csv", "-o", "b.jpg", "-m", "looked for only later"],
            "--output: b.jpg is one of the inputs",
        ),
        (["a.jpg", "--sample", "s.csv", "--details"], "--details: a submission is a CSV"),
        (["a.jpg", "--column", "x"], "--column: needs the list that it is a column of: --from"),
        (["a.jpg", "--resume"], "--resume: standard output cannot be resumed"),
        (["a.jpg", "--format", "xml"], "--format: must be csv, jsonl or parquet, not 'xml'"),
        (["a.jpg", "--threshold", "2"], "--threshold: must be from 0 to 1, not 2.0"),
        (["a.jpg", "--top", "0"], "--top"),
        (["a.jpg", "--top", "1", "--sample", "s.csv"], "--top: a submission has"),
        (["a.jpg", "--device", "openvino"], "pip install onnxruntime-openvino"),
        (["a.jpg", "--device", "gpu"], "--device: must be one of auto, cpu"),
    ],
)
def test_every_mistake_is_one_line(
    cli: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(pictures)
    Path("s.csv").write_text("image,target\na.jpg,0\n")
    result = cli("predict", "-q", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert len(result.err.splitlines()) == 1


def test_an_output_of_a_dash_is_standard_output(cli: Run, pictures: Path) -> None:
    expected = cli("predict", pictures).out
    for name in ("-", "/dev/stdout"):
        assert cli("predict", pictures, "-o", name).out == expected


def test_ctrl_c_is_130_whatever_a_library_makes_of_it(
    cli: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("numpy failed") from error

    monkeypatch.setattr("maskspot.model.predictor.Predictor.__init__", fail)
    result = cli("predict", pictures)
    assert (result.code, result.err) == (130, "interrupted\n")


def test_rows_go_out_as_they_come_where_nothing_waits_for_all(
    pictures: Path, tmp_path: Path
) -> None:
    """The list does not end before its first image's row is read."""
    command = [sys.executable, "-m", "maskspot", "predict", "-q", "--threads", "1", "--from", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=pictures
    ) as running:
        assert running.stdin
        assert running.stdout
        running.stdin.write(b"a.jpg\n" * 20)
        running.stdin.flush()
        assert running.stdout.readline() == b"image,target\n"
        assert running.stdout.readline().startswith(b"a.jpg,")
        running.stdin.close()
        assert len(running.stdout.readlines()) == 19


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill")
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_killed_run_goes_on_and_ends_as_if_it_never_had_been(
    pictures: Path, tmp_path: Path, ending: str
) -> None:
    for at in range(600):
        (pictures / f"{at}.jpg").hardlink_to(pictures / NAMES[at % 6])
    (pictures / "7.jpg").unlink()
    (pictures / "7.jpg").write_bytes(b"no image")
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "maskspot", "predict", "-q", "-m", "fast", str(pictures), "-o"]
    whole, resumed = tmp_path / f"whole.{ending}", tmp_path / "out" / f"resumed.{ending}"
    subprocess.run([*command, whole], check=False, stderr=subprocess.DEVNULL)
    journal = resumed.with_name(f".resumed.{ending}.journal")
    rng = random.Random(4)
    sizes = []
    for _ in range(4):
        running = subprocess.Popen([*command, resumed, "--resume"], stderr=subprocess.DEVNULL)
        aim = (sizes[-1] if sizes else 0) + rng.randint(500, 8000)
        while running.poll() is None and not (journal.exists() and journal.stat().st_size > aim):
            time.sleep(0.005)
        running.kill()
        running.wait()
        assert not resumed.exists()
        sizes.append(journal.stat().st_size)
    assert sizes == sorted(sizes)
    done = subprocess.run([*command, resumed, "--resume"], check=False, stderr=subprocess.DEVNULL)
    assert done.returncode == 1
    assert resumed.read_bytes() == whole.read_bytes()
    assert [path.name for path in resumed.parent.iterdir()] == [resumed.name]
