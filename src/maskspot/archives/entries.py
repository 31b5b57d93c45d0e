"""What is in a zip or a tar, whoever made it: each entry, and its content, read with suspicion."""

import errno
import importlib
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TypeVar

from maskspot.archives.limits import BLOCK, ArchiveError, Bounded, check_zip, fault
from maskspot.inputs.archives import read_pax

Entry = tuple[str, int, int | None, Iterator[bytes]]
"""A file as it is listed, or a folder, which ends in a slash: name, size, CRC-32 if that is listed
too, and content, to be read before the next entry."""

Walk = Callable[[], Iterator[Entry]]
"""Gives the entries of an archive from its start, each time it is called."""

_TAPE, _MEGA = 512, 2**20  # bytes of a tar's blocks, of a MiB
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
_ENCRYPTED = 0x41
_SPARSE = b"GNU.sparse"
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE)
_T = TypeVar("_T")


def walk_archive(stream: IO[bytes], ratio: int) -> Iterator[Entry]:
    """Give the entries of a zip or tar (also gz, bz2, xz), told by its content, from its start.

    Args:
        stream: the file.
        ratio: bytes unpacked for each one packed, as in `archive.Limits`.

    Raises:
        ArchiveError: it is damaged, or has something in it that is no plain file or folder.
    """
    stream.seek(0)
    head = stream.read(6)
    stream.seek(0)
    size = os.fstat(stream.fileno()).st_size
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return _sane(_walk_zip(stream, ratio))
    for magic, module in _COMPRESSED.items():
        if head.startswith(magic):  # not imported before, as a Python may lack it
            stream = importlib.import_module(module).open(stream)
    return _sane(_walk_tar(Bounded(stream, max(_MEGA, size * ratio))))


def _walk_zip(stream: IO[bytes], ratio: int) -> Iterator[Entry]:
    with zipfile.ZipFile(stream) as source:
        check_zip(source.infolist())
        for info in source.infolist():
            name = info.orig_filename  # `filename` has been mended, in ways that vary
            kind = stat.S_IFDIR if name.endswith(("/", "\\")) else stat.S_IFREG
            if stat.S_IFMT(info.external_attr >> 16) not in (0, kind):
                raise fault("is a link or another thing that is no file", name)
            if info.flag_bits & _ENCRYPTED:
                raise fault("is encrypted", name)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise fault("is compressed in an unusual way", name)
            if info.file_size > max(_MEGA, ratio * info.compress_size):
                raise fault(f"would grow more than {ratio} times", name)
            yield name, info.file_size, info.CRC, _sane(_unzip(source, info), name)


def _unzip(source: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with source.open(info) as file:  # which gives file_size at most
        while block := file.read(BLOCK):
            yield block


def _walk_tar(stream: Bounded) -> Iterator[Entry]:
    """Read forwards only; TarFile seeks, trusts sizes, and takes damage for the end."""
    said: dict[bytes, bytes] = {}  # of the next file, instead of what its header says
    while any(header := b"".join(_take(stream, _TAPE))):
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        size = info.size
        if info.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME) and size <= _MEGA:
            text = b"".join(_take(stream, size))
            is_pax = info.type == tarfile.XHDTYPE
            said |= read_pax(text) if is_pax else {b"path": text.partition(b"\0")[0]}
        elif info.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            measure(_take(stream, size))
        else:
            path = said.get(b"path", info.name.encode("utf-8", "surrogateescape"))
            name = path.decode("utf-8", "surrogateescape") + "/" * info.isdir()
            size = 0 if info.isdir() else int(said.get(b"size", size))
            if info.type not in _PLAIN or _SPARSE in said:
                raise fault("is a link or another thing that is no file", name)
            content = _sane(_take(stream, size), name)
            yield name, size, None, content
            measure(content)
            said = {}
        measure(_take(stream, -size % _TAPE))
    while rest := stream.read(BLOCK):
        if rest.strip(b"\0"):
            raise ValueError("more after the end")


def _take(stream: Bounded, size: int) -> Iterator[bytes]:
    """Give the next bytes of a tar."""
    if size < 0:
        raise ValueError(size)
    while size:
        block = stream.read(min(size, BLOCK))
        size -= len(block)
        if not block:
            raise EOFError
        yield block


def _sane(items: Iterator[_T], name: str = "") -> Iterator[_T]:
    """Make one error of the dozen that reading raises over damage."""
    try:
        yield from items
    except ArchiveError:
        raise
    except Exception as error:
        # Of damage comes an OSError without a number, or that of a seek to nowhere.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise fault("is damaged, cut short, or no zip or tar", name) from error


def measure(blocks: Iterable[bytes], write: Callable[[bytes], object] = len) -> tuple[int, int]:
    """Pass blocks on; give their size and CRC-32."""
    size = crc = 0
    for block in blocks:
        size += len(block)
        crc = zlib.crc32(block, crc)
        write(block)
    return size, crc
