"""Unpacks a zip or tar of images, which may be hostile, into a folder: all of it or nothing."""

import itertools
import os
import re
import shutil
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from maskspot.archives.entries import ArchiveEntry, walk_archive
from maskspot.archives.limits import BLOCK, LIMITS, ArchiveError, ArchiveLimits, refusal, too_many
from maskspot.errors import visible
from maskspot.files import sync
from maskspot.progress import SILENT, Progress, Step
from maskspot.safe_paths import DEEPEST, LONGEST_PART, LONGEST_PATH, UNFIT

_JUNK = ("__macosx", ".ds_store", "thumbs.db", "desktop.ini")

_Walk = Callable[[], Iterator[ArchiveEntry]]
"""Yields the files and folders of an archive from its start, each time it is called."""


class _Member(NamedTuple):
    name: str
    size: int
    crc: int


def unpack(
    archive: Path,
    folder: Path,
    limits: ArchiveLimits = LIMITS,
    progress: Progress = SILENT,
) -> list[str]:
    """Unpack a zip or tar (also gz, bz2, xz), told by its content, into a folder.

    Nothing is written unless everything that the archive lists is safe. Files are gathered in
    `.{folder.name}.part` beside the folder, which is renamed in the end; after an interruption,
    the next call continues from there. If the folder exists, files of the archive that are there
    and whole are kept, missing ones are added, and other files are left alone. A top folder
    around everything is dropped if it has the name of `folder`; files that macOS and Windows
    leave in archives are always dropped.

    Args:
        archive: the file.
        folder: the target; the folder around it must exist. It may be a link to a folder, since
            only the user can have made that; links in it are never written through.
        limits: how much the archive may hold.
        progress: told how many files are in place.

    Returns:
        The files of the archive, as sorted names with slashes, relative to the folder.

    Raises:
        ArchiveError: the archive is missing, damaged, unsafe or too large, a file of the user is
            in the way, or the files cannot be written.
    """
    try:
        if archive.exists() and not archive.is_file():
            raise ArchiveError("is not a file; name a zip or tar archive")
        with progress.step(f"unpacking {archive.name}", "files") as step:
            walk = partial(_walk, archive, limits)
            return _unpack(walk, Path(os.path.abspath(folder)), limits, step)
    except ArchiveError as error:
        problem = str(error)
    except (OSError, ImportError) as error:
        where = getattr(error, "filename", None) or folder
        problem = f"{getattr(error, 'strerror', None) or error}: {where}; fix that and try again"
    line = f"{archive}: {problem}"
    raise ArchiveError(visible(line))


def _walk(archive: Path, limits: ArchiveLimits) -> Iterator[ArchiveEntry]:
    """Yield the entries of an archive, and refuse any that cannot be unpacked safely."""
    for entry in walk_archive(str(archive), limits, check_end=True):
        if entry.kind not in ("file", "folder"):
            raise refusal("is a link or a special file", entry.name)
        if entry.obstacle:
            raise refusal(f"is {entry.obstacle}", entry.name)
        if entry.compression == "other":
            raise refusal("is compressed in an unusual way", entry.name)
        if entry.exceeds(limits):
            raise refusal(f"would grow more than {limits.ratio} times", entry.name)
        yield entry


def _unpack(walk: _Walk, folder: Path, limits: ArchiveLimits, step: Step) -> list[str]:
    if os.path.lexists(folder) and not folder.is_dir():
        raise _in_the_way(folder)
    real = folder.resolve()
    part = real.parent / f".{real.name}.part"
    _check_ways([part])
    members = _list(walk, folder.name, limits)
    missing = {key: item for key, item in members.items() if not _is_there(real, item)}
    _check_ways({real / way for item in missing.values() for way in Path(item.name).parents[:-1]})
    whole = len(members) - len(missing)
    step.update(whole, len(members))
    if missing:
        _fill(part, walk, missing, lambda more: step.update(whole + more, len(members)))
        _settle(part, real, missing.values())
    if part.exists():
        shutil.rmtree(part)
    return sorted(item.name for item in members.values())


