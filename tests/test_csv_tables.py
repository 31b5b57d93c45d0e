"""Tables as spreadsheets, shells and people write them."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.csv_tables import decoded, number, read_rows, rows_of
from maskspot.datasets.labels import Layout, read_labels, target_of
from maskspot.errors import DataError
from maskspot.evaluation.prediction_files import read_predictions
from maskspot.inputs.lists import listed
from maskspot.outputs.sample import Sample
from maskspot.zindi.submission import check_submission

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
ENDS = ("\n", "\r\n")
CELL = st.text(st.characters(codec="utf-8", exclude_characters='\0\n\r"'), min_size=1)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_labels_predictions_samples_and_lists_are_read_however_they_were_saved(
    tmp_path: Path, encoding: str, separator: str, end: str
) -> None:
    def save(name: str, *rows: tuple[str, str]) -> Path:
        text = "".join(separator.join(row) + end for row in rows)
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    labels = save("l.csv", ("image", "target"), ("é 1.jpg", "1"), ("b.jpg", "0"))
    targets = read_labels(labels, Layout())
    assert targets == {"é 1.jpg": 1, "b.jpg": 0}
    said = save("p.csv", ("image", "probability"), ("é 1.jpg", "0.25"), ("b.jpg", "0"))
    assert read_predictions(said, targets, labels) == {"é 1.jpg": 0.25, "b.jpg": 0}
    assert Sample.read(labels).names == ("é 1.jpg", "b.jpg")
    assert list(listed(str(labels))) == ["é 1.jpg", "b.jpg"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_lines_are_read_however_they_were_saved(tmp_path: Path, encoding: str) -> None:
    line = '{"source": "a\u2028.jpg", "probability": 0.5}\n'
    (tmp_path / "p.jsonl").write_bytes(line.encode(encoding))
    found = read_predictions(tmp_path / "p.jsonl", {"a\u2028.jpg": 1}, Path("l.csv"))
    assert found == {"a\u2028.jpg": 0.5}


def test_a_decimal_comma_is_read_where_semicolons_separate(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("image;target\na.jpg;0,25\n")
    assert read_predictions(tmp_path / "p.csv", {"a.jpg": 1}, Path("l.csv")) == {"a.jpg": 0.25}
    with pytest.raises(ValueError, match="could not convert"):
        number("1,000,000")


def test_a_separator_that_a_spreadsheet_announces_is_taken(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("sep=;\nimage;a,b,c,d\nx.jpg;1\n")
    header, rows = read_rows(tmp_path / "l.csv")
    assert (header, [*rows[0]], rows[0].number) == (["image", "a,b,c,d"], ["x.jpg", "1"], 3)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("image,target\n\n\na.jpg,1\nb.jpg\n", 5),
        ('image,target\n"a\nb.jpg",1\n,,,\nc.jpg\n', 4),
        ("\n\nimage;target\nb.jpg\n", 4),
    ],
)
def test_an_error_names_the_row_that_a_spreadsheet_shows(
    tmp_path: Path, text: str, row: int
) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError, match=rf"l\.csv, row {row}: \d columns, not 2$"):
        read_rows(tmp_path / "l.csv")


@given(st.lists(st.tuples(CELL, CELL), min_size=1), st.sampled_from(ENCODINGS[1:3]))
def test_any_cells_come_back(rows: list[tuple[str, str]], encoding: str) -> None:
    text = "".join(f'"{a}","{b}"\r\n' for a, b in [("image", "target"), *rows])
    found = rows_of(decoded(io.BytesIO(text.encode(encoding))))
    assert [tuple(row) for row in found][1:] == rows


@given(st.binary(max_size=60))
def test_no_bytes_are_more_than_an_error_that_names_the_file(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "odd.csv"
        file.write_bytes(content)
        message = str(file)
        try:
            read_rows(file)
        except DataError as error:
            message = str(error)
        assert message.startswith(str(file))


@pytest.mark.parametrize(
    "words", ["mask no_mask", "Yes No", "With-Mask without-mask", "TRUE FALSE"]
)
def test_labels_may_be_words(tmp_path: Path, words: str) -> None:
    yes, no = words.split()
    (tmp_path / "l.csv").write_text(f"image,target\na.jpg,{yes}\nb.jpg, {no} \n")
    assert read_labels(tmp_path / "l.csv", Layout()) == {"a.jpg": 1, "b.jpg": 0}


def test_what_is_no_label_means_nothing() -> None:
    assert [target_of(text) for text in ("", "2", "nan", "maybe", "-1", "1,0", "0.0")] == [
        *(None, None, None, None, None, 1, 0),
    ]


def test_what_is_sent_must_be_as_the_service_reads_it(tmp_path: Path) -> None:
    """It reads commas and UTF-8 alone: one submission of the day's few would be lost."""
    sample = tmp_path / "sample.csv"
    sample.write_text("image;target\na.jpg;0\n")
    for text, encoding, words in (
        ("image;target\na.jpg;0.25\n", "utf-8", "its header is image;target"),
        ("image,target\na.jpg,0.25\n", "utf-16", "this is UTF-16; save it as UTF-8"),
    ):
        (tmp_path / "sub.csv").write_bytes(text.encode(encoding))
        with pytest.raises(DataError, match=words):
            check_submission(tmp_path / "sub.csv", sample)
    (tmp_path / "sub.csv").write_text("image,target\na.jpg,0.25\n")
    check_submission(tmp_path / "sub.csv", sample)


def test_a_list_on_standard_input_may_be_utf_16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.write(writing, "image;x\né.jpg;1\n".encode("utf-16"))
    os.close(writing)
    with open(reading, encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert list(listed("-", "image")) == ["é.jpg"]


def test_word_labels_are_evaluated_and_trained_on_alike(
    cli: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    rows = "".join(
        f"{name}.jpg;{word}\n" for name, word in zip("abcdef", ["no", "yes"] * 3, strict=True)
    )
    (pictures / "labels.csv").write_bytes(f"Image;Face\n{rows}".encode("utf-16"))
    result = cli(
        "evaluate", pictures / "labels.csv", pictures, "-m", "fast", "-q", "--resamples", 0
    )
    assert result.code == 0
    assert "6 images, 3 of them with a mask" in result.out
