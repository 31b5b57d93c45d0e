"""How much an archive may hold, and how a refusal is worded."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TypeVar

from maskspot.errors import DataError

BLOCK = 2**18
"""Bytes to read at once."""

DICTIONARY = 2**27
"""Largest dictionary, in bytes, of what is compressed with LZMA: `xz -9` takes half of it."""

_QUOTED = 80  # characters of a name
_T = TypeVar("_T")


class ArchiveError(DataError):
    """An archive that cannot be read; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive may hold.

    Attributes:
        files: number of entries.
        total: bytes of all files, unpacked.
        ratio: unpacked bytes for each packed byte, in one member of a zip or a whole archive.
        floor: unpacked bytes up to which the ratio is not checked.
    """

    files: int = 200_000
    total: int = 50 * 2**30
    ratio: int = 200
    floor: int = 2**20

    def growth(self, packed: int) -> int:
        """Return how many bytes may be unpacked from `packed` bytes."""
        return max(self.floor, self.ratio * packed)


LIMITS = ArchiveLimits()
"""The limits for archives whose files are written to disk."""


class Bounded:
    """A stream that can only be read forwards, and fails once too much has been read.

    Raises:
        ArchiveError: more was read than is allowed.
    """

    def __init__(self, stream: IO[bytes], most: int) -> None:
        """Wrap a stream that is at its start.

        Args:
            stream: the stream to read.
            most: number of bytes that may be read.
        """
        self._stream, self._most, self._at = stream, most, 0

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        data = self._stream.read(size)
        self._at += len(data)
        if self._at > self._most:
            raise refusal(f"holds more than {self._most} bytes, too many for its size")
        return data

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def seek(self, offset: int) -> int:
        """Skip bytes up to an offset that is ahead, or up to the end of the stream."""
        while self._at < offset and self.read(min(BLOCK, offset - self._at)):
            pass
        return self._at


def refusal(what: str, name: str = "") -> ArchiveError:
    """Return an error about an archive, or about one entry of it, whatever the entry's name."""
    where = f"{name[:_QUOTED]!r} in it " if name else ""
    return ArchiveError(
        f"{where}{what}; replace it by a sound copy, or unpack it yourself if you trust it"
    )


def too_many(limits: ArchiveLimits) -> ArchiveError:
    """Return the error about an archive that holds too many files or too many bytes."""
    return refusal(f"holds more than {limits.files} files or {limits.total} bytes")


def explained(items: Iterator[_T], name: str = "") -> Iterator[_T]:
    """Turn the many errors that damaged archives cause into one.

    Args:
        items: what is read from an archive.
        name: the entry that is read; "" for the archive as a whole.

    Raises:
        ArchiveError: the archive is damaged or refused.
        OSError: the archive cannot be read for reasons of the system.
        ImportError: this Python lacks the module for a compression.
    """
    try:
        yield from items
    except (ArchiveError, ImportError):
        raise
    except Exception as error:
        # Damage causes an OSError without a number, or that of an invalid seek.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        what = "is damaged, cut short, or not a zip or tar archive"
        raise refusal("is damaged or cut short" if name else what, name) from error


def exactly(stream: IO[bytes] | Bounded, size: int) -> bytes:
    """Read `size` bytes.

    Raises:
        ValueError: the size is negative.
        EOFError: the stream ends before.
    """
    if size < 0:
        raise ValueError(size)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def in_blocks(stream: IO[bytes] | Bounded, size: int) -> Iterator[bytes]:
    """Yield the next `size` bytes, block by block; errors are those of `exactly`."""
    while size:
        block = exactly(stream, min(size, BLOCK))
        size -= len(block)
        yield block
