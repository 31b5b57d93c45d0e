"""Unpack a zip or tar of images, whoever made it, into a folder: all of it or nothing."""

import errno
import importlib
import itertools
import os
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from maskspot.errors import DataError

_TAPE, _BLOCK, _MEGA = 512, 2**18, 2**20  # bytes: of a tar's blocks, to read at once, a MiB
_DEEPEST, _LONGEST_PART, _LONGEST_NAME, _QUOTED = 32, 255, 1024, 80
_JUNK = ("__macosx", ".ds_store", "thumbs.db", "desktop.ini")
_UNFIT = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
_ENCRYPTED = 0x41
_SPARSE = b"GNU.sparse"
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE)

_T = TypeVar("_T")
# A file as it is listed, or a folder, which ends in a slash: name, size, CRC-32 if that is
# listed too, and content, to be read before the next entry.
_Entry = tuple[str, int, int | None, Iterator[bytes]]
_Walk = Callable[[], Iterator[_Entry]]


class ArchiveError(DataError):
    """An archive that cannot be unpacked; the text says what is wrong and what to do."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Attributes:
        files: how many entries, and again as many folders that only their names tell of.
        total: bytes of all files, unpacked.
        ratio: bytes unpacked for each one packed, in a member of a zip or in all of a tar; no
            matter below 1 MiB.
    """

    files: int = 200_000
    total: int = 50 * 2**30
    ratio: int = 200


_USUAL = Limits()


class _Member(NamedTuple):
    name: str
    size: int
    crc: int


def unpack(
    archive: Path,
    folder: Path,
    limits: Limits = _USUAL,
    done: Callable[[int, int], None] = lambda files, total: None,
) -> list[str]:
    """Unpack a zip or tar (also gz, bz2, xz), told by its content, so that a folder has its files.

    Nothing is written unless all that the archive lists is safe. Files gather beside the folder
    in `.{folder.name}.part`, which becomes the folder in the end; a call after an interruption
    goes on from there. In a folder that exists, files of the archive that are whole stay as they
    are, missing ones are added, and others are let be. A top folder around everything is dropped
    if it is called like `folder`, and what macOS and Windows leave in archives always is.

    Args:
        archive: the file.
        folder: where to; the folder around it must exist. It may be a link to a folder, since
            only the user can have made that; links in it are never written through.
        limits: how much the archive may hold.
        done: is told how many files are in place, and of how many.

    Returns:
        The archive's files, as sorted names with slashes, relative to the folder.

    Raises:
        ArchiveError: the archive is missing, damaged, unsafe or too large; something of the
            user's is in the way; or the files cannot be written.
    """
    try:
        if archive.exists() and not archive.is_file():
            raise ArchiveError("is not a file; name a zip or tar archive")
        with archive.open("rb") as stream:
            return _unpack(stream, Path(os.path.abspath(folder)), limits, done)
    except ArchiveError as error:
        problem = str(error)
    except (OSError, ImportError) as error:
        where = getattr(error, "filename", None) or folder
        problem = f"{getattr(error, 'strerror', None) or error}: {where}; mend that and try again"
    line = f"{archive}: {problem}"
    raise ArchiveError("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def _unpack(
    stream: IO[bytes], folder: Path, limits: Limits, done: Callable[[int, int], None]
) -> list[str]:
    walk = partial(_walk, stream, limits.ratio)
    if os.path.lexists(folder) and not folder.is_dir():
        raise _in_the_way(folder)
    real = folder.resolve()
    part = real.parent / f".{real.name}.part"
    _check_ways([part])
    members = _list(walk, folder.name, limits)
    missing = {key: item for key, item in members.items() if not _is_there(real, item)}
    _check_ways({real / way for item in missing.values() for way in Path(item.name).parents[:-1]})
    whole = len(members) - len(missing)
    done(whole, len(members))
    if missing:
        _fill(part, walk, missing, lambda more: done(whole + more, len(members)))
        _settle(part, real, missing.values())
    if part.exists():
        shutil.rmtree(part)
    return sorted(item.name for item in members.values())


