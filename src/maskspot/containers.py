"""The images in a zip or a tar, read in place; their names are only shown, never written to."""

import importlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, cast

from maskspot.archives import LIMITS, ArchiveError, Bounded, check_zip, fault
from maskspot.errors import DataError, ImageError, fail
from maskspot.folders import is_hidden, is_image, path_key

if TYPE_CHECKING:
    import zipfile

LIMIT = 2**30
"""Bytes that an image's file may have where we hold it in memory."""

Member = tuple[str, Callable[[], bytes]]
"""An image's name, and what reads it, in any thread, or raises `ImageError`."""

_SMALL = 2**26  # bytes, up to which nothing is known by how much it grows
_BLOCK, _TAPE, _MEGA = 2**18, 512, 2**20
_ZIP = (b"PK\3\4", b"PK\5\6")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
_ENCRYPTED, _UTF_8 = 0x41, 0x800  # a zip's flags


def is_archive(path: str) -> bool:
    """Say whether a file is a zip or a tar (also gz, bz2, xz), by its content."""
    try:
        # Looking into a pipe would use up what is in it.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            head = file.read(_TAPE)
            if head.startswith(_ZIP) or _is_tar(head):
                return True
            if not head.startswith(tuple(_COMPRESSED)):
                return False
            try:
                return _is_tar(_unpacked(file).read(_TAPE))
            except Exception:  # damaged from its start: `members` says so
                return True
    except (OSError, ValueError):
        return False


def members(path: str) -> Iterator[Member]:
    """Give the images in an archive, by name; files with other endings and hidden ones are not.

    Those of a zip come in natural order, those of a tar as they lie in it, since a compressed
    one can only be read from its start. Images that are encrypted, damaged or too large are told
    by what reads them.

    Raises:
        DataError: the archive is damaged, or holds more than `archives.LIMITS`; what came before
            stands. An uncompressed tar may hold any number of images, as it cannot grow.
    """
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) in _ZIP
        yield from _zip_members(path) if is_zip else _tar_members(path)
    except ArchiveError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:
        # Over damage zipfile, tarfile and the decompressors raise a dozen kinds.
        why = getattr(error, "strerror", None) or "damaged or cut short"
        raise DataError(
            f"{path}: {why}; replace this archive by a sound copy, or unpack what is left of it"
        ) from error


def _zip_members(path: str) -> Iterator[Member]:
    import zipfile

    # Images are read after we have given the last: it is closed when the last of them goes.
    source = zipfile.ZipFile(path)
    check_zip(source.infolist())
    lock = threading.Lock()
    found = [
        (name, info)
        for info in source.infolist()
        if stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
        and (name := _shown(_zip_name(info).replace("\\", "/")))
    ]
    grown = sum(info.file_size for _, info in found if info.compress_type)
    if grown > _most(os.stat(path).st_size):
        raise fault(f"holds {grown} bytes of images, too many for its size")
    found.sort(key=lambda each: path_key(each[0]))
    for name, info in found:
        yield name, partial(_read_zip, source, info, lock)


def _zip_name(info: "zipfile.ZipInfo") -> str:
    """Return a member's name: many programs write UTF-8 and do not say so, as macOS does."""
    name = info.filename
    if not info.flag_bits & _UTF_8:
        with suppress(UnicodeError):  # no UTF-8: what zipfile made of it stays
            name = name.encode("cp437").decode("utf-8")
    return name


def _read_zip(source: "zipfile.ZipFile", info: "zipfile.ZipInfo", lock: threading.Lock) -> bytes:
    size = info.file_size
    if info.flag_bits & _ENCRYPTED:
        raise ImageError("encrypted; unpack its archive first")
    if size > LIMIT or size > max(_SMALL, LIMITS.ratio * info.compress_size):
        raise ImageError(f"{size:,} bytes are too many to unpack in memory", "too large")
    # Of these two kinds zipfile unpacks no more than is asked for; of others all that it has read.
    step = _BLOCK if info.compress_type in (0, 8) else 2**12
    try:
        with lock:  # zipfile counts its open files without one
            file = source.open(info)
        try:
            return b"".join(iter(partial(file.read, step), b""))
        finally:
            with lock:
                file.close()
    except NotImplementedError:
        raise ImageError("compressed in an unusual way; unpack its archive first") from None
    except Exception as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ImageError(f"damaged in its archive ({why})") from error