def _list(walk: _Walk, folder: str, limits: ArchiveLimits) -> dict[str, _Member]:
    """Check everything that an archive lists; return its files by their names in it."""
    found: dict[str, _Member] = {}
    seen: dict[str, str] = {}
    total = 0
    for count, entry in enumerate(walk(), 1):
        name = entry.name
        parts = _parts(name)
        is_folder = entry.kind == "folder"
        if is_folder and entry.size:
            raise refusal("is both a file and a folder", name)
        if not any(part.lower() in _JUNK or part.startswith("._") for part in parts):
            _claim(seen, parts, is_folder)
            if not is_folder:
                found[name] = _Member("/".join(parts), entry.size, entry.crc or 0)
                total += entry.size
        if total > limits.total or max(count, len(seen) - len(found)) > limits.files:
            raise too_many(limits)
        if name in found and entry.crc is None:
            found[name] = found[name]._replace(crc=_measure(entry.blocks())[1])
    if not found:
        raise refusal("holds no files")
    tops = {item.name.partition("/")[:2] for item in found.values()}
    top, slash = tops.pop()
    if slash and not tops and top.casefold() == folder.casefold():
        return {key: item._replace(name=item.name[len(top) + 1 :]) for key, item in found.items()}
    return found


def _parts(name: str) -> list[str]:
    """Split a name at slashes, and at backslashes, which some tools write on Windows."""
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if UNFIT.search(name):
        raise refusal("has characters that are not allowed in names", name)
    if path.startswith("/") or (parts and re.match("[A-Za-z]:", parts[0])):
        raise refusal("is not a relative path", name)
    if ".." in parts or not (parts or path.endswith("/")):
        raise refusal("does not name a path inside the folder", name)
    longest = max((len(part.encode()) for part in parts), default=0)
    if longest > LONGEST_PART or len(path.encode()) > LONGEST_PATH or len(parts) > DEEPEST:
        raise refusal("is too long or too deep", name)
    return parts


def _claim(seen: dict[str, str], parts: list[str], is_folder: bool) -> None:
    """Record a name and its folders; refuse one that some file system takes for another."""
    for path in itertools.accumulate(parts, "{}/{}".format):
        is_file = path.count("/") == len(parts) - 1 and not is_folder
        spelled = path if is_file else f"{path}/"
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        if (is_file and key in seen) or seen.setdefault(key, spelled) != spelled:
            raise refusal("has the name of another", spelled)


def _is_there(folder: Path, member: _Member) -> bool:
    path = folder / member.name
    if os.path.lexists(path) and not _is_whole(path, member):
        raise _in_the_way(path)
    return path.exists()


def _check_ways(ways: Iterable[Path]) -> None:
    """Refuse a link, which may lead anywhere, or a file, where a folder is needed."""
    for way in ways:
        if way.is_symlink() or (way.exists() and not way.is_dir()):
            raise _in_the_way(way)


def _fill(
    part: Path, walk: _Walk, missing: dict[str, _Member], done: Callable[[int], None]
) -> None:
    """Write the missing files, and nothing else, into the part folder."""
    part.mkdir(exist_ok=True)
    whole = _tidy(part, {item.name: item for item in missing.values()})
    try:
        done(len(whole))
        for entry in walk():
            if entry.name in missing and missing[entry.name].name not in whole:
                name, size, crc = missing[entry.name]
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                with (part / name).open("xb") as file:
                    if _measure(_written(entry.blocks(), file)) != (size, crc):
                        raise refusal("is damaged", name)
                whole.add(name)
                done(len(whole))
        if len(whole) < len(missing):
            raise refusal("was changed while it was read")
        # Only now, when most of the data has reached the disk: syncing each file at once is slow.
        for name in whole:
            with (part / name).open("rb+") as file:
                sync(file.fileno())
    except BaseException as error:
        if isinstance(error, ArchiveError) or not whole:
            shutil.rmtree(part, ignore_errors=True)
        raise


def _tidy(part: Path, wanted: dict[str, _Member]) -> set[str]:
    """Remove everything from a part folder but wanted files that are whole; return their names."""
    whole = set()
    for path in sorted(part.rglob("*"), reverse=True):  # a folder comes after its content
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
    """Rename the part folder, or move its files into the folder if that exists."""
    if not folder.exists():
        part.rename(folder)
        return
    for member in members:
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):  # created since it was checked
            raise _in_the_way(path)
        (part / member.name).rename(path)


def _is_whole(path: Path, member: _Member) -> bool:
    if not path.is_file() or path.stat().st_size != member.size:
        return False
    with path.open("rb") as file:
        return _measure(iter(lambda: file.read(BLOCK), b"")) == (member.size, member.crc)


def _measure(blocks: Iterable[bytes]) -> tuple[int, int]:
    """Return the size and the CRC-32 of a file's content."""
    size = crc = 0
    for block in blocks:
        size += len(block)
        crc = zlib.crc32(block, crc)
    return size, crc


def _written(blocks: Iterable[bytes], file: IO[bytes]) -> Iterator[bytes]:
    """Write blocks to a file, and pass them on."""
    for block in blocks:
        file.write(block)
        yield block


def _in_the_way(path: Path) -> ArchiveError:
    return ArchiveError(f"{path} is in the way; move it away and try again")