def _list(walk: _Walk, folder: str, limits: Limits) -> dict[str, _Member]:
    """Check all that an archive lists; give its files by their names there."""
    found: dict[str, _Member] = {}
    seen: dict[str, str] = {}
    total = 0
    for count, (name, size, crc, blocks) in enumerate(walk(), 1):
        parts = _parts(name)
        is_folder = name.endswith(("/", "\\"))
        if is_folder and size:
            raise _fault("is both a file and a folder", name)
        if not any(part.lower() in _JUNK or part.startswith("._") for part in parts):
            _claim(seen, parts, is_folder)
            if not is_folder:
                found[name] = _Member("/".join(parts), size, crc or 0)
                total += size
        if total > limits.total or max(count, len(seen) - len(found)) > limits.files:
            raise _fault(f"holds more than {limits.files} files or {limits.total} bytes")
        if name in found and crc is None:
            found[name] = found[name]._replace(crc=_measure(blocks)[1])
    if not found:
        raise _fault("holds no files")
    tops = {item.name.partition("/")[:2] for item in found.values()}
    top, slash = tops.pop()
    if slash and not tops and top.casefold() == folder.casefold():
        return {key: item._replace(name=item.name[len(top) + 1 :]) for key, item in found.items()}
    return found


def _parts(name: str) -> list[str]:
    """Split a name at slashes, and at backslashes, which some tools write on Windows."""
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if _UNFIT.search(name):
        raise _fault("has characters that no name should have", name)
    if path.startswith("/") or (parts and re.match("[A-Za-z]:", parts[0])):
        raise _fault("is no relative path", name)
    if ".." in parts or not (parts or path.endswith("/")):
        raise _fault("names nothing in the folder", name)
    longest = max((len(part.encode()) for part in parts), default=0)
    if longest > _LONGEST_PART or len(path.encode()) > _LONGEST_NAME or len(parts) > _DEEPEST:
        raise _fault("is too long or too deep", name)
    return parts


def _claim(seen: dict[str, str], parts: list[str], is_folder: bool) -> None:
    """Note a name and its folders; refuse one that some file system takes for another."""
    for path in itertools.accumulate(parts, "{}/{}".format):
        is_file = path.count("/") == len(parts) - 1 and not is_folder
        spelled = path if is_file else f"{path}/"
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        if (is_file and key in seen) or seen.setdefault(key, spelled) != spelled:
            raise _fault("has the name of another", spelled)


def _is_there(folder: Path, member: _Member) -> bool:
    path = folder / member.name
    if os.path.lexists(path) and not _is_whole(path, member):
        raise _in_the_way(path)
    return path.exists()


def _check_ways(ways: Iterable[Path]) -> None:
    """Refuse a link, which may lead anywhere, or a file where there is to be a folder."""
    for way in ways:
        if way.is_symlink() or (way.exists() and not way.is_dir()):
            raise _in_the_way(way)


def _fill(
    part: Path, walk: _Walk, missing: dict[str, _Member], done: Callable[[int], None]
) -> None:
    """Bring all that is missing, and nothing else, into the part folder."""
    part.mkdir(exist_ok=True)
    whole = _tidy(part, {item.name: item for item in missing.values()})
    try:
        done(len(whole))
        for key, *_, blocks in walk():
            if key in missing and missing[key].name not in whole:
                name, size, crc = missing[key]
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                with (part / name).open("xb") as file:
                    if _measure(blocks, file.write) != (size, crc):
                        raise _fault("is damaged", name)
                whole.add(name)
                done(len(whole))
        if len(whole) < len(missing):
            raise _fault("was changed while it was read")
        # Only now: most of it is on the disk already, and one sync takes the rest there.
        for name in whole:
            with (part / name).open("rb+") as file:
                os.fsync(file.fileno())
    except BaseException as error:
        if isinstance(error, ArchiveError) or not whole:
            shutil.rmtree(part, ignore_errors=True)
        raise


def _tidy(part: Path, wanted: dict[str, _Member]) -> set[str]:
    """Remove all but the whole files that are wanted from a part folder; name those."""
    whole = set()
    for path in sorted(part.rglob("*"), reverse=True):  # a folder after what is in it
        name = path.relative_to(part).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.is_symlink() or name not in wanted or not _is_whole(path, wanted[name]):
            path.unlink()
        else:
            whole.add(name)
    return whole


def _settle(part: Path, folder: Path, members: Iterable[_Member]) -> None:
    """Make the part folder the folder, or move its files into the one that exists."""
    if not folder.exists():
        part.rename(folder)
        return
    for member in members:
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):  # by now
            raise _in_the_way(path)
        (part / member.name).rename(path)


def _is_whole(path: Path, member: _Member) -> bool:
    if not path.is_file() or path.stat().st_size != member.size:
        return False
    with path.open("rb") as file:
        return _measure(iter(lambda: file.read(_BLOCK), b"")) == (member.size, member.crc)


def _measure(blocks: Iterable[bytes], write: Callable[[bytes], object] = len) -> tuple[int, int]:
    """Pass blocks on; give their size and CRC-32."""
    size = crc = 0
    for block in blocks:
        size += len(block)
        crc = zlib.crc32(block, crc)
        write(block)
    return size, crc


