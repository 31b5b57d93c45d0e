"""A model or a file of predictions is evaluated: `evaluate_model`, and `maskspot evaluate`."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import Image

from maskspot.errors import UsageError
from maskspot.evaluation.evaluate_model import evaluate_model
from maskspot.evaluation.question import Question
from maskspot.evaluation.sources import LabelFiles, PredictionSource
from maskspot.inputs.items import find_items
from maskspot.model.score import Score

Cli = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "evaluating.md"
QUICK = Question(resamples=20)


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n")
    return file


def table(file: str, cells: str) -> Path:
    """Write a CSV of six images: cells in order, with nothing between two spaces."""
    rows = (f"{name}.jpg,{cell}" for name, cell in zip("abcdef", cells.split(" "), strict=True))
    return write(Path(file), "image,target", *rows)


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six labels in the current folder, and `sub.csv`, which errs on c.jpg."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    table("sub.csv", "0.1 0.9 0.2 0.8 0.3 0.6")
    table("other.csv", "0.2 0.8 0.7 0.4 0.6 0.4")
    return write(
        Path("labels.csv"), "image,target", *(f"{name},{int(name in 'bcd')}" for name in "abcdef")
    )


def test_predictions_of_a_file_are_evaluated(labels: Path) -> None:
    source = PredictionSource(Path("sub.csv"), against=Path("other.csv"))
    found = evaluate_model(LabelFiles(labels), None, source, QUICK)
    assert (found.of, found.model, found.question) == ("sub.csv", None, QUICK)
    assert found.quality.accuracy.value == pytest.approx(4 / 6)
    assert found.targets == dict(zip("abcdef", (0, 1, 1, 1, 0, 0), strict=True))
    assert found.probabilities == dict(zip("abcdef", (0.1, 0.9, 0.2, 0.8, 0.3, 0.6), strict=True))
    assert found.failures == {}
    assert found.comparison is not None


def test_a_model_scores_images_and_a_watcher_sees_those_that_are_evaluated(
    labels: Path, pictures: Path
) -> None:
    (pictures / "f.jpg").write_bytes(b"")
    seen: list[tuple[tuple[int, int], Score, int]] = []

    def watch(image: Image, score: Score, target: int) -> None:
        seen.append((image.size, score, target))

    source = PredictionSource(model="fast")
    found = evaluate_model(
        LabelFiles(labels), find_items([str(pictures)]), source, QUICK, watch=watch
    )
    assert found.of.startswith("fast-")
    assert found.model == "fast"
    assert found.failures == {"f": "empty file"}
    assert {score.source: target for _, score, target in seen} == found.targets
    assert {score.source: score.probability for _, score, _ in seen} == found.probabilities
    assert all(score.heatmap is not None for _, score, _ in seen)


def test_a_watcher_sees_the_images_of_predictions_without_a_heatmap(
    labels: Path, pictures: Path
) -> None:
    seen: list[Score] = []
    evaluate_model(
        LabelFiles(labels),
        find_items([str(pictures)]),
        PredictionSource(Path("sub.csv")),
        QUICK,
        watch=lambda image, score, target: seen.append(score),
    )
    assert sorted(score.source for score in seen) == list("abcdef")
    assert {score.source: score.probability for score in seen}["c"] == 0.2
    assert all(score.width and score.format == "JPEG" and score.heatmap is None for score in seen)


@pytest.mark.parametrize(
    ("values", "argument"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"cost": "1:0"}, "cost"),
        ({"resamples": -1}, "resamples"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_question_names_the_number_that_is_out_of_bounds(
    values: dict[str, Any], argument: str
) -> None:
    with pytest.raises(UsageError) as error:
        Question(**values)
    assert error.value.argument == argument


def test_the_table_says_all_in_80_columns(cli: Cli, labels: Path) -> None:
    write(Path("about.csv"), "image,kind", *(f"{name},[red]k\x1b[2J" for name in "abcdef"))
    more = ("--slices", "about.csv", "--by", "kind", "--against", "other.csv", "--cost", "1:5")
    result = cli("evaluate", labels, "-p", "sub.csv", *more)
    assert (result.code, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    assert "Predictions in sub.csv" in result.out
    for text in ("6 images, 3 of them with a mask", "log loss", "calibration error", "FP:FN = 1:5"):
        assert text in result.out
    assert "DeLong" in result.out
    assert "McNemar" in result.out
    assert "[red]k\\x1b[2J" in result.out
    assert re.search(r"accuracy +0\.6667 ", result.out)


def test_json_is_the_report(cli: Cli, labels: Path) -> None:
    result = cli("evaluate", labels, "-p", "sub.csv", "--against", "other.csv", "--json")
    found = json.loads(result.out)
    assert found["of"] == "sub.csv"
    assert found["quality"]["accuracy"]["value"] == pytest.approx(4 / 6)
    assert found["quality"]["confusion"]["false_negatives"] == 1
    assert found["comparison"]["accuracy_p"] == 1
    assert found["comparison"]["against"]["accuracy"]["value"] == pytest.approx(4 / 6)


def test_the_worst_images_are_those_farthest_from_their_label(cli: Cli, labels: Path) -> None:
    write(labels, "image,target", "a,0", "b,0", "c,1", "d,1")
    write(Path("sub.csv"), "image,target", "a,0.2", "b,0.9", "c,0.4", "d,0.9")
    text = cli("evaluate", labels, "-p", "sub.csv", "--worst", 2).out
    rows = text.partition("farthest from their label")[2].split()
    assert rows[-6:] == ["b", "0", "0.9000", "c", "1", "0.4000"]
    found = json.loads(cli("evaluate", labels, "-p", "sub.csv", "--worst", 1, "--json").out)
    assert found["worst"] == [{"image": "b", "target": 0, "probability": 0.9}]
    assert "farthest" not in cli("evaluate", labels, "-p", "sub.csv").out
    assert cli("evaluate", labels, "-p", "sub.csv", "--worst", -1).code == 2


def test_the_table_says_which_model_was_judged(cli: Cli, labels: Path, pictures: Path) -> None:
    text = cli("evaluate", labels, pictures, "-m", "fast", "--resamples", 20).out
    assert re.search(r"\nModel 'fast' \(fast-\w+\)\n", text)


def test_json_says_what_is_infinite_or_undefined(cli: Cli, labels: Path) -> None:
    write(labels, "image,target", "a,0", "b,0")
    write(Path("sub.csv"), "image,target", "a,1", "b,0.5")
    found = json.loads(cli("evaluate", labels, "-p", "sub.csv", "--json").out)["quality"]
    assert found["log_loss"]["value"] == "inf"
    assert found["auc"]["value"] is None
    assert "log loss is infinite" in cli("evaluate", labels, "-p", "sub.csv").out


def test_images_without_a_probability_are_named_and_left_out(cli: Cli, labels: Path) -> None:
    table("sub.csv", "0.1 0.9  0.8 0.3 0.6")
    table("other.csv", " 0.9 0.1 0.8 0.3 0.6")
    result = cli("evaluate", labels, "-p", "sub.csv", "--against", "other.csv", "--json")
    assert result.code == 1
    assert result.err.splitlines() == [
        "a: left out: other.csv has no probability for it",
        "c: left out: sub.csv has no probability for it",
    ]
    found = json.loads(result.out)
    assert (found["left_out"], found["quality"]["images"]) == (2, 4)


def test_no_probability_at_all_is_an_error(cli: Cli, labels: Path) -> None:
    table("sub.csv", " " * 5)
    result = cli("evaluate", labels, "-p", "sub.csv")
    assert result.code == 3
    assert "sub.csv: no labelled image has a probability" in result.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "name images to score, or"),
        (["x.jpg", "-p", "sub.csv"], "name images to score, or"),
        (["-p", "sub.csv", "-m", "fast"], "--model"),
        (["-p", "sub.csv", "--by", "kind"], "--slices and --by"),
        (["-p", "sub.csv", "--cost", "1:0"], "--cost: '1:0'"),
        (["-p", "sub.csv", "--cost", "5"], "--cost: '5'"),
        (["-p", "sub.csv", "--threshold", "1.5"], "--threshold"),
    ],
)
def test_wrong_usage_names_the_option(
    words: list[str], expected: str, cli: Cli, labels: Path
) -> None:
    result = cli("evaluate", labels, *words)
    assert (result.code, result.out) == (2, "")
    assert expected in result.err
    assert len(result.err.splitlines()) == 1


def test_files_that_are_not_there_are_named(cli: Cli, labels: Path) -> None:
    for words in ([labels, "-p", "no.csv"], ["no.csv", "-p", "sub.csv"]):
        result = cli("evaluate", *words)
        assert (result.code, result.err) == (3, "error: no.csv: No such file or directory\n")


def test_a_model_is_judged_by_its_images(cli: Cli, labels: Path, pictures: Path) -> None:
    (pictures / "f.jpg").write_bytes(b"")
    assert cli("predict", pictures, "-m", "fast", "-o", "sub.csv", "-q").code == 1
    words = ("evaluate", labels, "--resamples", 20, "--json")
    of_images = cli(*words, pictures, "-m", "fast")
    of_file = cli(*words, "-p", "sub.csv")
    assert of_images.code == of_file.code == 1
    assert of_images.err == "f: left out: empty file\n"
    one, other = json.loads(of_images.out), json.loads(of_file.out)
    assert one.pop("of").startswith("fast-")
    assert other.pop("of") == "sub.csv"
    assert one == other
    (pictures / "a.jpg").unlink()
    assert cli(*words, pictures, "-m", "fast").code == 3


def test_the_documents_examples_run(cli: Cli, labels: Path, pictures: Path) -> None:
    shutil.copytree(pictures, "photos/images")
    shutil.copy(labels, "photos/test_labels.csv")
    shutil.copy(labels, "photos/sample_sub_v2.csv")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).splitlines()
    assert len(lines) >= 5
    for line in lines:
        result = cli(*shlex.split(line)[1:])
        assert result.code == 0, (line, result.err)
