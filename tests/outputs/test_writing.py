"""From scores to a file: what stands in it, whatever its format."""

import csv
import io
import json
import math
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.errors import DataError, ImageError, MissingExtraError, UsageError
from maskspot.files import replacing
from maskspot.model.score import Score
from maskspot.outputs import formats
from maskspot.outputs.form import Form, Format, OnError, format_of
from maskspot.outputs.journal import Journal
from maskspot.outputs.sample import Sample
from maskspot.outputs.writing import Counts, sorted_scores, write_scores
from tests.helpers import full_disk

ODD = "=cmd|'/C calc'!A0,\"x\"\r\n\u2028😀caf\udce9.jpg"
SCORES = [
    Score("a.jpg", 0.1 + 0.2, None, "ok", 640, 480, "JPEG", 3.25),
    Score("bad.jpg", None, "empty file", "unreadable", None, None, None, 0.125),
    Score(ODD, 5e-324, None, "ok", 1, 2, "PNG", 1e-7),
    Score("z.jpg", 1.0, None, "ok", 9, 9, None, 4.0),
]
SAMPLE = Sample(("ID", "label"), ("a.jpg",), "\r\n")


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., bytes]:
    """Write the scores in a form and return the file's bytes."""

    def write(form: Form, scores: list[Score] = SCORES) -> bytes:
        write_scores(iter(scores), form, tmp_path / "out")
        assert os.listdir(tmp_path) == ["out"]
        return (tmp_path / "out").read_bytes()

    return write


def table(content: bytes) -> list[dict[str, str]]:
    text = content.decode("utf-8", "surrogateescape")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_plain_csv_is_image_and_target_with_every_digit(written: Callable[..., bytes]) -> None:
    assert written(Form(), [SCORES[0], SCORES[1], Score("caf\udce9,.jpg", 5e-324)]) == (
        b'image,target\na.jpg,0.30000000000000004\nbad.jpg,\n"caf\xe9,.jpg",5e-324\n'
    )


def test_names_are_written_as_they_are(written: Callable[..., bytes]) -> None:
    assert [row["image"] for row in table(written(Form()))] == [one.source for one in SCORES]


def test_a_threshold_adds_a_label_and_counts(written: Callable[..., bytes], tmp_path: Path) -> None:
    form = Form(threshold=0.1 + 0.2)
    rows = table(written(form))
    assert list(rows[0]) == ["image", "target", "label"]
    assert [row["label"] for row in rows] == ["1", "", "0", "1"]
    assert write_scores(SCORES, form, tmp_path / "x") == Counts(3, 1, masks=2)
    assert write_scores(SCORES, Form(), tmp_path / "x") == Counts(3, 1, masks=1)


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_details_are_all_that_is_known(
    written: Callable[..., bytes], threshold: float | None
) -> None:
    rows = table(written(Form(details=True, threshold=threshold, model="default-1a2b")))
    expected = [_record(score, threshold) for score in SCORES]
    assert list(rows[0]) == list(expected[0])
    text = [{key: "" if v is None else str(v) for key, v in one.items()} for one in expected]
    assert rows == text


def _record(score: Score, threshold: float | None) -> dict[str, Any]:
    """What a row with details says, in the order of its columns."""
    facts = asdict(score)
    del facts["heatmap"]
    record = {name: facts.pop(name) for name in ("source", "probability")}
    if threshold is not None:
        value = record["probability"]
        record["label"] = None if value is None else int(value >= threshold)
    return record | {name: facts.pop(name) for name in ("status", "error")} | facts | MODEL


