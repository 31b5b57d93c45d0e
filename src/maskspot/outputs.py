"""Where scores go: a CSV, or a submission in the sample's order."""

import csv
import io
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from maskspot.datasets.labels import is_number, read_rows
from maskspot.errors import DataError
from maskspot.files import replacing

HEADER = ("image", "target")


WriteRow = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Sample:
    """A sample submission: the header, rows and order that a submission must have.

    Attributes:
        header: its two columns.
        names: of the images, in order.
        newline: how its lines end.
    """

    header: tuple[str, str]
    names: tuple[str, ...]
    newline: str

    @classmethod
    def read(cls, file: Path) -> "Sample":
        """Read a sample.

        Raises:
            DataError: it cannot be read, has not a header of two columns, or names an image twice.
        """
        header, rows = read_rows(file)
        if len(header) != 2 or is_number(header[1]):  # noqa: PLR2004
            raise DataError(f"{file}: its first line must be a header of two columns")
        names = tuple(row[0] for row in rows)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(f"{file}: names {twice[0]} twice")
        with file.open("rb") as stream:
            newline = "\r\n" if stream.readline().endswith(b"\r\n") else "\n"
        return cls((header[0], header[1]), names, newline)


def format_probability(probability: float | None) -> str:
    """Return a probability with every digit it has, never rounded; nothing for None."""
    return "" if probability is None else repr(probability)


@contextmanager
def csv_output(path: Path | None, newline: str = "\n") -> Iterator[WriteRow]:
    """Give a function that writes a row to a CSV file, or to standard output for None.

    What is written appears whole when the block ends well, and else not at all.
    """
    if path is None:
        with tempfile.SpooledTemporaryFile(1 << 20) as stream:
            with _writer(stream, newline) as write:
                yield write
            stream.seek(0)
            shutil.copyfileobj(stream, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return
    with replacing(path) as beside, beside.open("wb") as file, _writer(file, newline) as write:
        yield write


@contextmanager
def _writer(stream: IO[bytes], newline: str) -> Iterator[WriteRow]:
    """Write CSV as UTF-8, whatever the terminal's encoding; file names keep their own bytes."""
    text = io.TextIOWrapper(
        cast("BinaryIO", stream), encoding="utf-8", errors="surrogateescape", newline=""
    )
    plain = csv.writer(text, lineterminator=newline)
    quoted = csv.writer(text, lineterminator=newline, quoting=csv.QUOTE_ALL)

    def write(row: Sequence[str]) -> None:
        # The csv module leaves a carriage return bare where lines end otherwise.
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)

    yield write
    text.flush()
    text.detach()
