"""The images of a folder in natural order; memory does not grow with their number."""

import errno
import fnmatch
import heapq
import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from maskspot.errors import DataError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2"),
)
"""File endings, in lower case, of images; also of formats that are not decoded, so that such
files are reported as unsupported instead of being left out."""

HIDDEN = "hidden"
NO_IMAGE = "not named as images"
NO_FILE = "neither file nor folder"
LINKED_FOLDER = "linked as folders"
"""Reasons why something in a folder or an archive is left out."""

_RUN = 2_000  # names that are sorted in memory
_OPEN = 64  # sorted runs that are merged together, each an open file

_DIGITS = re.compile(r"([0-9]+)")
_Entry = tuple[str, bool]  # name, and whether it is a folder
_Wanted = Callable[[str], bool]  # called with a path inside the folder


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a walk found, or a folder that it could not list.

    Attributes:
        name: the path inside the folder, with forward slashes.
        error: None for a file; for a folder, why it cannot be listed.
    """

    name: str
    error: OSError | None = None


def is_image(name: str) -> bool:
    """Return whether a name has the ending of an image."""
    return name.lower().endswith(SUFFIXES)


def is_hidden(name: str) -> bool:
    """Return whether a path is hidden, or inside a hidden folder."""
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def natural_key(name: str) -> tuple[list[Any], str]:
    """Return a sort key for natural order, img2 before img10, which is total for all strings."""
    key: list[Any] = _DIGITS.split(name)  # text and digits alternate, so that types match
    for at in range(1, len(key), 2):
        digits = key[at].lstrip("0")
        key[at] = len(digits), digits  # ordered as int() would be, which refuses long numbers
    return key, name


def path_key(path: str) -> list[tuple[list[Any], str]]:
    """Return a sort key for paths, in the order of a walk."""
    return [natural_key(part) for part in path.split("/")]


def walk(
    folder: str,
    wanted: _Wanted = is_image,
    opened: _Wanted = lambda path: True,
    passed: Counter[str] | None = None,
) -> Iterator[Found]:
    """Yield the files in a folder and below it, depth first, each folder in natural order.

    Hidden files and folders, and special files, are left out. Links to files are followed; links
    to folders are not, so that a walk always ends.

    Args:
        folder: the folder.
        wanted: returns whether to yield a file, given its path inside the folder.
        opened: returns whether to enter a folder, given its path inside the folder.
        passed: counts what is left out, by reason.

    Raises:
        OSError: the folder cannot be listed; a folder below it becomes a `Found` with the error.
        DataError: there is no disk space to sort a large folder.
    """
    take = partial(_take, wanted=wanted, opened=opened, passed=passed)
    levels = [("", _entries(folder, "", take))]
    try:
        while levels:
            prefix, entries = levels[-1]
            try:
                entry = next(entries, None)
            except OSError as error:
                if not prefix:
                    raise
                entry = None
                yield Found(prefix.rstrip("/"), error)
            if entry is None:
                levels.pop()
            elif entry[1]:
                inner = f"{prefix}{entry[0]}/"
                levels.append((inner, _entries(f"{folder}/{inner}", inner, take)))
            else:
                yield Found(prefix + entry[0])
    finally:
        for _, entries in levels:
            entries.close()


def has_pattern(text: str) -> bool:
    """Return whether a path contains a character that makes it a pattern."""
    return any(letter in text for letter in "*?[")


def own_ending(pattern: str) -> bool:
    """Return whether a pattern ends in a file ending, as `*.dat` does; it then matches any file."""
    ending = os.path.splitext(pattern)[1]
    return len(ending) > 1 and not has_pattern(ending)


def walk_pattern(pattern: str) -> tuple[str, Iterator[Found]]:
    """Find the files that match a pattern, and those in folders that match it.

    It is one walk with a filter, so that files come in order and none comes twice.

    Args:
        pattern: a path with `*`, `?`, `[a-z]`, and `**` for any number of folders.

    Returns:
        The leading part of the pattern without such characters, and a walk of that folder.
    """
    parts = pattern.split("/")
    first = next(at for at, part in enumerate(parts) if has_pattern(part))
    prefix, parts = "".join(part + "/" for part in parts[:first]), parts[first:]
    # Two `**` in a row mean the same as one, but take longer.
    parts = [part for at, part in enumerate(parts) if part != "**" or parts[at - 1 : at] != ["**"]]
    every = own_ending(pattern)

    def wanted(path: str) -> bool:
        names = path.split("/")
        sure = is_image(path) or (every and fnmatch.fnmatch(names[-1], parts[-1]))
        return sure and _covers(parts, names)

    return prefix, walk(prefix or os.curdir, wanted, lambda path: _leads(parts, path.split("/")))


def _covers(parts: list[str], names: list[str]) -> bool:
    """Return whether the pattern matches the path, or a folder that contains it."""
    if not parts:
        return True
    if parts[0] == "**":
        return any(_covers(parts[1:], names[skip:]) for skip in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatch(names[0], parts[0]) and _covers(parts[1:], names[1:])


def _leads(parts: list[str], names: list[str]) -> bool:
    """Return whether the pattern can match anything in this folder."""
    if not parts or not names or parts[0] == "**":
        return True
    return fnmatch.fnmatch(names[0], parts[0]) and _leads(parts[1:], names[1:])


def _entries(
    folder: str, prefix: str, take: "Callable[[os.DirEntry[str], str], _Entry | None]"
) -> Generator[_Entry, None, None]:
    """Yield the entries to take from one folder, sorted in memory or in temporary files."""
    runs: list[IO[str]] = []
    entries: list[_Entry] = []
    try:
        with os.scandir(folder) as found:
            for each in found:
                if (entry := take(each, prefix)) is None:
                    continue
                entries.append(entry)
                if len(entries) >= _RUN:
                    runs.append(_spill(sorted(entries, key=_order)))
                    entries.clear()
                if len(runs) >= _OPEN:
                    runs.append(_spill(heapq.merge(*map(_unspill, runs), key=_order)))
                    for run in runs[:-1]:
                        run.close()
                    del runs[:-1]
        yield from heapq.merge(sorted(entries, key=_order), *map(_unspill, runs), key=_order)
    finally:
        for run in runs:
            run.close()


def _take(
    entry: "os.DirEntry[str]",
    prefix: str,
    wanted: _Wanted,
    opened: _Wanted,
    passed: Counter[str] | None,
) -> _Entry | None:
    name = entry.name
    if name.startswith("."):
        why = HIDDEN
    elif entry.is_dir(follow_symlinks=False):
        if not _is_junction(entry):
            return (name, True) if opened(prefix + name) else None
        why = LINKED_FOLDER
    elif not wanted(prefix + name):
        why = LINKED_FOLDER if _is_linked_folder(entry) else NO_IMAGE
    elif _is_file(entry):
        return name, False
    else:
        why = NO_FILE
    if passed is not None:
        passed[why] += 1
    return None


def _is_junction(entry: "os.DirEntry[str]") -> bool:
    """Return whether an entry is one of Windows' links to folders, which appear as folders."""
    return hasattr(entry, "is_junction") and entry.is_junction()  # from Python 3.12 on


def _is_linked_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError as error:
        # A link to itself is left out; the reader reports all other errors.
        return error.errno != errno.ELOOP


def _order(entry: _Entry) -> tuple[list[Any], str]:
    return natural_key(entry[0])


def _spill(entries: Iterable[_Entry]) -> IO[str]:
    """Write sorted entries into a file that is deleted when it is closed."""
    import json
    import tempfile

    with _room():
        # ASCII JSON keeps any name, even with line ends or invalid UTF-8.
        file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115
        try:
            file.writelines(f"{json.dumps(entry)}\n" for entry in entries)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    return file


def _unspill(file: IO[str]) -> Iterator[_Entry]:
    import json

    with _room():
        for line in file:
            name, is_folder = json.loads(line)
            yield name, is_folder


@contextmanager
def _room() -> Iterator[None]:
    """Turn errors of temporary files into errors unlike those of the folder."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"no disk space to sort a large folder ({error.strerror}); set TMPDIR to a folder that "
            "has more"
        ) from None
