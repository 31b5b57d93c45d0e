"""How good are probabilities: the report, the files it reads, and `maskspot evaluate`."""

import json
import math
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskspot.errors import DataError, UsageError
from maskspot.evaluation.evaluate import Question, evaluate
from maskspot.evaluation.prediction_files import read_columns, read_predictions

Cli = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "evaluating.md"
QUICK = Question(resamples=50)

scored = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.99, 1.0])),
    min_size=1,
    max_size=12,
)


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


@settings(max_examples=60)
@given(scored, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_no_threshold_costs_less_than_the_best(
    rows: list[tuple[int, float]], cost: tuple[int, int]
) -> None:
    t, p = map(np.array, zip(*rows, strict=True))
    best = evaluate(t, p, question=Question(cost=cost, resamples=0)).quality.best

    def price(threshold: float) -> float:
        yes = p >= threshold
        return float((cost[0] * (yes & (t == 0)) + cost[1] * (~yes & (t == 1))).mean())

    assert best.cost.value == pytest.approx(price(best.threshold))
    assert best.cost.value == pytest.approx(min(map(price, [0, *p, 2])))


def test_of_thresholds_that_cost_as_little_the_best_is_nearest_to_the_costs_own() -> None:
    t, p = [0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9]
    assert evaluate(t, p, question=QUICK).quality.best.threshold == pytest.approx(0.45)
    never = evaluate([0, 0], [0.3, 1.0], question=QUICK).quality.best
    assert never.threshold > 1
    assert never.false_positives == 0
    assert math.isnan(never.precision.value)


def test_the_confusion_counts_and_its_rates() -> None:
    found = evaluate([1, 1, 1, 0, 0], [0.5, 0.9, 0.2, 0.6, 0.1], question=QUICK).quality.confusion
    assert (found.true_positives, found.false_positives) == (2, 1)
    assert (found.false_negatives, found.true_negatives) == (1, 1)
    assert found.precision.value == found.recall.value == pytest.approx(2 / 3)
    assert found.specificity.value == 0.5
    assert found.cost.value == pytest.approx(0.4)


def test_intervals_hold_their_values_and_come_of_the_seed() -> None:
    rng = np.random.default_rng(1)
    t = rng.integers(0, 2, 300)
    p = np.clip(0.3 * t + rng.uniform(0, 0.7, 300), 0, 1)
    once, again, other = (
        evaluate(t, p, question=Question(resamples=300, seed=seed)) for seed in (1, 1, 2)
    )
    assert once == again != other
    for name in ("log_loss", "accuracy", "auc", "average_precision", "brier", "best_threshold"):
        found = getattr(once.quality, name)
        assert found.low < found.value < found.high, name


def test_infinite_log_loss_is_said_and_survived() -> None:
    found = evaluate([1, 0, 1, 0], [0.0, 0.1, 0.9, 0.2], against=[0.0, 0.2, 0.8, 0.3]).quality
    assert found.log_loss.value == found.log_loss.high == math.inf
    assert found.log_loss.low < 1  # samples without that image
    assert found.log_loss_clipped < 10
    assert found.brier.high < 1


def test_a_model_is_no_better_than_itself() -> None:
    t, p = [0, 1, 1, 0, 1], [0.2, 0.7, 0.4, 0.1, 0.9]
    found = evaluate(t, p, against=p).comparison
    assert found is not None
    assert (found.auc_p, found.accuracy_p) == (1, 1)
    for each in (found.log_loss, found.accuracy, found.auc, found.brier):
        assert (each.value, each.low, each.high) == (0, 0, 0)


def test_paired_intervals_are_narrower_than_unpaired_ones() -> None:
    rng = np.random.default_rng(2)
    t = rng.integers(0, 2, 400)
    p = np.clip(0.3 * t + rng.uniform(0, 0.7, 400), 0.01, 0.99)
    report = evaluate(t, p, against=np.clip(p + 0.01, 0, 1), question=Question(resamples=200))
    assert report.comparison is not None
    paired, alone = report.comparison.brier, report.quality.brier
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_slices_are_the_metrics_of_their_images() -> None:
    t, p, kinds = [0, 1, 1, 0], [0.2, 0.7, 0.4, 0.1], ["10", "9", "9", "10"]
    found = evaluate(t, p, slices={"kind": kinds}, question=QUICK).slices
    assert [(each.column, each.value) for each in found] == [("kind", "9"), ("kind", "10")]
    alone = evaluate([1, 1], [0.7, 0.4], question=QUICK).quality
    assert repr(found[0].quality) == repr(alone)  # NaN is not equal to itself
    assert math.isnan(found[0].quality.auc.value)


@pytest.mark.parametrize(
    ("targets", "probabilities"), [([], []), ([2], [0.5]), ([1], [1.5]), ([1], [math.nan])]
)
def test_what_is_no_label_or_probability_is_refused(
    targets: list[float], probabilities: list[float]
) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        evaluate(targets, probabilities)


@pytest.mark.parametrize(
    "lines",
    [
        ["image,target", "a.jpg,0.25", "b.jpg,"],
        ["id,label", "a,0.25", "b,"],
        ["image,target,probability,fold", "a.jpg,1,0.25,0", "b.jpg,0,,1"],
        ["source,probability,status", "photos/a.jpg,0.25,ok", "photos/b.jpg,,missing"],
        ["image,target,label", "a.jpg,0.25,0", "b.jpg,,"],
        [
            '{"source": "a.jpg", "probability": 0.25}',
            "",
            '{"source": "b.jpg", "probability": null}',
        ],
    ],
)
def test_predictions_are_read_as_they_are_written(lines: list[str], tmp_path: Path) -> None:
    file = write(tmp_path / "file", *lines)
    targets = {"b.jpg": 0, "a.jpg": 1} if "id,label" not in lines else {"b": 0, "a": 1}
    assert list(read_predictions(file, targets, Path("l.csv")).values()) == [None, 0.25]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["image,target", "a.jpg,0.1"], "no prediction for 1 of the images of l.csv: b.jpg"),
        (["image,target", "a.jpg,0.1", "b.jpg,1.1"], "row 3: '1.1' is no probability"),
        (["image,target", "a.jpg,nan"], "row 2: 'nan' is no probability"),
        (["image,target", "a.jpg,0.1", "a.jpg,0.2"], "two probabilities for a.jpg"),
        (["a.jpg,0.1", "b.jpg,0.2"], "first line must name"),
        (["image,size,kind", "a,1,2"], "first line must name"),
        (['{"source": "a.jpg"}'], "row 1: not a JSON object with source and probability"),
        (['{"source": "a.jpg", "probability": [1]}'], r"row 1: \[1\] is no probability"),
        (["{}"], "row 1"),
        (["PAR1"], "Parquet"),
        (["image,target", "x/a.jpg,0.1", "y/a.jpg,0.1", "b.jpg,0.2"], "which one"),
    ],
)
def test_predictions_that_cannot_be_used_say_why(
    lines: list[str], expected: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "file", *lines)
    with pytest.raises(DataError, match=expected):
        read_predictions(file, {"a.jpg": 0, "b.jpg": 1}, Path("l.csv"))