MODEL = {"model": "default-1a2b"}


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_json_lines_have_the_same_values(
    written: Callable[..., bytes], details: bool, threshold: float | None
) -> None:
    form = Form("jsonl", details, threshold, model="default-1a2b")
    lines = written(form).decode("utf-8").split("\n")  # strict UTF-8
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [_shown(score, form) for score in SCORES]
    assert [list(json.loads(line)) for line in lines] == [list(form.columns)] * 4
    assert "😀caf\\udce9" in lines[2]


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_parquet_has_the_same_values_and_says_their_types(
    written: Callable[..., bytes],
    details: bool,
    threshold: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs maskspot[parquet]")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(formats, "_GROUP", 3)
    form = Form("parquet", details, threshold, model="default-1a2b")
    content = written(form)
    assert content == written(form)
    file = parquet.ParquetFile(io.BytesIO(content))
    assert file.num_row_groups == 2
    expected = [_shown(score, form) for score in SCORES]
    expected[2]["source"] = ODD.replace("\udce9", "\\udce9")
    assert file.read().to_pylist() == expected
    types = {
        **{"probability": pa.float64(), "label": pa.int8(), "milliseconds": pa.float64()},
        **{"width": pa.int32(), "height": pa.int32()},
    }
    for field in file.schema_arrow:
        assert field.type == types.get(field.name, pa.string())
    empty = parquet.ParquetFile(io.BytesIO(written(form, [])))
    assert (empty.metadata.num_rows, empty.schema_arrow) == (0, file.schema_arrow)


def _shown(score: Score, form: Form) -> dict[str, Any]:
    record = _record(score, form.threshold)
    return {name: record[name] for name in form.columns}


def test_formats_with_names_for_columns_always_say_what_was_wrong() -> None:
    for kind in ("jsonl", "parquet"):
        assert Form(kind).columns == ("source", "probability", "status", "error")
        assert Form(kind, threshold=0.5).columns[:3] == ("source", "probability", "label")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@given(source=st.text(st.characters(exclude_categories=())))
def test_no_name_can_break_a_row(tmp_path: Path, kind: Any, source: str) -> None:
    write_scores([Score(source, 0.5), Score("next", 0.25)], Form(kind), tmp_path / "out")
    content = (tmp_path / "out").read_bytes()
    if kind == "csv":
        first, second = (list(row.values()) for row in table(content.replace(b"\0", b"")))
    else:
        first, second = (list(json.loads(line).values()) for line in content.splitlines())
    assert (first[1], second[:2]) in [("0.5", ["next", "0.25"]), (0.5, ["next", 0.25])]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("blank", ["bad.jpg", "", ""]),
        ("fail", ["bad.jpg", "", ""]),
        ("skip", None),
        ("fill=0.75", ["bad.jpg", "0.75", "1"]),
        ("fill=0", ["bad.jpg", "0.0", "0"]),
    ],
)
def test_a_bad_images_row_is_as_asked(
    written: Callable[..., bytes], tmp_path: Path, policy: str, expected: list[str] | None
) -> None:
    form = Form(threshold=0.5, on_error=OnError.parse(policy, False))
    rows = [list(row.values()) for row in table(written(form))]
    assert [row for row in rows if row[0] == "bad.jpg"] == ([expected] if expected else [])
    assert write_scores(SCORES, form, tmp_path / "x") == Counts(3, 1, masks=1)


def test_policies_are_checked_as_they_are_read() -> None:
    assert OnError.parse(None, submission=False) == OnError("blank")
    assert OnError.parse(None, submission=True) == OnError("fail")
    assert OnError.parse("fill=1e-3", submission=True) == OnError("fill", 0.001)
    for text in ("", "panic", "fill", "fill=", "fill=2", "fill=-1", "fill=nan", "fill=x", "skip=1"):
        with pytest.raises(UsageError, match=rf"^on_error: must be blank.* not {text!r}$"):
            OnError.parse(text, submission=False)
    with pytest.raises(UsageError, match="`skip` is invalid, as a submission"):
        OnError.parse("skip", submission=True)


