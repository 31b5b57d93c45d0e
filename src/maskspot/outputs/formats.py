"""Rows as CSV, JSON Lines or Parquet: written one after the other, in memory that does not grow."""

import codecs
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

Value = str | float | int | None
WriteRow = Callable[[Sequence[Value]], None]

_GROUP = 1 << 14
"""Rows of a Parquet row group: what is held in memory."""

_TYPES: Mapping[str, str] = {
    "probability": "float64",
    "milliseconds": "float64",
    "width": "int32",
    "height": "int32",
    "label": "int8",
}
"""Columns of Parquet that are not text."""


def _own_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    """Give a file name's own bytes back; surrogates that no byte stands behind, as escapes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error("maskspot.own_bytes", _own_bytes)


@contextmanager
def csv_rows(stream: IO[bytes], columns: Sequence[str], newline: str = "\n") -> Iterator[WriteRow]:
    """Write CSV with a header; UTF-8, but file names keep their own bytes.

    Probabilities have every digit, None is an empty cell, and no cell is changed to suit a
    spreadsheet: a name that begins with `=` stays that name.
    """
    write = csv_writer(stream, newline)
    write(columns)
    yield write


def csv_writer(stream: IO[bytes], newline: str) -> WriteRow:
    """Return what writes a row of CSV to a stream."""
    lines = _Lines(stream)
    plain = csv.writer(lines, lineterminator=newline)
    quoted = csv.writer(lines, lineterminator=newline, quoting=csv.QUOTE_ALL)

    def write(row: Sequence[Value]) -> None:
        # The csv module leaves a carriage return bare where lines end otherwise.
        bare = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if bare else plain).writerow(row)

    return write


class _Lines:
    """What the csv module writes to: text that becomes bytes, whatever the terminal's encoding."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.encode("utf-8", "maskspot.own_bytes"))


@contextmanager
def jsonl_rows(stream: IO[bytes], columns: Sequence[str]) -> Iterator[WriteRow]:
    r"""Write one JSON object a line; UTF-8, and a name's byte that is none becomes `\udcXX`."""
    encode = json.JSONEncoder(ensure_ascii=False).encode

    def write(row: Sequence[Value]) -> None:
        line = encode(dict(zip(columns, row, strict=True)))
        # Python's escape of a surrogate is JSON's.
        stream.write(line.encode("utf-8", "backslashreplace") + b"\n")

    yield write


@contextmanager
def parquet_rows(stream: IO[bytes], columns: Sequence[str]) -> Iterator[WriteRow]:
    r"""Write Parquet; a name's byte that is no UTF-8 becomes the text `\udcXX`."""
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
