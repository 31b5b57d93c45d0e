"""Lists of images: text with one path or URL per line or before each NUL, or a column of a CSV."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from maskspot.errors import DataError, UsageError
from maskspot.inputs.folders import is_image

COLUMNS = ("source", "image", "path", "id")
"""Columns that are looked for, in this order, if none is named; case is ignored."""

_BLOCK, _MEGA = 2**16, 2**20
_MARK = b"\xef\xbb\xbf"


def listed(source: str, column: str | None = None) -> Iterator[str]:
    """Yield the paths and URLs of a list as they are written in it, while it is read.

    A list is UTF-8 text with one path per line, or with a NUL after each path if its first line
    contains a NUL; blank lines are skipped. If a column is named, or the name of the file ends in
    `.csv`, it is a CSV with a header, as `csv_tables` reads it. Relative paths start at the
    current folder, wherever the list is.

    Args:
        source: the file, or `-` for standard input.
        column: the column of a CSV; by default the first of `COLUMNS`, or the only column.

    Raises:
        UsageError: the file is not such a list, or lacks the column.
        DataError: it cannot be read, is empty, or a row of the CSV is damaged.
    """
    count = 0
    with _opened(source) as stream:
        is_csv = column is not None or source.lower().endswith(".csv")
        paths = _cells(stream, source, column) if is_csv else _lines(stream, source)
        for count, path in enumerate(paths, 1):  # noqa: B007
            yield path
    if not count:
        raise _bad_data(f"{source}: names no images; it needs one per line")


@contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    if source == "-":
        yield sys.stdin.buffer
        return
    if "://" in source:  # not shown, as it may contain a password
        raise _invalid("a list is a file, or - for standard input, not a URL")
    try:
        stream = open(source, "rb")  # noqa: SIM115
    except (OSError, ValueError) as error:
        raise _bad_data(f"{source}: {getattr(error, 'strerror', error)}") from None
    with stream:
        yield stream


def _lines(stream: IO[bytes], source: str) -> Iterator[str]:
    # read1 does not wait for a program that is still writing to a pipe.
    read = stream.read1  # type: ignore[attr-defined]
    rest = b""
    while b"\n" not in rest and b"\0" not in rest and len(rest) <= _MEGA and (more := read(_BLOCK)):
        rest += more
    if rest.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _invalid(f"{source}: this is UTF-16; save it as UTF-8")
    rest = rest.removeprefix(_MARK)
    end = b"\0" if b"\0" in rest else b"\n"
    more = rest
    while more:
        *whole, rest = rest.split(end)
        yield from _texts(whole, end)
        if len(rest) > _MEGA:
            raise _invalid(f"{source}: not a list of paths, as a line is longer than a megabyte")
        more = read(_BLOCK)
        rest += more
    yield from _texts([rest], end)


def _texts(lines: list[bytes], end: bytes) -> Iterator[str]:
    for line in lines:
        text = line.decode("utf-8", "surrogateescape")
        if end == b"\n":
            text = text.removesuffix("\r")
        if text.strip():
            yield text


def _cells(stream: IO[bytes], source: str, column: str | None) -> Iterator[str]:
    import csv

    from maskspot.csv_tables import Row, decoded, rows_of

    text = decoded(stream)
    row = Row([], 0)
    try:
        rows = rows_of(text, skip_spaces=True)
        row = header = next(rows, row)
        at = _find_column(header, source, column)
        for row in rows:
            if len(row) <= at:
                raise _bad_data(f"{source}, row {row.number}: no column {header[at]}")
            if row[at].strip():
                yield row[at]
    except csv.Error as error:
        raise _bad_data(f"{source}, row {row.number + 1}: {error}") from None
    finally:
        text.detach()  # otherwise it would close standard input too


def _find_column(header: list[str], source: str, column: str | None) -> int:
    names = [name.strip().lower() for name in header]
    wanted = COLUMNS if column is None else (column.strip().lower(),)
    for name in wanted:
        if name in names:
            return names.index(name)
    if column is None and len(names) == 1 and not is_image(names[0]):
        return 0
    if not names:
        raise _bad_data(f"{source}: empty; it needs a header and rows")
    what = "name one of its columns" if column is None else f"it has no column {column}"
    raise _invalid(f"{source}: {what}; its first line is {', '.join(header)}")


def _invalid(problem: str) -> UsageError:
    return UsageError(problem, argument="listing")


def _bad_data(problem: str) -> DataError:
    return DataError(problem, argument="listing")
