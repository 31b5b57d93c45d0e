"""The images in a zip or a tar, read in place; their names are only shown, never written to."""

import importlib
import os
import posixpath
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, cast

from maskspot.archives.limits import LIMITS, ArchiveError, Bounded, check_zip, fault
from maskspot.errors import DataError, ImageError, fail
from maskspot.inputs.folders import HIDDEN, NO_FILE, NO_IMAGE, is_hidden, is_image, path_key

if TYPE_CHECKING:
    import zipfile

LIMIT = 2**30
"""Bytes that an image's file may have where we hold it in memory."""

Member = tuple[str, Callable[[], bytes]]
"""An image's name, and what reads it, in any thread, or raises `ImageError`."""

_SMALL = 2**26  # bytes, up to which nothing is known by how much it grows
_BLOCK, _TAPE, _MEGA = 2**18, 512, 2**20
_ZIP = (b"PK\3\4", b"PK\5\6")
_LONG = {b"L": b"path", b"K": b"linkpath"}  # what GNU's members say of the next one
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
_ENCRYPTED, _UTF_8 = 0x41, 0x800  # a zip's flags
_LINKS = 40  # in a row, as Linux follows them
_LONGEST_LINK = 4096  # bytes of a path
_ELSEWHERE = "linked to what is not in the archive"


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


def members(path: str, passed: Counter[str] | None = None) -> Iterator[Member]:
    """Give the images in an archive, by name; files with other endings and hidden ones are not.

    Those of a zip come in natural order, those of a tar as they lie in it, since a compressed
    one can only be read from its start; its links come last. A link is the member that it leads
    to; nothing outside the archive is ever read. Images that are encrypted, damaged or too large
    are told by what reads them.

    Args:
        path: the archive.
        passed: counts what is left out, by reason.

    Raises:
        DataError: the archive is damaged, or holds more than `archives.LIMITS`; what came before
            stands. An uncompressed tar may hold any number of images, as it cannot grow.
    """
    passed = Counter() if passed is None else passed
    try:
        with open(path, "rb") as file:
            is_zip = file.read(4) in _ZIP
        yield from _zip_members(path, passed) if is_zip else _tar_members(path, passed)
    except ArchiveError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:
        # Over damage zipfile, tarfile and the decompressors raise a dozen kinds.
        why = getattr(error, "strerror", None) or "damaged or cut short"
        raise DataError(
            f"{path}: {why}; replace this archive by a sound copy, or unpack what is left of it"
        ) from error


def _zip_members(path: str, passed: Counter[str]) -> Iterator[Member]:
    import zipfile

    # Images are read after we have given the last: it is closed when the last of them goes.
    source = zipfile.ZipFile(path)
    check_zip(source.infolist())
    lock = threading.Lock()
    found, links = [], {}
    for info in source.infolist():
        name, kind = _slashed(info), stat.S_IFMT(info.external_attr >> 16)
        if kind in (0, stat.S_IFREG):
            if shown := _shown(name, passed):
                found.append((shown, info))
        elif kind == stat.S_IFLNK:
            links[_clean(name)] = _zip_link(source, info, name)
        elif kind != stat.S_IFDIR:
            passed[NO_FILE] += 1
    targets = _linked(links, passed)
    others = {_clean(_slashed(info)): info for info in source.infolist()} if any(targets) else {}
    for target, names in targets.items():
        if target in others:
            found += [(name, others[target]) for name in names]
        else:
            passed[_ELSEWHERE] += len(names)
    grown = sum(info.file_size for _, info in found if info.compress_type)
    if grown > _most(os.stat(path).st_size):
        raise fault(f"holds {grown} bytes of images, too many for its size")
    found.sort(key=lambda each: path_key(each[0]))
    for name, info in found:
        yield name, partial(_read_zip, source, info, lock)


def _zip_link(source: "zipfile.ZipFile", info: "zipfile.ZipInfo", name: str) -> str:
    """Return where a link leads, from the root of the zip."""
    if info.flag_bits & _ENCRYPTED or info.file_size > _LONGEST_LINK:
        return ""
    try:
        with source.open(info) as file:
            text = file.read(_LONGEST_LINK).decode("utf-8", "surrogateescape")
    except Exception:  # damaged, in one of a dozen ways: the others are whole
        return ""
    return _join(name, text)


def _slashed(info: "zipfile.ZipInfo") -> str:
    """Return a member's name: many programs write UTF-8 and do not say so, as macOS does."""
    name = info.filename
    if not info.flag_bits & _UTF_8:
        with suppress(UnicodeError):  # no UTF-8: what zipfile made of it stays
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


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