def test_fail_is_told_before_anything_is_written() -> None:
    OnError("fail").check(0, 6)
    OnError("blank").check(1, 6)
    with pytest.raises(ImageError, match="nothing written: 1 of 6 images could not be scored; `on"):
        OnError("fail").check(1, 6)


def test_a_submission_has_the_samples_header_and_newline(written: Callable[..., bytes]) -> None:
    content = written(Form(sample=SAMPLE), [SCORES[0], SCORES[3]])
    assert content == b"ID,label\r\na.jpg,0.30000000000000004\r\nz.jpg,1.0\r\n"


@pytest.mark.parametrize(
    ("more", "option"),
    [
        ({"details": True}, "details"),
        ({"threshold": 0.0}, "threshold"),
        ({"format": "jsonl"}, "format"),
    ],
)
def test_a_submission_has_nothing_else(more: dict[str, Any], option: str) -> None:
    with pytest.raises(
        UsageError, match=rf"^{option}: a submission is a CSV with the columns of its"
    ):
        Form(sample=SAMPLE, **more)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, math.inf])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(UsageError, match=r"^threshold: "):
        Form(threshold=threshold)


@pytest.mark.parametrize(
    ("path", "wanted", "expected"),
    [
        (None, None, "csv"),
        ("sub.csv", None, "csv"),
        ("sub", None, "csv"),
        ("sub.txt", None, "csv"),
        ("sub.jsonl", None, "jsonl"),
        ("SUB.NDJSON", None, "jsonl"),
        ("sub.csv", "jsonl", "jsonl"),
        (None, "jsonl", "jsonl"),
        ("sub.jsonl", "csv", "csv"),
        ("sub.csv.gz", "csv", "csv"),
        (".hidden", None, "csv"),
    ],
)
def test_the_format_is_what_the_ending_says_or_what_was_asked(
    path: str | None, wanted: str | None, expected: str
) -> None:
    assert format_of(Path(path) if path else None, wanted) == expected


