"""The entries of a zip or tar archive, which is recognised by its content."""

import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Literal

from maskspot.archives.limits import LIMITS, ArchiveLimits, Bounded, explained

TAR_BLOCK = 512
"""Bytes of a block of a tar."""

_ZIP = (b"PK\3\4", b"PK\5\6")
_XZ = b"\xfd7zXZ\0"
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2"}


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """An entry of an archive, as the archive describes it: nothing of this can be trusted.

    Attributes:
        name: path of the entry, which may lead anywhere; that of a folder ends in a slash.
        kind: what the entry is.
        size: bytes of the content, unpacked.
        blocks: yields the content block by block, and raises `ArchiveError` where it is damaged.
        lasting: whether `blocks` may be called later, and in any thread; otherwise it must be
            called before the next entry is taken.
        packed: bytes of the content in the archive, if each entry is compressed on its own.
        crc: CRC-32 of the content, if the archive lists it.
        target: for a link, the path that it leads to, from the root of the archive; "" if that
            is outside of it.
        obstacle: why the content cannot be read, such as "encrypted"; "" if it can.
        compression: how the entry itself is compressed, "" if it is not.
    """

    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int
    blocks: Callable[[], Iterator[bytes]]
    lasting: bool
    packed: int | None = None
    crc: int | None = None
    target: str = ""
    obstacle: str = ""
    compression: Literal["", "deflate", "other"] = ""

    def exceeds(self, limits: ArchiveLimits) -> bool:
        """Return whether the entry would grow too much, as far as its sizes are listed."""
        return self.packed is not None and self.size > limits.growth(self.packed)


def walk_archive(
    path: str, limits: ArchiveLimits = LIMITS, check_end: bool = False
) -> Iterator[ArchiveEntry]:
    """Yield the entries of a zip or tar (also gz, bz2, xz) one after another.

    Only the limits on the size of the whole archive, and the number of entries of a zip, are
    checked here. Entries of a zip come as its directory lists them.

    Args:
        path: the archive.
        limits: how much it may hold.
        check_end: refuse a tar with more data after its end.

    Raises:
        ArchiveError: it is damaged, or too large for its size, or its members share bytes.
        OSError: it cannot be read.
        ImportError: this Python lacks the module for a compression.
    """
    return explained(_walk(path, limits, check_end))


def _walk(path: str, limits: ArchiveLimits, check_end: bool) -> Iterator[ArchiveEntry]:
    if is_zip(path):
        from maskspot.archives.zip import walk_zip

        yield from walk_zip(path, limits)
        return
    from maskspot.archives.tar import walk_tar

    with open(path, "rb") as file:
        stream = _unpacked(file)
        if stream is file:
            yield from walk_tar(file, check_end, path)
        else:
            most = limits.growth(os.fstat(file.fileno()).st_size)
            yield from walk_tar(Bounded(stream, most), check_end)


def is_zip(path: str) -> bool:
    """Return whether a file begins as a zip does."""
    with open(path, "rb") as file:
        return file.read(4) in _ZIP


def is_archive(path: str) -> bool:
    """Return whether a file is a zip or a tar (also gz, bz2, xz), judged by its content."""
    try:
        # Reading from a pipe would consume its content.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(TAR_BLOCK)
            if head.startswith(_ZIP) or _is_tar(head):
                return True
            if not head.startswith((_XZ, *_COMPRESSED)):
                return False
            try:
                return _is_tar(_unpacked(file).read(TAR_BLOCK))
            except Exception:  # damaged from the start, which `walk_archive` reports
                return True
    except (OSError, ValueError):
        return False


def clean(name: str) -> str:
    """Return the name of an entry without empty parts and single dots."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def link_target(name: str, target: str) -> str:
    """Return the path that a symbolic link leads to, from the root; "" if it is outside.

    Args:
        name: of the link.
        target: what the link contains.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(clean(name)), target))
    return "" if path.startswith(("/", "../")) or path in (".", "..") else path


def _is_tar(header: bytes) -> bool:
    """Return whether the first block of a tar has the checksum that it states."""
    try:
        stated = int(header[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return len(header) == TAR_BLOCK and stated == sum(header[:148]) + 256 + sum(header[156:])


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """Return the stream that a file is the compressed form of, or else the file at its start."""
    file.seek(0)
    head = file.read(6)
    file.seek(0)
    # Modules are imported only here, as some builds of Python lack them.
    if head.startswith(_XZ):
        from maskspot.archives.xz import open_xz

        return open_xz(file)
    for magic, module in _COMPRESSED.items():
        if head.startswith(magic):
            stream: IO[bytes] = import_module(module).open(file)
            return stream
    return file