def _tar_members(path: str, passed: Counter[str]) -> Iterator[Member]:
    links: dict[str, str] = {}

    def names_of(name: str, target: str | None) -> list[str]:
        if target is None:
            return [shown] if (shown := _shown(name, passed)) else []
        links[_clean(name)] = target
        return []

    yield from _read_tar(path, names_of)
    wanted = _linked(links, passed)
    if any(wanted):  # which the archive is read a second time for
        yield from _read_tar(path, lambda name, _: wanted.pop(_clean(name), []))
    if wanted:
        passed[_ELSEWHERE] += sum(map(len, wanted.values()))


def _read_tar(path: str, names_of: Callable[[str, str | None], list[str]]) -> Iterator[Member]:
    """Give members by the names that are wanted of each, by its own name and where it leads."""
    with open(path, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        stream: IO[bytes] | Bounded = _unpacked(file)
        if stream is not file:
            stream = Bounded(cast("IO[bytes]", stream), _most(total))
        for count, (name, size, whole, target) in enumerate(_walk_tar(stream)):
            if stream is not file and count >= LIMITS.files:
                raise fault(f"holds more than {LIMITS.files} files")
            names = names_of(name, target)
            if not names or target is not None:
                continue
            read: Callable[[], bytes]
            if not whole:
                read = partial(fail, ImageError("a sparse file; unpack its archive first"))
            elif size > LIMIT:
                large = ImageError(f"{size:,} bytes are too many to read", "too large")
                read = partial(fail, large)
            elif stream is file:
                if file.tell() + size > total:
                    raise EOFError
                read = partial(_read_at, path, file.tell(), size)
            else:
                read = partial(bytes, _exactly(stream, size))
            for each in names:
                yield each, read


def _most(packed: int) -> int:
    """Return how many bytes may come of an archive of a size."""
    return min(LIMITS.total, max(_SMALL, LIMITS.ratio * packed))


def _walk_tar(stream: IO[bytes] | Bounded) -> Iterator[tuple[str, int, bool, str | None]]:
    """Give files: name, size, and whether that is all; `stream` is then where their content is.

    Links have no content, but where they lead, from the root of the tar; files have None there.

    The module tarfile takes damage in the middle for the end, and reads headers of any size.
    """
    import tarfile

    said: dict[bytes, bytes] = {}  # of the next file, instead of what its header says
    while any(header := _exactly(stream, _TAPE)):
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        kind, size = info.type, info.size
        if kind in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, *_LONG):
            text = _exactly(stream, size if size <= _MEGA else -1)
            key = _LONG.get(kind)
            said |= {key: text.partition(b"\0")[0]} if key else read_pax(text)
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
            yield name.decode("utf-8", "surrogateescape"), size, whole, None
        elif kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
            at, to = (
                said.get(key, text.encode("utf-8", "surrogateescape")).decode(
                    "utf-8", "surrogateescape"
                )
                for key, text in ((b"path", info.name), (b"linkpath", info.linkname))
            )
            yield at, 0, True, _join(at, to) if kind == tarfile.SYMTYPE else _clean(to)
        stream.seek(start + size + -size % _TAPE)
        if kind != tarfile.XGLTYPE:
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
        if key in (b"path", b"size", b"linkpath") or key.startswith(b"GNU.sparse"):
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


def _shown(name: str, passed: Counter[str]) -> str:
    """Return the name to show, or none of what is to be left out, which is counted."""
    if name.endswith("/"):  # a folder
        return ""
    clean = _clean(name)
    if is_hidden(clean) or "__MACOSX" in clean.split("/"):
        passed[HIDDEN] += 1
    elif not is_image(clean):
        passed[NO_IMAGE] += 1
    else:
        return clean
    return ""


def _clean(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _join(name: str, target: str) -> str:
    """Return where a symbolic link of this name leads, from the root; "" for outside."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(_clean(name)), target))
    return "" if path.startswith(("/", "../")) or path in (".", "..") else path


def _linked(links: dict[str, str], passed: Counter[str]) -> dict[str, list[str]]:
    """Return the names to show of links, by the members that they lead to in the end."""
    found: dict[str, list[str]] = {}
    for name, target in links.items():
        if not (shown := _shown(name, passed)):
            continue
        end, steps = target, 0
        while end in links and steps < _LINKS:
            end, steps = links[end], steps + 1
        found.setdefault("" if end in links else end, []).append(shown)
    return found