def test_a_format_that_cannot_be_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("xlsx", ""):
        with pytest.raises(UsageError, match=r"^format: must be csv, jsonl or parquet, not '.*'"):
            format_of(Path("sub.csv"), text)
    for name in ("sub.json", "sub.csv.gz", "a.b/sub.TSV", "sub.xlsx", "sub.csv~"):
        with pytest.raises(UsageError, match=rf"^path: {name}: the ending .* is not .*`format`"):
            format_of(Path(name), None)
    monkeypatch.setattr("maskspot.outputs.form.find_spec", lambda _: object())
    assert format_of(Path("a.pq"), None) == format_of(Path("a.parquet"), None) == "parquet"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(UsageError, match="Parquet cannot be written to a terminal"):
        format_of(None, "parquet")
    monkeypatch.setattr("maskspot.outputs.form.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as error:
        format_of(Path("sub.parquet"), None)
    assert str(error.value) == (
        "parquet output needs more packages: pip install 'maskspot[parquet]'"
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_pipe_gets_the_same_bytes_as_a_file(
    written: Callable[..., bytes], kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs maskspot[parquet]")
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        with os.fdopen(writer, "w", encoding="ascii") as stdout, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stdout)
            write_scores(SCORES, Form(kind, True), None)
        assert pipe.read() == written(Form(kind, True))


def test_a_terminal_gets_each_row_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.BytesIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    screen = io.TextIOWrapper(Terminal())
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", screen)
    seen = []

    def scores() -> Iterator[Score]:
        for score in SCORES[:2]:
            yield score
            seen.append(screen.buffer.flushed)  # type: ignore[attr-defined]

    write_scores(scores(), Form(), None)
    assert seen == [1, 2]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("shown", [True, False])
def test_a_terminal_obeys_nothing_in_a_name_and_a_pipe_gets_the_name_as_it_is(
    monkeypatch: pytest.MonkeyPatch, kind: Format, shown: bool
) -> None:
    name = "\x1b]0;evil\x07\x9b2J\r\u202egpj.exe"
    screen = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(screen, "isatty", lambda: shown, raising=False)
    monkeypatch.setattr(sys, "stdout", screen)
    write_scores([Score(name, 0.5)], Form(kind), None)
    text = screen.buffer.getvalue().decode()  # type: ignore[attr-defined]
    if shown:
        assert text.replace("\n", "").isprintable()
        assert "evil" in text
    elif kind == "csv":
        assert name in text


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_an_output_appears_whole_or_not_at_all(tmp_path: Path, kind: Any) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs maskspot[parquet]")

    def scores() -> Iterator[Score]:
        yield SCORES[0]
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        write_scores(scores(), Form(kind), tmp_path / "out")
    assert os.listdir(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from maskspot.outputs.form import Form
from maskspot.outputs.writing import write_scores
from maskspot.model.score import Score
from tests.helpers import full_disk

def scores():
    for at in range(10_000):
        yield Score(f"{at}.jpg", 0.5)
    os.kill(os.getpid(), signal.SIGKILL)

write_scores(scores(), Form(), Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out.csv")], check=False)
    assert len(os.listdir(tmp_path)) == 1
    with replacing(tmp_path / "living.csv") as beside:
        beside.write_text("half of it")
        write_scores(SCORES, Form(), tmp_path / "out.csv")
        assert sorted(os.listdir(tmp_path)) == sorted([beside.name, "out.csv"])
    assert (tmp_path / "living.csv").read_text() == "half of it"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_full_disk_is_told_by_the_outputs_name(tmp_path: Path, kind: Any) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow.parquet", reason="needs maskspot[parquet]")
    scores = [replace(SCORES[0], source=f"{at}.jpg") for at in range(1000)]
    with pytest.raises(OSError, match="File too large") as error, full_disk():
        write_scores(scores, Form(kind), tmp_path / "out")
    assert error.value.filename == str(tmp_path / "out")
    assert os.listdir(tmp_path) == []


@given(
    st.lists(st.none() | st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1), max_size=30),
    st.none() | st.integers(1, 40),
)
def test_sorted_is_most_probable_first_and_otherwise_in_order(
    probabilities: list[float | None], top: int | None
) -> None:
    scores = [
        Score(f"ü{at}.jpg", value, error=None if value is not None else "damaged")
        for at, value in enumerate(probabilities)
    ]
    with Journal.temporary() as journal:
        for score in scores:
            journal.write(score)
        found = list(sorted_scores(journal, top))
    assert (
        found
        == sorted(scores, key=lambda s: math.inf if s.probability is None else -s.probability)[:top]
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_GROUP", 100)
    if kind == "parquet":
        pytest.importorskip("pyarrow.parquet", reason="needs maskspot[parquet]")

    def scores(count: int) -> Iterator[Score]:
        return (Score(f"{at}.jpg", at / count, format="JPEG") for at in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            write_scores(scores(count), Form(kind, details=True), tmp_path / "out")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(10_000) - peak(1000) < 0.2e6  # newer Pythons hold more, whatever the count


def test_sorting_holds_24_bytes_a_row(tmp_path: Path) -> None:
    rows = 10_000
    with Journal.open(tmp_path / "out", {}, None) as journal:
        for at in range(rows):
            journal.write(Score(f"{at}.jpg", at / rows))
        next(sorted_scores(journal))
        tracemalloc.start()
        try:
            write_scores(sorted_scores(journal), Form(), tmp_path / "out")
            assert tracemalloc.get_traced_memory()[1] < 32 * rows + 0.4e6
        finally:
            tracemalloc.stop()
    with (tmp_path / "out").open() as file:
        assert [next(file) for _ in range(2)] == ["image,target\n", "9999.jpg,0.9999\n"]


def test_outputs_load_nothing_heavy() -> None:
    code = (
        "import sys, maskspot.outputs.writing; print({'numpy', 'PIL', 'pyarrow'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
