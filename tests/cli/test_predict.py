"""Predictor, scoring, inputs and outputs, and the command over them."""

import csv
import io
import random
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maskspot
from maskspot import Predictor
from maskspot.errors import ModelFileError
from maskspot.images import read_image
from maskspot.inputs.items import Item, find_images
from maskspot.model.shipped import find_model
from maskspot.scoring.pipeline import score

Run = Callable[..., object]


def rows(text: str) -> dict[str, str]:
    return {row["image"]: row["target"] for row in csv.DictReader(io.StringIO(text))}


def test_a_probability_is_the_same_whatever_kind_of_source(
    pictures: Path, predictor: Predictor
) -> None:
    path = pictures / "a.jpg"
    expected = predictor.predict(path).probability
    assert expected is not None
    assert 0 <= expected <= 1
    with path.open("rb") as file, Image.open(path) as image:
        sources = [str(path), path.read_bytes(), file, image.copy(), read_image(path)]
        assert [predictor.predict(source).probability for source in sources] == [expected] * 5


def test_a_bad_image_is_a_score_with_its_reason(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    bad = predictor.predict(tmp_path / "bad.jpg")
    assert bad.source == str(tmp_path / "bad.jpg")
    assert bad.probability is None
    assert "not an image" in str(bad.error)


def test_load_takes_the_default_a_name_or_a_file() -> None:
    models = (None, "fast", find_model("fast"))
    names = [maskspot.load(model).info.name for model in models]
    assert names == ["default", "fast", "fast"]


def test_the_memory_of_an_image_is_used_for_later_ones(
    predictor: Predictor, pictures: Path
) -> None:
    items = [Item(path.name, lambda path=path: path) for path in sorted(pictures.iterdir())]
    kept = Image.core.get_blocks_max()
    try:
        for mine, blocks in ((0, 3), (7, 7)):  # one's own setting is left alone
            Image.core.set_blocks_max(mine)
            Image.core.reset_stats()
            list(score(predictor, items, threads=2))
            assert Image.core.get_blocks_max() == blocks
            assert Image.core.get_stats()["reused_blocks"] >= len(items)
    finally:
        Image.core.set_blocks_max(kept)


def test_scores_do_not_depend_on_batch_size_threads_or_order(
    demo_data: Path, predictor: Predictor
) -> None:
    paths = sorted((demo_data / "images").iterdir())[:40]
    items = [Item(path.name, lambda path=path: path) for path in paths]
    expected = {one.source: one.probability for one in score(predictor, items, threads=1)}
    assert len(set(expected.values())) > 30
    shuffled = random.Random(0).sample(items, len(items))
    for threads, batch_size in ((2, 1), (3, 7), (8, 2)):
        other = Predictor(batch_size=batch_size)
        scores = list(score(other, shuffled, threads=threads))
        assert [one.source for one in scores] == [item.name for item in shuffled]
        assert {one.source: one.probability for one in scores} == expected
    pixels = np.stack([predictor.info.preprocessing.read(path) for path in paths])
    together = predictor.probabilities(pixels)
    assert together.dtype == np.float64
    assert [float(p) for p in together] == list(expected.values())
    assert predictor.probabilities(pixels[:0]).shape == (0,)


def test_items_are_drawn_only_as_they_are_needed(predictor: Predictor) -> None:
    drawn = 0

    def endless() -> Iterator[Item]:
        nonlocal drawn
        while True:
            drawn += 1
            yield Item(str(drawn), lambda: b"")

    scores = score(predictor, endless(), threads=2)
    assert [next(scores).source for _ in range(5)] == ["1", "2", "3", "4", "5"]
    assert drawn < 20
    scores.close()  # type: ignore[attr-defined]
    assert not [each for each in threading.enumerate() if each.name.startswith("maskspot")]


def test_a_folder_gives_its_images_by_relative_path_sorted(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.PNG", "a.webp", ".hidden.jpg", ".git/x.jpg", "notes.txt", "ü é.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert list(find_images([tmp_path])) == ["a.webp", "a/z.PNG", "b.jpg", "ü é.tif"]


def test_several_arguments_are_named_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one/a.jpg", "two/a.jpg", "x.dat"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert list(find_images([Path("x.dat"), Path("two"), Path("one"), Path("one/a.jpg")])) == [
        "one/a.jpg",
        "two/a.jpg",
        "x.dat",
    ]


def test_predict_writes_a_csv_sorted_by_name_with_every_digit(
    cli: Run, pictures: Path, tmp_path: Path, predictor: Predictor
) -> None:
    result = cli("predict", pictures, "-o", tmp_path / "sub.csv")
    assert (result.code, result.out) == (0, "")
    text = (tmp_path / "sub.csv").read_bytes().decode()
    assert text.splitlines()[0] == "image,target"
    assert list(rows(text)) == [f"{name}.jpg" for name in "abcdef"]
    for name, value in rows(text).items():
        assert float(value) == predictor.predict(pictures / name).probability


def test_without_an_output_the_csv_and_nothing_else_is_on_stdout(cli: Run, pictures: Path) -> None:
    result = cli("predict", pictures / "a.jpg", pictures / "b.jpg")
    assert list(rows(result.out)) == [str(pictures / "a.jpg"), str(pictures / "b.jpg")]
    assert re.fullmatch(
        r"2 images scored in \d+\.\d s with model 'default' on cpu: [012] masks?\n", result.err
    )
    assert cli("predict", "-q", pictures).err == ""


def test_one_bad_image_does_not_stop_the_rest(cli: Run, pictures: Path, tmp_path: Path) -> None:
    (pictures / "c.jpg").write_bytes((pictures / "c.jpg").read_bytes()[:600])
    output = tmp_path / "sub.csv"
    result = cli("predict", pictures, "-o", output)
    assert result.code == 1
    assert "c.jpg: Truncated" in result.err
    assert [name for name, value in rows(output.read_text()).items() if not value] == ["c.jpg"]
    assert len(rows(output.read_text())) == 6


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("blank", ["", 6]), ("skip", [None, 5]), ("fill=0.25", ["0.25", 6])],
)
def test_a_bad_images_row_is_as_asked(
    cli: Run, pictures: Path, policy: str, expected: list[object]
) -> None:
    (pictures / "c.jpg").write_bytes(b"")
    result = cli("predict", pictures, "--on-error", policy)
    assert result.code == 1
    assert [rows(result.out).get("c.jpg"), len(rows(result.out))] == expected


