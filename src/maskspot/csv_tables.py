"""Read CSV as programs and people write it: usual separators and encodings, errors by row."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

from maskspot.errors import DataError

_SEPARATORS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_EXCEL = re.compile(r"sep=(.)\s*", re.IGNORECASE)


class Row(list[str]):
    """The cells of a row.

    Attributes:
        number: of the row in its file, as a spreadsheet shows it: the header is 1.
    """

    def __init__(self, cells: Iterable[str], number: int) -> None:
        super().__init__(cells)
        self.number = number


def read_rows(file: Path, exact: bool = False) -> tuple[list[str], list[Row]]:
    """Read the header and the rows of a CSV; empty rows are left out.

    Args:
        file: has commas, semicolons, tabs or bars, in UTF-8, UTF-16 or UTF-32.
        exact: admit only commas and UTF-8, for a file that other programs will read.

    Raises:
        DataError: the file cannot be read, has no header, or a row has more or fewer cells than
            the header.
    """
    number = 0
    try:
        with file.open("rb") as stream:
            text = decoded(stream)
            if exact and not text.encoding.startswith("utf-8"):
                raise DataError(f"{file}: this is {text.encoding.upper()}; save it as UTF-8")
            found = []
            for row in rows_of(text, separators="," if exact else _SEPARATORS):
                number = row.number
                found.append(row)
    except csv.Error as error:
        raise DataError(f"{file}, row {number + 1}: {error}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    if not found:
        raise DataError(f"{file}: empty; it needs a header and rows")
    header, *rows = found
    for row in rows:
        if len(row) != len(header):
            raise DataError(f"{file}, row {row.number}: {len(row)} columns, not {len(header)}")
    return list(header), rows


def decoded(stream: IO[bytes]) -> io.TextIOWrapper:
    """Return the text of a stream; the encoding is told by its first bytes.

    Bytes that are invalid in UTF-8 are kept as surrogates.
    """
    if not hasattr(stream, "peek"):
        stream = io.BufferedReader(stream)  # type: ignore[type-var]
    encoding = encoding_of(stream.peek(4)[:4])
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    return io.TextIOWrapper(stream, encoding, errors, newline="")


def encoding_of(start: bytes) -> str:
    """Return the encoding of a text by its first four bytes: a byte order mark, or a zero byte."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    zeros = [byte == 0 for byte in start[:2]]
    if zeros == [False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False] else "utf-8"


def rows_of(
    lines: Iterable[str], skip_spaces: bool = False, separators: str = _SEPARATORS
) -> Iterator[Row]:
    """Yield the rows of a CSV, the header first; empty rows are left out.

    Args:
        lines: of the CSV, with their line ends.
        skip_spaces: drop spaces after separators.
        separators: candidates; the one that the header has most, or else the first, is used.

    Raises:
        csv.Error: a row cannot be read.
    """
    rest, number = iter(lines), 0
    first = next((line for line in rest if (number := number + 1) and line.strip()), "")
    declared = _EXCEL.fullmatch(first)
    if declared:
        separator, first, number = declared[1], next(rest, ""), number + 1
    else:
        bare = re.sub(r'"[^"]*"', "", first)
        separator = max(separators, key=bare.count)
    reader = csv.reader(chain([first], rest), delimiter=separator, skipinitialspace=skip_spaces)
    for at, cells in enumerate(reader, number):
        if any(cells):
            yield Row(cells, at)


def number(text: str) -> float:
    """Return the number in a cell, which has a decimal point or a decimal comma.

    Raises:
        ValueError: it is not a number.
    """
    return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)


def is_number(text: str) -> bool:
    """Return whether a cell is a number, in which case its row is not a header."""
    try:
        number(text)
    except ValueError:
        return False
    return True