def _tar_members(path: str) -> Iterator[Member]:
    with open(path, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        stream: IO[bytes] | Bounded = _unpacked(file)
        if stream is not file:
            stream = Bounded(cast("IO[bytes]", stream), _most(total))
        for count, (name, size, whole) in enumerate(_walk_tar(stream)):
            if stream is not file and count >= LIMITS.files:
                raise fault(f"holds more than {LIMITS.files} files")
            shown = _shown(name)
            if not shown:
                continue
            if not whole:
                yield shown, partial(fail, ImageError("a sparse file; unpack its archive first"))
            elif size > LIMIT:
                large = ImageError(f"{size:,} bytes are too many to read", "too large")
                yield shown, partial(fail, large)
            elif stream is file:
                if file.tell() + size > total:
                    raise EOFError
                yield shown, partial(_read_at, path, file.tell(), size)
            else:
                yield shown, partial(bytes, _exactly(stream, size))


def _most(packed: int) -> int:
    """Return how many bytes may come of an archive of a size."""
    return min(LIMITS.total, max(_SMALL, LIMITS.ratio * packed))


def _walk_tar(stream: IO[bytes] | Bounded) -> Iterator[tuple[str, int, bool]]:
    """Give files: name, size, and whether that is all; `stream` is then where their content is.

    The module tarfile takes damage in the middle for the end, and reads headers of any size.
    """
    import tarfile

    said: dict[bytes, bytes] = {}  # of the next file, instead of what its header says
    while any(header := _exactly(stream, _TAPE)):
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        kind, size = info.type, info.size
        if kind in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            text = _exactly(stream, size if size <= _MEGA else -1)
            is_name = kind == tarfile.GNUTYPE_LONGNAME
            said |= {b"path": text.partition(b"\0")[0]} if is_name else read_pax(text)
            stream.seek(-size % _TAPE, os.SEEK_CUR)
            continue
        if kind == tarfile.GNUTYPE_SPARSE:
            more = header[482]
            while more:
                more = _exactly(stream, _TAPE)[504]
        links = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE)
        has_content = kind not in (*links, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
        size = int(said.get(b"size", size)) if has_content else 0
        if size < 0:
            raise ValueError(size)
        start = stream.tell()
        if kind in tarfile.REGULAR_TYPES:
            name = said.get(b"path", info.name.encode("utf-8", "surrogateescape"))
            whole = kind != tarfile.GNUTYPE_SPARSE and b"GNU.sparse" not in said
            yield name.decode("utf-8", "surrogateescape"), size, whole
        stream.seek(start + size + -size % _TAPE)
        if kind not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            said = {}
    stream.read(_MEGA)  # what has a checksum has it at its end


def read_pax(text: bytes) -> dict[bytes, bytes]:
    """Read what matters of lines such as `21 path=images/a.jpg`, 21 being its length in bytes."""
    found = {}
    at = 0
    while at < len(text):
        start = text.index(b" ", at) + 1
        end = at + int(text[at : start - 1])
        if not start < end <= len(text):
            raise ValueError(end)
        key, _, value = text[start : end - 1].partition(b"=")
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse"):
            found[key[:10]] = value
        at = end
    return found


def _is_tar(header: bytes) -> bool:
    """Does a tar's first block have the checksum that it states?"""
    try:
        stated = int(header[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return len(header) == _TAPE and stated == sum(header[:148]) + 256 + sum(header[156:])


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    head = file.read(6)
    file.seek(0)
    for magic, module in _COMPRESSED.items():
        if head.startswith(magic):  # not imported before, as a Python may lack it
            stream: IO[bytes] = importlib.import_module(module).open(file)
            return stream
    return file


def _exactly(stream: IO[bytes] | Bounded, size: int) -> bytes:
    if size < 0:
        raise ValueError(size)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _read_at(path: str, start: int, size: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return _exactly(file, size)
    except EOFError:
        raise ImageError("its archive has changed while it was read") from None


def _shown(name: str) -> str:
    """Return the name to show, or none of what is to be left out."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    name = "/".join(parts)
    shown = is_image(name) and not is_hidden(name) and "__MACOSX" not in parts
    return name if shown and not name.endswith("/") else ""