def test_fail_writes_nothing(cli: Run, pictures: Path, tmp_path: Path) -> None:
    (pictures / "c.jpg").write_bytes(b"")
    result = cli("predict", pictures, "--on-error", "fail", "-o", tmp_path / "sub.csv")
    assert result.code == 1
    assert "nothing written: 1 of 6" in result.err
    assert cli("predict", pictures, "--on-error", "fail").out == ""
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", ".sub.csv.journal"}
    assert "with --resume to go on" in result.err
    words = ("-o", tmp_path / "sub.csv", "--resume", "--on-error", "fill=0.5")
    assert cli("predict", pictures, *words).code == 1
    assert rows((tmp_path / "sub.csv").read_text())["c.jpg"] == "0.5"
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "sub.csv"}


def sample(path: Path, names: list[str], header: str = "image,target", end: str = "\r\n") -> Path:
    path.write_bytes(end.join([header, *(f"{name},0" for name in names), ""]).encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_submission_has_the_samples_header_rows_and_order(
    cli: Run, pictures: Path, tmp_path: Path, end: str
) -> None:
    form = sample(tmp_path / "sample.csv", ["f.jpg", "b.jpg", "d.jpg"], "ID,label", end)
    result = cli("predict", pictures, "--sample", form, "-o", tmp_path / "sub.csv")
    assert result.code == 0
    lines = (tmp_path / "sub.csv").read_bytes().decode().split(end)
    assert [line.split(",")[0] for line in lines] == ["ID", "f.jpg", "b.jpg", "d.jpg", ""]
    assert lines[0] == "ID,label"
    assert all(0 < float(line.split(",")[1]) < 1 for line in lines[1:-1])


def test_a_sample_may_name_images_without_their_ending(
    cli: Run, pictures: Path, tmp_path: Path
) -> None:
    result = cli("predict", pictures, "--sample", sample(tmp_path / "s.csv", ["b", "a"]))
    assert list(rows(result.out)) == ["b", "a"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a.jpg", "x.jpg"], "sample.csv: 1 of the images it names are not there: x.jpg"),
        (["a.jpg", "a.jpg"], "a.jpg is named twice"),
    ],
)
def test_a_sample_that_cannot_be_met_fails_before_scoring(
    cli: Run, pictures: Path, tmp_path: Path, names: list[str], words: str
) -> None:
    form = sample(tmp_path / "sample.csv", names)
    result = cli("predict", pictures, "--sample", form, "-o", tmp_path / "sub.csv")
    assert result.code == 3
    assert words in result.err
    assert not (tmp_path / "sub.csv").exists()


def test_a_submission_with_a_bad_image_needs_a_fill(
    cli: Run, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "a.jpg").write_bytes(b"")
    form = sample(tmp_path / "sample.csv", ["b.jpg", "a.jpg"])
    result = cli("predict", pictures, "--sample", form, "-o", tmp_path / "sub.csv")
    assert (result.code, (tmp_path / "sub.csv").exists()) == (1, False)
    assert "a.jpg: empty file" in result.err
    assert cli("predict", pictures, "--sample", form, "--on-error", "skip").code == 2
    result = cli("predict", pictures, "--sample", form, "--on-error", "fill=0.5")
    assert (result.code, rows(result.out)["a.jpg"]) == (1, "0.5")


