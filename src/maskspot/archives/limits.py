"""How much an archive may hold: one set of limits, for `fetch` and for images read in place."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, TYPE_CHECKING

from maskspot.errors import DataError

if TYPE_CHECKING:
    import zipfile

BLOCK = 2**18
"""Bytes to read at once."""

_QUOTED = 80  # letters of a name
_LOCAL = 30  # bytes of a zip's header before a file, at least


class ArchiveError(DataError):
    """An archive that cannot be unpacked; the text says what is wrong and what to do."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Attributes:
        files: how many entries, and again as many folders that only their names tell of.
        total: bytes of all files, unpacked.
        ratio: bytes unpacked for each one packed, in a member of a zip or in all of an archive;
            no matter below 1 MiB where files are written, or 64 MiB where they are only read.
    """

    files: int = 200_000
    total: int = 50 * 2**30
    ratio: int = 200


LIMITS = Limits()
"""What holds where nobody says otherwise."""


class Bounded:
    """A stream that is read forwards only, and ends in an error where it has too much.

    Raises:
        ArchiveError: more was read than it may have.
    """

    def __init__(self, stream: IO[bytes], most: int) -> None:
        """Take a stream at its start.

        Args:
            stream: to read.
            most: bytes that it may have.
        """
        self._stream, self._most, self._at = stream, most, 0

    def read(self, size: int) -> bytes:
        """Read so many bytes, or what there is."""
        data = self._stream.read(size)
        self._at += len(data)
        if self._at > self._most:
            raise fault(f"holds more than {self._most} bytes for its size")
        return data

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Pass over bytes, up to a place that is not behind, or to the end."""
        target = offset + (self._at if whence == os.SEEK_CUR else 0)
        while self._at < target and self.read(min(BLOCK, target - self._at)):
            pass
        return self._at


def check_zip(infos: "Sequence[zipfile.ZipInfo]") -> None:
    """Refuse a zip whose members share bytes, so that it would grow without end.

    Args:
        infos: its directory.

    Raises:
        ArchiveError: members overlap, or there are too many.
    """
    if len(infos) > LIMITS.files:
        raise fault(f"holds more than {LIMITS.files} files")
    members = sorted(infos, key=lambda info: info.header_offset)
    for info, following in pairwise(members):
        if info.header_offset + _LOCAL + info.compress_size > following.header_offset:
            raise fault("holds files that overlap")


def fault(what: str, name: str = "") -> ArchiveError:
    """Tell of a fault of the archive, or of a name in it, however wild or long that is."""
    where = f"{name[:_QUOTED]!r} in it " if name else ""
    return ArchiveError(
        f"{where}{what}; replace it by a sound copy, or unpack it yourself if you trust it"
    )
