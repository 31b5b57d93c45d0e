"""The files that an evaluation reads: predictions, and columns to slice by."""

from pathlib import Path

import pytest

from maskspot.errors import DataError, UsageError
from maskspot.evaluation.prediction_files import read_columns, read_oof, read_predictions


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n")
    return file


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
        (["image,target", "a.jpg,0.1", "b.jpg,1.1"], "row 3: '1.1' is not a probability"),
        (["image,target", "a.jpg,nan"], "row 2: 'nan' is not a probability"),
        (["image,target", "a.jpg,0.1", "a.jpg,0.2"], "two probabilities for a.jpg"),
        (["a.jpg,0.1", "b.jpg,0.2"], "first line must name"),
        (["image,size,kind", "a,1,2"], "first line must name"),
        (['{"source": "a.jpg"}'], "row 1: not a JSON object with source and probability"),
        (['{"source": "a.jpg", "probability": [1]}'], r"row 1: \[1\] is not a probability"),
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
    with pytest.raises(UsageError, match="has no column kind; it has source, image"):
        read_columns(file, names, ["kind"])
    with pytest.raises(DataError, match="no row for 1 of the labelled images: other"):
        read_columns(file, ["other"], ["few"])
    write(file, "image,word", *(f"{at},word{at}" for at in range(50)))
    with pytest.raises(UsageError, match="50 values of word are too many"):
        read_columns(file, [str(at) for at in range(50)], ["word"])


def test_out_of_fold_probabilities_of_several_files_are_averaged(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", "image,target,probability", "a.jpg,1,0.2", "b.jpg,0,")
    two = write(tmp_path / "two.csv", "probability,image", "0.4,a.jpg")
    assert read_oof([one, two]) == {"a.jpg": pytest.approx(0.3)}


def test_labels_are_not_taken_for_out_of_fold_probabilities(tmp_path: Path) -> None:
    file = write(tmp_path / "labels.csv", "image,target", "a.jpg,1")
    with pytest.raises(DataError, match="needs the columns image and probability"):
        read_oof([file])
