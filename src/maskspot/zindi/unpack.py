"""Unpack a zip or tar of images, whoever made it, into a folder: all of it or nothing."""

import itertools
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from maskspot.archives.entries import Walk, measure, walk_archive
from maskspot.archives.limits import BLOCK, LIMITS, ArchiveError, Limits, fault
from maskspot.errors import visible
from maskspot.files import sync
from maskspot.safe_paths import DEEPEST, LONGEST_PART, LONGEST_PATH, UNFIT

_JUNK = ("__macosx", ".ds_store", "thumbs.db", "desktop.ini")


class _Member(NamedTuple):
    name: str
    size: int
    crc: int


def unpack(
    archive: Path,
    folder: Path,
    limits: Limits = LIMITS,
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
    raise ArchiveError(visible(line))


def _unpack(
    stream: IO[bytes], folder: Path, limits: Limits, done: Callable[[int, int], None]
) -> list[str]:
    walk = partial(walk_archive, stream, limits.ratio)
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


def _list(walk: Walk, folder: str, limits: Limits) -> dict[str, _Member]:
    """Check all that an archive lists; give its files by their names there."""
    found: dict[str, _Member] = {}
    seen: dict[str, str] = {}
    total = 0
    for count, (name, size, crc, blocks) in enumerate(walk(), 1):
        parts = _parts(name)
        is_folder = name.endswith(("/", "\\"))
        if is_folder and size:
            raise fault("is both a file and a folder", name)
        if not any(part.lower() in _JUNK or part.startswith("._") for part in parts):
            _claim(seen, parts, is_folder)
            if not is_folder:
                found[name] = _Member("/".join(parts), size, crc or 0)
                total += size
        if total > limits.total or max(count, len(seen) - len(found)) > limits.files:
            raise fault(f"holds more than {limits.files} files or {limits.total} bytes")
        if name in found and crc is None:
            found[name] = found[name]._replace(crc=measure(blocks)[1])
    if not found:
        raise fault("holds no files")
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
        raise fault("has characters that no name should have", name)
    if path.startswith("/") or (parts and re.match("[A-Za-z]:", parts[0])):
        raise fault("is no relative path", name)
    if ".." in parts or not (parts or path.endswith("/")):
        raise fault("names nothing in the folder", name)
    longest = max((len(part.encode()) for part in parts), default=0)
    if longest > LONGEST_PART or len(path.encode()) > LONGEST_PATH or len(parts) > DEEPEST:
        raise fault("is too long or too deep", name)
    return parts


def _claim(seen: dict[str, str], parts: list[str], is_folder: bool) -> None:
    """Note a name and its folders; refuse one that some file system takes for another."""
    for path in itertools.accumulate(parts, "{}/{}".format):
        is_file = path.count("/") == len(parts) - 1 and not is_folder
        spelled = path if is_file else f"{path}/"
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        if (is_file and key in seen) or seen.setdefault(key, spelled) != spelled:
            raise fault("has the name of another", spelled)


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


def _fill(part: Path, walk: Walk, missing: dict[str, _Member], done: Callable[[int], None]) -> None:
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
                    if measure(blocks, file.write) != (size, crc):
                        raise fault("is damaged", name)
                whole.add(name)
                done(len(whole))
        if len(whole) < len(missing):
            raise fault("was changed while it was read")
        # Only now: most of it is on the disk already, and one sync takes the rest there.
        for name in whole:
            with (part / name).open("rb+") as file:
                sync(file.fileno())
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
        return measure(iter(lambda: file.read(BLOCK), b"")) == (member.size, member.crc)


def _in_the_way(path: Path) -> ArchiveError:
    return ArchiveError(f"{path} is in the way; move it away and try again")
