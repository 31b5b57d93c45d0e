"""`maskspot check` finds what is wrong with a data set, and says so plainly."""

import csv
import json
import random
import shlex
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskspot.checking.check import DataCheck, check
from maskspot.checking.label_errors import confident_label_errors
from maskspot.checking.leaks import leak_problems, leaks
from maskspot.checking.photos import Photo
from maskspot.checking.problems import FATAL, KINDS
from maskspot.datasets import demo
from maskspot.datasets.labels import Layout
from tests.helpers import ROOT, commands

Cli = Callable[..., Any]


def write_csv(file: Path, *rows: Iterable[object]) -> None:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four labelled scenes, a.png to d.png, and one to test on, t.png: nothing is wrong."""
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "images").mkdir()
    rng = random.Random(3)
    for at, name in enumerate("abcdt"):
        demo.draw_picture(rng, masked=at % 2 == 1).save(folder / f"images/{name}.png")
    relabel(folder)
    write_csv(folder / "sample_sub.csv", ("image", "target"), ("t.png", 0))
    return folder


@pytest.fixture
def data(scenes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(scenes, tmp_path / "data")


def relabel(folder: Path, **more: int) -> None:
    labels = {"a": 0, "b": 1, "c": 0, "d": 1} | more
    rows = [(f"{name}.png", target) for name, target in labels.items()]
    write_csv(folder / "train_labels.csv", ("image", "target"), *rows)


def found(checked: DataCheck, *kinds: str) -> list[tuple[str, str, str]]:
    return [(p.image, p.other, p.detail) for p in checked.problems if p.kind in kinds]


def test_nothing_is_found_where_nothing_is_wrong(data: Path) -> None:
    checked = check(data)
    assert checked.problems == []
    assert checked.sound
    assert (checked.with_mask, checked.without_mask, checked.test) == (2, 2, 1)


def test_images_are_missing_where_a_folder_has_none(data: Path) -> None:
    shutil.rmtree(data / "images")
    assert [problem.kind for problem in check(data).problems] == ["missing"] * 5


def test_files_that_are_missing_extra_or_unreadable_are_named(data: Path) -> None:
    (data / "images/a.png").unlink()
    for name in "bc":
        (data / f"images/{name}.png").write_bytes(b"nothing")
    Image.effect_noise((90, 90), 60).save(data / "images/x.png")
    checked = check(data)
    kinds = [problem.kind for problem in checked.problems]
    assert kinds == ["missing", "unreadable", "unreadable", "extra"]
    images = [problem.image for problem in checked.problems]
    assert images == ["a.png", "b.png", "c.png", "images/x.png"]
    assert "not an image" in checked.problems[1].detail
    assert not checked.sound


@pytest.mark.parametrize("same", ["bytes", "pixels"])
def test_one_picture_with_both_labels_comes_first_and_is_no_data_to_train_on(
    same: str, data: Path
) -> None:
    content = (data / "images/a.png").read_bytes()
    (data / "images/e.png").write_bytes(content)
    if same == "pixels":
        Image.open(data / "images/a.png").save(data / "images/e.png", compress_level=1)
    relabel(data, e=1)
    (data / "images/x.png").write_bytes(b"")
    checked = check(data)
    assert checked.problems[0].kind == "conflict"
    assert found(checked, "conflict") == [
        ("e.png", "a.png", f"same {same}; labelled 1, the other 0")
    ]
    assert found(checked, "duplicate", "near-duplicate") == []
    assert not checked.sound


def test_copies_are_found_within_train_within_test_and_across(data: Path) -> None:
    for copy, original in {"e": "a", "u": "t", "v": "b"}.items():
        shutil.copy(data / f"images/{original}.png", data / f"images/{copy}.png")
    relabel(data, e=0)
    names = [(f"{name}.png", 0) for name in "tuv"]
    write_csv(data / "sample_sub.csv", ("image", "target"), *names)
    checked = check(data)
    assert found(checked, "duplicate") == [
        ("e.png", "a.png", "same bytes; in train"),
        ("u.png", "t.png", "same bytes; in test"),
        ("v.png", "b.png", "same bytes; across train and test"),
    ]
    assert checked.sound


def test_an_image_that_both_csvs_name_is_a_copy_across_train_and_test(data: Path) -> None:
    write_csv(data / "sample_sub.csv", ("image", "target"), ("t.png", 0), ("a.png", 0))
    expected = ("a.png", "a.png", "same bytes; across train and test")
    assert found(check(data), "duplicate") == [expected]


def test_pictures_alike_are_found_mirrored_too_and_doubted_where_labels_differ(data: Path) -> None:
    picture = Image.open(data / "images/a.png")
    picture.resize((picture.width // 2, picture.height // 2)).save(data / "images/e.png")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(data / "images/f.png")
    relabel(data, e=0, f=1)
    checked = check(data)
    ((image, other, detail),) = found(checked, "near-duplicate")
    assert (image, other) == ("e.png", "a.png")
    assert "bits differ; in train" in detail
    ((image, _, detail),) = found(checked, "near-conflict")
    assert image == "f.png"
    assert "mirrored; labelled 1, the other 0" in detail
    assert checked.sound


def test_many_copies_of_one_picture_are_named_once_each(data: Path) -> None:
    extra = {f"e{at}": 0 for at in range(8)}
    picture = Image.open(data / "images/a.png")
    for at, name in enumerate(extra):
        picture.resize((100 + 10 * at, 100)).save(data / f"images/{name}.png")
    relabel(data, **extra)
    assert len(found(check(data), "duplicate", "near-duplicate")) == 8


def test_pictures_of_one_colour_are_not_duplicates(data: Path) -> None:
    for name, grey in (("e", 90), ("f", 200)):
        Image.new("RGB", (80, 80), (grey,) * 3).save(data / f"images/{name}.png")
    relabel(data, e=0, f=1)
    assert check(data).problems == []


def test_sizes_that_are_odd_are_named_and_a_class_that_is_rare_or_absent(data: Path) -> None:
    Image.effect_noise((40, 40), 60).save(data / "images/e.png")
    Image.effect_noise((400, 100), 60).save(data / "images/f.png")
    relabel(data, e=0, f=0)
    assert found(check(data), "size") == [
        ("e.png", "", "40 x 40: smaller than 64 pixels"),
        ("f.png", "", "400 x 100: 4.0 times as long as wide"),
    ]
    relabel(data, b=0, d=0)
    checked = check(data)
    assert found(checked, "one-class") == [("", "", "0 with a mask, 4 without")]
    assert not checked.sound


def test_class_folders_do_as_well(tmp_path: Path) -> None:
    rng = random.Random(1)
    for kind in ("masks", "none"):
        (tmp_path / kind).mkdir()
        demo.draw_picture(rng, masked=kind == "masks").save(tmp_path / kind / "a.png")
    shutil.copy(tmp_path / "masks/a.png", tmp_path / "none/b.png")
    checked = check(tmp_path)
    assert (checked.with_mask, checked.without_mask) == (1, 2)
    assert [problem.kind for problem in checked.problems] == ["conflict"]
    flipped = check(tmp_path, Layout(positive="none"))
    assert (flipped.with_mask, flipped.without_mask) == (2, 1)


def photos(count: int, wide: Callable[[int], int], form: Callable[[int], str]) -> list[Photo]:
    rng = np.random.default_rng(0)
    return [
        Photo(
            *(f"{at}", Path(f"{at}"), at % 2, int(rng.integers(10_000, 90_000)), f"{at}"),
            *(wide(at), int(rng.integers(100, 900)), form(at), f"{at}"),
        )
        for at in range(count)
    ]


def test_a_property_that_predicts_the_label_has_a_high_auc_and_others_that_of_chance() -> None:
    rng = np.random.default_rng(1)
    found = leaks(
        photos(400, lambda at: int(rng.integers(100, 900)), lambda at: ("PNG", "JPEG")[at % 2])
    )
    assert found["format"] == found["all"] == 1
    assert all(0.4 < found[name] < 0.6 for name in ("width", "height", "bytes"))
    assert [problem.score for problem in leak_problems(found, 200, 200)] == [1, 1]
    assert "format alone predicts the label" in " ".join(
        p.detail for p in leak_problems(found, 200, 200)
    )


def test_a_width_in_the_middle_is_a_leak_too() -> None:
    rng = np.random.default_rng(1)
    found = leaks(
        photos(
            400,
            lambda at: 500 if at % 2 else int(rng.choice([300, 301, 302, 800, 801, 802])),
            lambda at: "PNG",
        )
    )
    assert found["width"] > 0.95
    assert found["format"] == 0.5


def test_few_images_show_no_leak() -> None:
    assert leaks(photos(8, lambda at: 100 + at % 2, lambda at: "PNG")) == {}
    assert leak_problems({"width": 0.7}, 10, 10) == []
    assert len(leak_problems({"width": 0.7}, 500, 500)) == 1


def test_label_errors_are_those_of_an_example_worked_by_hand() -> None:
    """Images of class 1 have 0.6 of it on average; those of class 0 0.505 of theirs.

    The third counts to class 0 (0.9 >= 0.505) and is labelled 1; the last two count to class 1
    (0.7 and 0.88 >= 0.6) and are labelled 0. The fourth counts to its own class (0.6 >= 0.6), and
    not to the other (0.4 < 0.505). The margins: -0.8, -0.76 (the last), -0.4.
    """
    targets = [1, 1, 1, 1, 0, 0, 0, 0]
    probabilities = [0.9, 0.8, 0.1, 0.6, 0.1, 0.3, 0.7, 0.88]
    assert confident_label_errors(targets, probabilities).tolist() == [2, 7, 6]


def test_an_image_that_counts_to_both_classes_counts_to_the_more_probable() -> None:
    """Networks sure of little: both averages are below a half."""
    targets = [1, 1, 1, 0, 0, 0]
    probabilities = [0.45, 0.55, 0.3, 0.56, 0.52, 0.72]
    assert confident_label_errors(targets, probabilities).tolist() == [5, 2, 3, 0, 4]


def test_a_class_without_images_has_no_label_errors() -> None:
    assert confident_label_errors([0, 0], [0.1, 0.9]).tolist() == []


def oof(file: Path, **probabilities: object) -> Path:
    rows = [(f"{name}.png", 0, p) for name, p in probabilities.items()]
    write_csv(file, ("image", "target", "probability"), *rows)
    return file


def test_flipped_labels_are_ranked_by_the_mean_of_the_probabilities_given(
    data: Path, tmp_path: Path
) -> None:
    relabel(data, a=1, b=0)
    one = oof(tmp_path / "one.csv", a=0.02, b=0.9, c=0.0, d=1, stranger=0.5)
    two = oof(tmp_path / "two.csv", a=0.04, b=1.0, c=0.1, d=0.9)
    assert found(check(data, oof=[one, two]), "label") == [
        ("a.png", "", "labelled 1, probability of a mask 0.030"),
        ("b.png", "", "labelled 0, probability of a mask 0.950"),
    ]


def test_the_command_prints_a_table_of_80_columns_and_writes_every_problem(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    hostile = {f"[red]{at}\x1b[2J": 0 for at in range(7)}
    for name in hostile:
        shutil.copy(data / "images/a.png", data / f"images/{name}.png")
    relabel(data, **hostile)
    result = cli("check", data, "-o", tmp_path / "problems.csv")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    assert "duplicate: 7" in result.out
    assert "and 2 more" in result.out
    assert "[red]0\\x1b[2J.png" in result.out
    assert "\x1b" not in result.out
    with (tmp_path / "problems.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["kind", "image", "other", "detail", "score"]
    assert [row[1] for row in rows] == [f"{name}.png" for name in hostile]
    assert set(map(tuple, (row[2:] for row in rows))) == {("a.png", "same bytes; in train", "1.0")}


def test_json_has_everything_and_quiet_prints_nothing(cli: Cli, data: Path) -> None:
    (data / "images/b.png").unlink()
    result = cli("check", data, "--json")
    assert result.code == 1
    report = json.loads(result.out)
    assert report["sound"] is False
    assert (report["with_mask"], report["test"], report["leaks"]) == (2, 1, {})
    (problem,) = report["problems"]
    assert problem == {
        **{"kind": "missing", "image": "b.png", "other": "", "detail": "no such image"},
        "score": None,
    }
    result = cli("check", data, "-q")
    assert (result.code, result.out, result.err) == (1, "", "")


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["none"], 3, "none: no such folder"),
        (["data", "--oof", "none.csv"], 3, "none.csv: No such file"),
        (["data", "--oof", "bad.csv"], 3, "bad.csv, row 2: '1.5' is not a probability"),
        (["data", "--oof", "data/train_labels.csv"], 3, "needs the columns image and probability"),
        (["data", "--oof", "other.csv"], 3, "--oof: none of the labelled images has a probability"),
        (["data", "--labels", "bad.csv", "--target-column", "x"], 2, "--target-column"),
        (["data", "-o", "none/problems.csv"], 3, "none: No such file or directory"),
    ],
)
def test_every_mistake_is_one_line(
    words: list[str],
    code: int,
    expected: str,
    cli: Cli,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(data.parent)
    oof(Path("bad.csv"), a=1.5)
    oof(Path("other.csv"), x=0.5)
    result = cli("check", *words)
    assert result.code == code
    assert expected in result.err
    assert result.err.count("\n") == 1
    assert result.out == ""


def test_the_page_names_every_kind_and_its_examples_run(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / "docs" / "checking.md"
    text = page.read_text(encoding="utf-8")
    assert all(f"| `{kind}`" in text for kind in KINDS)
    assert all(f"| `{kind}` | yes |" in text for kind in FATAL)
    monkeypatch.chdir(data.parent)
    Path("runs/mine").mkdir(parents=True)
    oof(Path("runs/mine/oof.csv"), a=0.1, b=0.9)
    lines = commands(page)
    assert len(lines) > 2
    for line in lines:
        assert cli(*shlex.split(line)[1:]).code == 0, line
