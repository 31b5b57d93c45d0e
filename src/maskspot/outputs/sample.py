"""A sample submission, whose header, rows and order a submission follows."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from maskspot.errors import DataError


@dataclass(frozen=True)
class Sample:
    """A sample submission: the header, rows and order that a submission must follow.

    Attributes:
        header: its two columns.
        names: of the images, in order.
        newline: its line ending.
    """

    header: tuple[str, str]
    names: tuple[str, ...]
    newline: str

    @classmethod
    def read(cls, file: Path) -> "Sample":
        """Read a sample.

        Raises:
            DataError: it cannot be read, its header does not have two columns, or an image is
                named twice.
        """
        from maskspot.csv_tables import is_number, read_rows

        header, rows = read_rows(file)
        if len(header) != 2 or is_number(header[1]):  # noqa: PLR2004
            raise DataError(f"{file}: its first line must be a header of two columns")
        names = tuple(row[0] for row in rows)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(f"{file}: {twice[0]} is named twice")
        with file.open("rb") as stream:
            newline = "\r\n" if stream.readline().endswith(b"\r\n") else "\n"
        return cls((header[0], header[1]), names, newline)
