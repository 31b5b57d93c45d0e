"""The entries of a tar.

The module tarfile takes damage in the middle for the end, trusts the sizes that headers state and
reads extended headers of any size; only its parser of a single header is used.
"""

import os
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Literal

from maskspot.archives.entries import TAR_BLOCK, ArchiveEntry, clean, link_target
from maskspot.archives.limits import BLOCK, Bounded, exactly, explained, in_blocks

_LONGEST_HEADER = _LONGEST_PADDING = 2**20  # bytes
_LONG = {tarfile.GNUTYPE_LONGNAME: b"path", tarfile.GNUTYPE_LONGLINK: b"linkpath"}
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, *_LONG)
_LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)
_EMPTY = (*_LINKS, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_SPARSE = b"GNU.sparse"

_Fields = dict[bytes, bytes]
"""What extended headers state about the next entry, in place of its own header."""


def walk_tar(
    stream: IO[bytes] | Bounded, check_end: bool, path: str | None = None
) -> Iterator[ArchiveEntry]:
    """Yield the entries of a tar in the order in which they are stored.

    Args:
        stream: the tar, unpacked, at its start.
        check_end: refuse more data after the end.
        path: the file that `stream` reads, if it is a file; entries can then be read later.

    Raises:
        Exception: of many kinds; the tar is damaged.
    """
    end = None if path is None else os.stat(path).st_size
    fields: _Fields | None = None
    while any(header := exactly(stream, TAR_BLOCK)):
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if info.type in _EXTENDED:
            fields = (fields or {}) | _read_extended(stream, info)
            continue
        if info.type == tarfile.GNUTYPE_SPARSE:
            _skip_sparse_headers(stream, header)
        named = {} if info.type == tarfile.XGLTYPE else fields or {}
        size = 0 if info.type in _EMPTY else int(named.get(b"size", info.size))
        start = stream.tell()
        if size < 0 or (end is not None and start + size > end):
            raise EOFError
        if info.type != tarfile.XGLTYPE:
            read = partial(in_blocks, stream, size)
            if path is not None:
                read = partial(_read_at, path, start, size)
            yield _entry(info, named, size, read, path is not None)
            fields = None
        stream.seek(start + size + -size % TAR_BLOCK)
    if fields is not None:
        raise EOFError
    rest = stream.read(_LONGEST_PADDING)  # up to the checksum that compressed streams end in
    while check_end and rest:
        if rest.strip(b"\0"):
            raise ValueError("more data after the end")
        rest = stream.read(BLOCK)


def _entry(
    info: tarfile.TarInfo,
    fields: _Fields,
    size: int,
    read: Callable[[], Iterator[bytes]],
    lasting: bool,
) -> ArchiveEntry:
    name, target = (
        fields.get(key, stated.encode("utf-8", "surrogateescape")).decode(
            "utf-8", "surrogateescape"
        )
        for key, stated in ((b"path", info.name), (b"linkpath", info.linkname))
    )
    is_sparse = info.type == tarfile.GNUTYPE_SPARSE or _SPARSE in fields
    kind = _kind(info.type, name)
    return ArchiveEntry(
        f"{name}/" if kind == "folder" else name,
        kind,
        size,
        lambda: explained(read(), name),
        lasting,
        target=link_target(name, target) if info.type == tarfile.SYMTYPE else clean(target),
        obstacle="a sparse file" if is_sparse else "",
    )


def _kind(kind: bytes, name: str) -> Literal["file", "folder", "link", "other"]:
    if kind == tarfile.DIRTYPE or (kind in tarfile.REGULAR_TYPES and name.endswith("/")):
        return "folder"
    if kind in tarfile.REGULAR_TYPES:
        return "file"
    return "link" if kind in _LINKS else "other"


def _read_extended(stream: IO[bytes] | Bounded, info: tarfile.TarInfo) -> _Fields:
    if info.size > _LONGEST_HEADER:
        raise ValueError(info.size)
    text = exactly(stream, info.size)
    exactly(stream, -info.size % TAR_BLOCK)
    key = _LONG.get(info.type)
    return {key: text.partition(b"\0")[0]} if key else _read_pax(text)


def _read_pax(text: bytes) -> _Fields:
    """Parse lines such as `21 path=images/a.jpg`, where 21 is the length of the line in bytes."""
    found = {}
    at = 0
    while at < len(text):
        start = text.index(b" ", at) + 1
        end = at + int(text[at : start - 1])
        if not start < end <= len(text):
            raise ValueError(end)
        key, _, value = text[start : end - 1].partition(b"=")
        if key in (b"path", b"size", b"linkpath") or key.startswith(_SPARSE):
            found[key[: len(_SPARSE)]] = value
        at = end
    return found


def _skip_sparse_headers(stream: IO[bytes] | Bounded, header: bytes) -> None:
    """Skip the blocks with which GNU's old format continues the map of a sparse file."""
    more = header[482]
    while more:
        more = exactly(stream, TAR_BLOCK)[504]


def _read_at(path: str, start: int, size: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        yield from in_blocks(file, size)