def _walk(stream: IO[bytes], ratio: int) -> Iterator[_Entry]:
    """Give the entries of an archive from its start."""
    stream.seek(0)
    head = stream.read(6)
    stream.seek(0)
    size = os.fstat(stream.fileno()).st_size
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return _sane(_walk_zip(stream, size, ratio))
    for magic, module in _COMPRESSED.items():
        if head.startswith(magic):  # not imported before, as a Python may lack it
            stream = importlib.import_module(module).open(stream)
    return _sane(_walk_tar(stream, max(_MEGA, size * ratio)))


def _walk_zip(stream: IO[bytes], size: int, ratio: int) -> Iterator[_Entry]:
    with zipfile.ZipFile(stream) as source:
        if sum(info.compress_size for info in source.infolist()) > size:
            raise _fault("holds files that overlap")
        for info in source.infolist():
            name = info.orig_filename  # `filename` has been mended, in ways that vary
            kind = stat.S_IFDIR if name.endswith(("/", "\\")) else stat.S_IFREG
            if stat.S_IFMT(info.external_attr >> 16) not in (0, kind):
                raise _fault("is a link or another thing that is no file", name)
            if info.flag_bits & _ENCRYPTED:
                raise _fault("is encrypted", name)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _fault("is compressed in an unusual way", name)
            if info.file_size > max(_MEGA, ratio * info.compress_size):
                raise _fault(f"would grow more than {ratio} times", name)
            yield name, info.file_size, info.CRC, _sane(_unzip(source, info), name)


def _unzip(source: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with source.open(info) as file:  # which gives file_size at most
        while block := file.read(_BLOCK):
            yield block


def _walk_tar(stream: IO[bytes], most: int) -> Iterator[_Entry]:
    """Read forwards only; TarFile seeks, trusts sizes, and takes damage for the end."""
    said: dict[bytes, bytes] = {}  # of the next file, instead of what its header says
    while any(header := b"".join(_take(stream, _TAPE, most))):
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        size = info.size
        if info.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME) and size <= _MEGA:
            text = b"".join(_take(stream, size, most))
            is_pax = info.type == tarfile.XHDTYPE
            said |= _read_pax(text) if is_pax else {b"path": text.partition(b"\0")[0]}
        elif info.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            _measure(_take(stream, size, most))
        else:
            path = said.get(b"path", info.name.encode("utf-8", "surrogateescape"))
            name = path.decode("utf-8", "surrogateescape") + "/" * info.isdir()
            size = 0 if info.isdir() else int(said.get(b"size", size))
            if info.type not in _PLAIN or _SPARSE in said:
                raise _fault("is a link or another thing that is no file", name)
            content = _sane(_take(stream, size, most), name)
            yield name, size, None, content
            _measure(content)
            said = {}
        _measure(_take(stream, -size % _TAPE, most))
    while rest := stream.read(_BLOCK):
        if rest.strip(b"\0") or stream.tell() > most:
            raise ValueError("more after the end")


def _take(stream: IO[bytes], size: int, most: int) -> Iterator[bytes]:
    """Give the next bytes of a tar, unless it has more than the most it may have."""
    if size < 0:
        raise ValueError(size)
    while size:
        block = stream.read(min(size, _BLOCK))
        size -= len(block)
        if not block:
            raise EOFError
        if stream.tell() > most:
            raise _fault(f"holds more than {most} bytes for its size")
        yield block


def _read_pax(text: bytes) -> dict[bytes, bytes]:
    """Read what matters of lines such as `21 path=images/a.jpg`, 21 being its length in bytes."""
    found = {}
    at = 0
    while at < len(text):
        start = text.index(b" ", at) + 1
        end = at + int(text[at : start - 1])
        if not start < end <= len(text):
            raise ValueError(end)
        key, _, value = text[start : end - 1].partition(b"=")
        if key in (b"path", b"size") or key.startswith(_SPARSE):
            found[key[: len(_SPARSE)]] = value
        at = end
    return found


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
        raise _fault("is damaged, cut short, or no zip or tar", name) from error


def _fault(what: str, name: str = "") -> ArchiveError:
    """Tell of a fault of the archive, or of a name in it, however wild or long that is."""
    where = f"{name[:_QUOTED]!r} in it " if name else ""
    return ArchiveError(
        f"{where}{what}; replace it by a sound copy, or unpack it yourself if you trust it"
    )


def _in_the_way(path: Path) -> ArchiveError:
    return ArchiveError(f"{path} is in the way; move it away and try again")
