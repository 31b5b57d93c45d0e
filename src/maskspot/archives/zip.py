"""The entries of a zip."""

import os
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from maskspot.archives.entries import ArchiveEntry, link_target
from maskspot.archives.limits import BLOCK, ArchiveLimits, exactly, explained, refusal, too_many

_ENCRYPTED, _UTF_8 = 0x41, 0x800  # flags of a member
_COMPRESSIONS: dict[int, Literal["", "deflate"]] = {
    zipfile.ZIP_STORED: "",
    zipfile.ZIP_DEFLATED: "deflate",
}
_KNOWN = (*_COMPRESSIONS, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_LOCAL_HEADER = 30  # bytes before a member, at least
_LONGEST_LINK = 4096  # bytes of a path
_PROPERTIES = 9  # bytes before data that LZMA compressed: 2 of a version, 2 of a size, 5


def walk_zip(path: str, limits: ArchiveLimits) -> Iterator[ArchiveEntry]:
    """Yield the entries of a zip in the order of its directory.

    The file is closed once the last entry is gone. Any number of threads may read entries.

    Raises:
        ArchiveError: there are too many entries, or some share bytes.
    """
    source = zipfile.ZipFile(path)
    infos = source.infolist()
    if len(infos) > limits.files:
        raise too_many(limits)
    _refuse_overlaps(infos)
    lock = threading.Lock()
    for info in infos:
        name = _name(info)
        kind = _kind(info, name)
        yield ArchiveEntry(
            name,
            kind,
            info.file_size,
            partial(_read, source, info, lock),
            lasting=True,
            packed=info.compress_size,
            crc=info.CRC,
            target=_target(source, info, lock) if kind == "link" else "",
            obstacle=_obstacle(info),
            compression=_COMPRESSIONS.get(info.compress_type, "other"),
        )


def _refuse_overlaps(infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a zip whose members share bytes, through which it could grow without limit."""
    members = sorted(infos, key=lambda info: info.header_offset)
    for info, following in pairwise(members):
        if info.header_offset + _LOCAL_HEADER + info.compress_size > following.header_offset:
            raise refusal("holds files that overlap")


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's name with slashes.

    It is decoded as UTF-8 where possible, as many programs write UTF-8 without flagging it.
    """
    name = info.orig_filename  # `filename` was changed, in ways that differ between versions
    if not info.flag_bits & _UTF_8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _kind(info: zipfile.ZipInfo, name: str) -> Literal["file", "folder", "link", "other"]:
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode == stat.S_IFLNK:
        return "link"
    is_folder = name.endswith("/")
    if mode not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
        return "other"
    return "folder" if is_folder else "file"


def _obstacle(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    return "" if info.compress_type in _KNOWN else "compressed in an unusual way"


def _target(source: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock) -> str:
    """Return the path that a link leads to; "" if that cannot be read."""
    if info.flag_bits & _ENCRYPTED or info.file_size > _LONGEST_LINK:
        return ""
    try:
        text = b"".join(_blocks(source, info, lock)).decode("utf-8", "surrogateescape")
    except Exception:  # damage of many kinds; other entries can still be read
        return ""
    return link_target(_name(info), text)


def _read(source: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock) -> Iterator[bytes]:
    return explained(_blocks(source, info, lock), _name(info))


def _blocks(
    source: zipfile.ZipFile, info: zipfile.ZipInfo, lock: threading.Lock
) -> Iterator[bytes]:
    if info.compress_type not in _COMPRESSIONS:
        yield from _unpacked(source, info)
        return
    with lock:  # zipfile counts its open files without one
        file = source.open(info)
    try:
        yield from iter(partial(file.read, BLOCK), b"")
    finally:
        with lock:
            file.close()


def _unpacked(source: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of a member in blocks; zipfile unpacks all that it reads, of any size.

    Raises:
        ArchiveError: it needs too much memory.
        Exception: of many kinds; the member is damaged.
    """
    with open(os.fspath(source.filename or ""), "rb") as file:
        file.seek(info.header_offset)
        header = struct.unpack("<4s22x2H", exactly(file, _LOCAL_HEADER))
        file.seek(header[1] + header[2], os.SEEK_CUR)
        packed, left, crc = info.compress_size, info.file_size, 0
        if header[0] != b"PK\3\4":
            raise zipfile.BadZipFile
        decoder: Any
        if info.compress_type == zipfile.ZIP_LZMA:
            from maskspot.archives.xz import raw_decoder

            packed -= _PROPERTIES
            decoder = raw_decoder(exactly(file, _PROPERTIES)[-5:])
        else:
            from bz2 import BZ2Decompressor

            decoder = BZ2Decompressor()
        while left:
            data = b""
            if decoder.needs_input:
                data = exactly(file, min(BLOCK, packed))
                packed -= len(data)
            block = decoder.decompress(data, min(BLOCK, left))
            if not block and (decoder.eof or not (packed or data)):
                raise EOFError
            left -= len(block)
            crc = zlib.crc32(block, crc)
            yield block
        if crc != info.CRC:
            raise zipfile.BadZipFile
