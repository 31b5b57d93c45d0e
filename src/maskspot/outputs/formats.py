"""Rows as CSV, JSON Lines or Parquet, written one after another in constant memory."""

import codecs
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

Value = str | float | int | None
WriteRow = Callable[[Sequence[Value]], None]

_GROUP = 1 << 14
"""Rows of a Parquet row group, which are held in memory."""

_TYPES: Mapping[str, str] = {
    "probability": "float64",
    "milliseconds": "float64",
    "width": "int32",
    "height": "int32",
    "label": "int8",
}
"""Types of Parquet columns that are not text."""


def _own_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    """Encode surrogates as the bytes of a file name that they stand for, others as escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error("maskspot.own_bytes", _own_bytes)


@contextmanager
def csv_rows(stream: IO[bytes], columns: Sequence[str], newline: str = "\n") -> Iterator[WriteRow]:
    """Write CSV with a header, in UTF-8; file names keep their bytes.

    Probabilities have all digits, None is an empty cell, and cells are not changed to suit
    spreadsheets: a name that begins with `=` stays as it is.
    """
    write = csv_writer(stream, newline)
    write(columns)
    yield write


def csv_writer(stream: IO[bytes], newline: str) -> WriteRow:
    """Return a function that writes a row of CSV to a stream."""
    lines = _Encoded(stream)
    plain = csv.writer(lines, lineterminator=newline)
    quoted = csv.writer(lines, lineterminator=newline, quoting=csv.QUOTE_ALL)

    def write(row: Sequence[Value]) -> None:
        # The csv module does not quote a carriage return if lines end otherwise.
        bare = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if bare else plain).writerow(row)

    return write


class _Encoded:
    """A text stream for the csv module that encodes independently of the locale."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.encode("utf-8", "maskspot.own_bytes"))


@contextmanager
def jsonl_rows(stream: IO[bytes], columns: Sequence[str]) -> Iterator[WriteRow]:
    r"""Write one JSON object per line, in UTF-8; other bytes of a name become `\udcXX`."""
    encode = json.JSONEncoder(ensure_ascii=False).encode

    def write(row: Sequence[Value]) -> None:
        line = encode(dict(zip(columns, row, strict=True)))
        # Python escapes a surrogate as JSON does.
        stream.write(line.encode("utf-8", "backslashreplace") + b"\n")

    yield write


@contextmanager
def parquet_rows(stream: IO[bytes], columns: Sequence[str]) -> Iterator[WriteRow]:
    r"""Write Parquet; bytes of a name that are not UTF-8 become the text `\udcXX`."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    schema = pa.schema([(name, _TYPES.get(name, "string")) for name in columns])
    group: list[Sequence[Value]] = []

    def put(file: Any) -> None:
        arrays = [
            pa.array(map(_text, cells) if field.type == pa.string() else cells, field.type)
            for field, cells in zip(schema, zip(*group, strict=True), strict=True)
        ]
        file.write_batch(pa.record_batch(arrays, schema=schema))
        group.clear()

    with ParquetWriter(stream, schema) as file:

        def write(row: Sequence[Value]) -> None:
            group.append(row)
            if len(group) == _GROUP:
                put(file)

        yield write
        if group:
            put(file)


def _text(cell: object) -> str | None:
    return None if cell is None else str(cell).encode("utf-8", "backslashreplace").decode()