def test_what_is_read_is_never_written_over(cli: Run, pictures: Path, tmp_path: Path) -> None:
    form = sample(tmp_path / "sample.csv", ["a.jpg"])
    model = tmp_path / "mine.onnx"
    shutil.copyfile(find_model("fast"), model)
    files = (pictures / "a.jpg", pictures / "b.jpg", form, model)
    before = [file.read_bytes() for file in files]
    for output in (*files, pictures):
        result = cli("predict", pictures, "--sample", form, "-m", model, "-o", output)
        assert result.code == 2
        assert str(output) in result.err
    assert [file.read_bytes() for file in files] == before


def test_a_sample_without_a_header_is_refused(cli: Run, pictures: Path, tmp_path: Path) -> None:
    form = sample(tmp_path / "sample.csv", ["b.jpg"], "a.jpg,0")
    result = cli("predict", pictures, "--sample", form)
    assert (result.code, result.out) == (3, "")
    assert "sample.csv: its first line must be a header" in result.err


def test_a_model_that_gives_no_probabilities_is_refused(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong:
        def run(self, *_: object) -> list[np.ndarray]:
            return [np.array([[np.nan]], np.float32)]

    predictor = Predictor("fast")
    monkeypatch.setattr(predictor, "_session", Wrong())
    with pytest.raises(ModelFileError, match="an output of the model is not from 0 to 1"):
        predictor.predict(pictures / "a.jpg")
    monkeypatch.setattr(predictor, "_session", None)
    with pytest.raises(ModelFileError, match="the model fails"):
        predictor.predict(pictures / "a.jpg")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none"], 3, "none: No such file"),
        (["empty"], 3, "empty: no images in this folder"),
        (["a.jpg", "-m", "none.onnx"], 3, "none.onnx"),
        (["a.jpg", "-m", "a.jpg"], 3, "a.jpg: not a model file"),
        (["a.jpg", "--threads", "0"], 2, "--threads"),
        (["a.jpg", "--on-error", "fill=2"], 2, "--on-error"),
        (["a.jpg", "--on-error", "panic"], 2, "--on-error"),
        (["a.jpg", "--max-pixels", "10"], 1, "more than the limit of 10 pixels"),
        (["a.jpg", "--sample", "none.csv"], 3, "none.csv: No such file"),
        (["a.jpg", "-o", "none/sub.csv"], 3, "none"),
        (["a.jpg", "--thread", "1"], 2, "--thread"),
        (["a.jpg", "-m", ""], 3, "neither a model file nor a shipped"),
        (["a.jpg", "--on-error", ""], 2, "--on-error"),
        (["x" * 300], 3, "File name too long"),
        ([], 2, "name images, or a list of them with --from"),
    ],
)
def test_every_mistake_is_one_line_with_its_exit_code(
    cli: Run,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(pictures)
    Path("empty").mkdir()
    result = cli("predict", "-q", *arguments)
    assert result.code == code
    assert words in result.err
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err


def test_names_that_are_not_unicode_are_kept(cli: Run, pictures: Path, tmp_path: Path) -> None:
    name = b'caf\xe9, "x".jpg'.decode("utf-8", "surrogateescape")
    try:
        (pictures / "a.jpg").rename(pictures / name)
    except OSError:
        pytest.skip("this file system wants Unicode")
    output = tmp_path / "sub.csv"
    assert cli("predict", pictures, "-o", output).code == 0
    assert b'"caf\xe9, ""x"".jpg"' in output.read_bytes()


def test_names_with_line_breaks_stay_one_row_and_one_line(
    cli: Run, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "a.jpg").rename(pictures / "a\r1\n2\x1b[31m.jpg")
    (pictures / "b\r.jpg").write_bytes(b"")
    output = tmp_path / "sub.csv"
    result = cli("predict", pictures, "-o", output)
    assert result.err.startswith("b\\r.jpg: empty file\n")
    with output.open(newline="", encoding="utf-8") as stream:
        names = [row[0] for row in csv.reader(stream)]
    assert names[1:3] == ["a\r1\n2\x1b[31m.jpg", "b\r.jpg"]
    assert len(names) == 8


def test_the_summary_lists_all_that_was_written(cli: Run, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="needs maskspot[report]")
    output, maps, report = tmp_path / "o.csv", tmp_path / "maps", tmp_path / "r.html"
    words = ("-m", "fast", "-o", output, "--heatmaps", maps, "--report", report)
    result = cli("predict", pictures, *words)
    assert result.err.rstrip().endswith(f"written to {output}, {maps} and {report}")
