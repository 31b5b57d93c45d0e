"""Finds the images that arguments name: files, folders, patterns, archives, URLs and lists."""

import errno
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.errors import DataError, ImageError, UsageError
from maskspot.inputs.folders import (
    SUFFIXES,
    Found,
    has_pattern,
    is_image,
    own_ending,
    walk,
    walk_pattern,
)

if TYPE_CHECKING:
    from maskspot.images import ImageSource

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class Item:
    """One image to score.

    Attributes:
        name: the name of the image in its `Score`.
        load: returns the image; it is called once, in a worker thread, and raises `ImageError` or
            OSError if the image cannot be read.
        path: the local file that it is read from (the archive, for its members), else None.
    """

    name: str
    load: "Callable[[], ImageSource]"
    path: Path | None = None


def find_items(arguments: Sequence[str], passed: Counter[str] | None = None) -> Iterator[Item]:
    """Yield the images that the arguments name, one after another, in the order of the arguments.

    An argument is a file, a folder, a pattern such as `photos/**/*.jpg`, a zip or tar (told by
    its content), a URL, or `-` for an image on standard input. A folder stands for the images in
    it and below it, told by their endings, in natural order; hidden files and folders are left
    out, links to folders are not followed, and archives are not opened. A file that is named
    itself needs no ending, but must exist: all arguments are checked before the first image is
    yielded. Memory does not grow with the number of images, except for listings of zips and URLs.

    The name of an image is its path inside the folder or archive if that is the only argument,
    else the path as it was written; always with forward slashes, and without secrets in URLs.

    Args:
        arguments: files, folders, patterns, archives, URLs, or `-`.
        passed: counts, by reason, what is left out of folders, archives and listings of URLs.

    Raises:
        UsageError: an argument is empty, `-` comes twice, or a package for a URL is missing.
        DataError: an argument does not exist, contains no image, cannot be listed, or is a
            damaged archive.
        DownloadError: a URL cannot be listed.
    """
    if arguments.count("-") > 1:
        raise UsageError("-: standard input can be read only once")
    for argument in arguments:
        _check_exists(argument)
    for argument in arguments:
        if argument == "-":
            yield Item("-", sys.stdin.buffer.read)
        elif _is_pattern(path := _local_path(argument)):
            yield from _fitting(path)
        else:
            yield from _named(argument, len(arguments) == 1, passed)


def items_from(paths: Iterable[str], passed: Counter[str] | None = None) -> Iterator[Item]:
    """Yield the images that a list names, in its order, each named as it is written there.

    Folders, archives and URLs stand for their images, as in `find_items`, which raises the same
    errors; patterns and `-` are taken as names of files.
    """
    for path in paths:
        yield from _named(path, alone=False, passed=passed)


def find_images(arguments: Sequence[Path]) -> dict[str, Path]:
    """Return the images that the arguments name, by name, sorted by name.

    A folder stands for the images in it and below it, told by their endings; hidden files and
    folders are left out, and links to folders are not followed. A file that is named itself
    needs no ending, and is not checked.

    The name of an image is its path inside the folder if that is the only argument, else the path
    as it was written; always with forward slashes.

    Raises:
        DataError: a folder contains no image, or cannot be listed.
    """
    found: dict[str, Path] = {}
    alone = len(arguments) == 1
    for argument in arguments:
        if not os.path.isdir(argument):
            found[argument.as_posix()] = argument
            continue
        for item in _in_folder(os.fspath(argument), alone):
            if item.path is None:
                where = argument / item.name if alone else item.name
                raise DataError(f"{where}: the folder cannot be listed")
            found[item.name] = item.path
    return dict(sorted(found.items()))


def _check_exists(argument: str) -> None:
    """Refuse a mistyped path before any work, so that earlier results are not replaced."""
    path = _local_path(argument)
    if argument in ("", "-") or _is_url(path) or _is_pattern(path):
        return
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in _ABSENT:  # the reader reports all other errors
            raise DataError(f"{argument}: {error.strerror}; nothing was written") from None
    except ValueError:  # the path contains a NUL
        return


def _is_pattern(argument: str) -> bool:
    return has_pattern(argument) and not _is_url(argument) and not os.path.lexists(argument)


def _is_url(argument: str) -> bool:
    if "://" not in argument:
        return False
    from maskspot.inputs.urls import is_url

    return is_url(argument)


def _named(name: str, alone: bool, passed: Counter[str] | None = None) -> Iterator[Item]:
    """Yield the images that one argument, which is not a pattern, stands for."""
    from maskspot.archives.entries import is_archive
    from maskspot.inputs.archives import members

    if not name:
        raise UsageError("an argument is empty; name an image, a folder, an archive or a URL")
    local = _local_path(name)
    path = Path(local)
    if _is_url(local):
        from maskspot.inputs.urls import find

        for shown, load in find(name, alone, passed):
            yield Item(shown, load)
    elif os.path.isdir(local):
        yield from _in_folder(local, alone, passed)
    elif not is_image(local) and is_archive(local):  # images are not opened here
        prefix = "" if alone else _posix(name, "/")
        found = (Item(prefix + shown, load, path) for shown, load in members(local, passed))
        yield from _some(found, f"{name}: no images in this archive ({', '.join(SUFFIXES)})")
    else:
        yield _file(_posix(name), path)


def _local_path(name: str) -> str:
    """Return the path that a `file:` URL stands for, or any other name unchanged.

    Spark and Java write such URLs with one slash.
    """
    if name[:6].lower() != "file:/" or os.path.lexists(name):
        return name
    from urllib.request import url2pathname

    path = name[len("file:") :]
    if path.startswith("//"):
        host, _, rest = path[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            return name
        path = f"/{rest}"
    return url2pathname(path)


def _in_folder(folder: str, alone: bool, passed: Counter[str] | None = None) -> Iterator[Item]:
    items = _files(walk(folder, passed=passed), folder, "" if alone else _posix(folder, "/"))
    return _some(items, f"{folder}: no images in this folder ({', '.join(SUFFIXES)})")


def _fitting(pattern: str) -> Iterator[Item]:
    """Yield the files that match a pattern; archives are opened if it ends in a file ending."""
    prefix, found = walk_pattern(_posix(pattern))
    items = _files(found, prefix or os.curdir, prefix)
    if own_ending(pattern):
        named = (_named(item.name, alone=False) if item.path else [item] for item in items)
        items = (item for each in named for item in each)
    yield from _some(items, f"{pattern}: no images match this pattern")


def _files(found: Iterator[Found], folder: str, prefix: str) -> Iterator[Item]:
    try:
        for each in found:
            path = Path(folder, each.name)
            if each.error is None:
                yield _file(prefix + each.name, path)
            else:
                yield _unlisted(prefix + each.name, each.error)
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}") from None


def _file(name: str, path: Path) -> Item:
    return Item(name, lambda: path, path)


def _unlisted(name: str, error: OSError) -> Item:
    def load() -> "ImageSource":
        raise ImageError(f"the folder cannot be listed: {error.strerror}")

    return Item(name, load)


def _some(items: Iterator[Item], otherwise: str) -> Iterator[Item]:
    """Yield the items; raise an error if there are none."""
    count = 0
    for count, item in enumerate(items, 1):  # noqa: B007
        yield item
    if not count:
        raise DataError(otherwise)


def _posix(name: str, end: str = "") -> str:
    """Return a path with forward slashes, ending in `end`."""
    name = name.replace(os.sep, "/")
    return name if name.endswith(end) else name + end
