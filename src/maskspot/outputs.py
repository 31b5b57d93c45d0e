"""Where scores go: a CSV, or a submission in the sample's order."""

import csv
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from maskspot.datasets.labels import read_rows
from maskspot.errors import DataError
from maskspot.files import replacing

HEADER = ("image", "target")


class Writer(Protocol):
    """What `csv.writer` returns."""

    def writerow(self, row: Iterable[Any], /) -> Any:
        """Write one row."""


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
            DataError: it cannot be read, has not two columns, or names an image twice.
        """
        header, rows = read_rows(file)
        if len(header) != 2:  # noqa: PLR2004
            raise DataError(f"{file}: a sample submission has two columns, not {len(header)}")
        names = tuple(row[0] for row in rows)
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{file}: names {twice} twice")
        with file.open("rb") as stream:
            newline = "\r\n" if stream.readline().endswith(b"\r\n") else "\n"
        return cls((header[0], header[1]), names, newline)

    def select(self, images: Mapping[str, Path]) -> dict[str, Path]:
        """Return the sample's images, in its order, out of those that were found.

        The sample may name an image by its path, its file name, or that without its ending.

        Raises:
            DataError: some are missing, or a name fits several.
        """
        by_name: dict[str, set[str]] = {}
        for key in images:
            path = PurePosixPath(key)
            for alias in (path.name, path.stem):
                by_name.setdefault(alias, set()).add(key)
        chosen, missing = {}, []
        for name in self.names:
            keys = [name] if name in images else sorted(by_name.get(name, ()))
            if len(keys) > 1:
                raise DataError(f"{name}, in the sample, is {' and '.join(keys[:2])}: which one?")
            if keys:
                chosen[name] = images[keys[0]]
            else:
                missing.append(name)
        if missing:
            raise DataError(
                f"{len(missing)} of the sample's {len(self.names)} images are not there: "
                + ", ".join(missing[:3])
                + (", ..." if len(missing) > 3 else "")  # noqa: PLR2004
            )
        return chosen


def format_probability(probability: float | None) -> str:
    """Return a probability with every digit it has, never rounded; nothing for None."""
    return "" if probability is None else repr(probability)


@contextmanager
def csv_output(path: Path | None, newline: str = "\n") -> Iterator[Writer]:
    """Give a CSV writer to a file, or to standard output for None.

    What is written appears whole when the block ends well, and else not at all.
    """
    if path is None:
        with tempfile.SpooledTemporaryFile(
            1 << 20, "w+", encoding="utf-8", errors="surrogateescape", newline=""
        ) as stream:
            yield csv.writer(stream, lineterminator=newline)
            stream.seek(0)
            shutil.copyfileobj(stream, sys.stdout)
        return
    with (
        replacing(path) as beside,
        beside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        yield csv.writer(stream, lineterminator=newline)
