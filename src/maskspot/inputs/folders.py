"""The images of a folder, in natural order, one after another: memory is flat however many."""

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
"""File endings, in lower case, by which a folder's images are told from its other files; also of
formats that are not decoded, so that each is named rather than passed over."""

HIDDEN = "hidden"
NO_IMAGE = "not named as images"
NO_FILE = "neither file nor folder"
LINKED_FOLDER = "linked as folders"
"""Why something in a folder or an archive is passed over."""

_RUN = 2_000  # names that are sorted in memory at once
_OPEN = 64  # sorted runs that are merged at once, each of them an open file

_DIGITS = re.compile(r"([0-9]+)")
_Entry = tuple[str, bool]  # its name; is it a folder?
_Wanted = Callable[[str], bool]  # of a path inside the folder


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk comes by.

    Attributes:
        name: the path inside the folder, with forward slashes.
        error: None for a file; for a folder, why it cannot be listed.
    """

    name: str
    error: OSError | None = None


def is_image(name: str) -> bool:
    """Say whether a name has the ending of an image."""
    return name.lower().endswith(SUFFIXES)


def is_hidden(name: str) -> bool:
    """Say whether a path is a hidden file's, or in a hidden folder."""
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def natural_key(name: str) -> tuple[list[Any], str]:
    """Return what sorts names as people do, img2 before img10; a total order of all strings."""
    key: list[Any] = _DIGITS.split(name)  # text and digits in turns: like meets like
    for at in range(1, len(key), 2):
        digits = key[at].lstrip("0")
        key[at] = len(digits), digits  # in the order of int(), which refuses long ones
    return key, name


def path_key(path: str) -> list[tuple[list[Any], str]]:
    """Return what sorts paths as a walk comes by them."""
    return [natural_key(part) for part in path.split("/")]


def walk(
    folder: str,
    wanted: _Wanted = is_image,
    opened: _Wanted = lambda path: True,
    passed: Counter[str] | None = None,
) -> Iterator[Found]:
    """Give the files in a folder and below it, depth first, each folder in natural order.

    Hidden files and folders, and what is no file, are left out. Links to files are followed,
    links to folders are not, so there is no way to go in circles.

    Args:
        folder: where to start.
        wanted: which files to give, by their path inside the folder.
        opened: which folders to look into, likewise.
        passed: counts what is left out, by reason.

    Raises:
        OSError: the folder cannot be listed; one below it is a `Found` with the error.
        DataError: there is no room to sort a large folder.
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
    """Say whether a path has any of the letters that make it a pattern."""
    return any(letter in text for letter in "*?[")


def own_ending(pattern: str) -> bool:
    """Say whether a pattern says how its files end, as `*.dat` does: then it takes them all."""
    ending = os.path.splitext(pattern)[1]
    return len(ending) > 1 and not has_pattern(ending)


def walk_pattern(pattern: str) -> tuple[str, Iterator[Found]]:
    """Find what fits a pattern, and all that is in the folders that fit it.

    It is one walk with a filter: nothing comes twice, everything comes in order.

    Args:
        pattern: with `*`, `?`, `[a-z]`, and `**` for any folders, or none.

    Returns:
        The part of the pattern before the first folder or file that varies, and a walk of that.
    """
    parts = pattern.split("/")
    first = next(at for at, part in enumerate(parts) if has_pattern(part))
    prefix, parts = "".join(part + "/" for part in parts[:first]), parts[first:]
    # Two in a row say no more than one, and each takes its time.
    parts = [part for at, part in enumerate(parts) if part != "**" or parts[at - 1 : at] != ["**"]]
    every = own_ending(pattern)

    def wanted(path: str) -> bool:
        names = path.split("/")
        sure = is_image(path) or (every and fnmatch.fnmatch(names[-1], parts[-1]))
        return sure and _covers(parts, names)

    return prefix, walk(prefix or os.curdir, wanted, lambda path: _leads(parts, path.split("/")))


def _covers(parts: list[str], names: list[str]) -> bool:
    """Does the pattern fit the path, or a folder that it is in?"""
    if not parts:
        return True
    if parts[0] == "**":
        return any(_covers(parts[1:], names[skip:]) for skip in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatch(names[0], parts[0]) and _covers(parts[1:], names[1:])


def _leads(parts: list[str], names: list[str]) -> bool:
    """Can the pattern fit anything in this folder?"""
    if not parts or not names or parts[0] == "**":
        return True
    return fnmatch.fnmatch(names[0], parts[0]) and _leads(parts[1:], names[1:])


def _entries(
    folder: str, prefix: str, take: "Callable[[os.DirEntry[str], str], _Entry | None]"
) -> Generator[_Entry, None, None]:
    """Give what to take of one folder, sorted: in memory, or else through temporary files."""
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
        # Windows' junctions are links to folders that say they are folders.
        if not getattr(entry, "is_junction", bool)():
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


def _is_linked_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError as error:
        # A link to itself is nothing; of all else the reader shall say what is wrong.
        return error.errno != errno.ELOOP


def _order(entry: _Entry) -> tuple[list[Any], str]:
    return natural_key(entry[0])


def _spill(entries: Iterable[_Entry]) -> IO[str]:
    """Put sorted entries into a file that is gone when it is closed."""
    import json
    import tempfile

    with _room():
        # JSON in ASCII keeps any name: with line ends in it, or no UTF-8.
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
    """Keep errors of temporary files apart from those of the folder."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"no room to sort a large folder ({error.strerror}); set TMPDIR to a roomier folder"
        ) from None