def test_columns_are_values_and_many_numbers_become_quarters(tmp_path: Path) -> None:
    names = [f"{at}.jpg" for at in range(20)]
    rows = [f"s,{name},{at % 2},{at * 10},{at or ''}" for at, name in enumerate(names)]
    file = write(tmp_path / "about.csv", "source,image,few,many,gap", *rows)
    found = read_columns(file, names, ["few", "many", "gap"])
    assert found["few"] == ["0", "1"] * 10
    assert list(dict.fromkeys(found["many"])) == ["0 to 40", "50 to 90", "100 to 140", "150 to 190"]
    assert found["gap"][0] == "(blank)"
    with pytest.raises(UsageError, match="no column kind; it has source, image"):
        read_columns(file, names, ["kind"])
    with pytest.raises(DataError, match="no row for 1 of the labelled images: other"):
        read_columns(file, ["other"], ["few"])
    write(file, "image,word", *(f"{at},word{at}" for at in range(50)))
    with pytest.raises(UsageError, match="50 values are too many"):
        read_columns(file, [str(at) for at in range(50)], ["word"])


def test_the_table_says_all_in_80_columns(cli: Cli, labels: Path) -> None:
    write(Path("about.csv"), "image,kind", *(f"{name},[red]k\x1b[2J" for name in "abcdef"))
    more = ("--slices", "about.csv", "--by", "kind", "--against", "other.csv", "--cost", "1:5")
    result = cli("evaluate", labels, "-p", "sub.csv", *more)
    assert (result.code, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    for text in ("6 images, 3 of them with a mask", "log loss", "calibration error", "FP:FN = 1:5"):
        assert text in result.out
    assert "DeLong" in result.out
    assert "McNemar" in result.out
    assert "[red]k�[2J" in result.out
    assert re.search(r"accuracy +0\.6667 ", result.out)


def test_json_is_the_report(cli: Cli, labels: Path) -> None:
    result = cli("evaluate", labels, "-p", "sub.csv", "--against", "other.csv", "--json")
    found = json.loads(result.out)
    assert found["of"] == "sub.csv"
    assert found["quality"]["accuracy"]["value"] == pytest.approx(4 / 6)
    assert found["quality"]["confusion"]["false_negatives"] == 1
    assert found["comparison"]["accuracy_p"] == 1
    assert found["comparison"]["against"]["accuracy"]["value"] == pytest.approx(4 / 6)


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
        "a: left out, as other.csv has no probability for it",
        "c: left out, as sub.csv has no probability for it",
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
