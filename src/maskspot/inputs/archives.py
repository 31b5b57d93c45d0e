"""The images in a zip or tar, read in place; nothing is unpacked to disk."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from maskspot.archives.entries import ArchiveEntry, clean, is_zip, walk_archive
from maskspot.archives.limits import ArchiveError, ArchiveLimits, refusal, too_many
from maskspot.errors import DataError, ImageError, fail
from maskspot.inputs.folders import HIDDEN, NO_FILE, NO_IMAGE, is_hidden, is_image, path_key

LARGEST = 2**30
"""Bytes that an image's file may have where it is held in memory."""

LIMITS = ArchiveLimits(floor=2**26)
"""The limits for archives that are only read."""

ELSEWHERE = "linked to what is not in the archive"
"""Why a link is left out."""

Member = tuple[str, Callable[[], bytes]]
"""An image's name, and a function that reads it, in any thread, or raises `ImageError`."""

_LONGEST_CHAIN = 40  # links to links, as Linux follows them


def members(path: str, passed: Counter[str] | None = None) -> Iterator[Member]:
    """Yield the images in an archive with their names.

    Files without the ending of an image and hidden files are left out. Images of a zip come in
    natural order, those of a tar as they are stored, since a compressed one can only be read from
    its start; its links come last. A link stands for the member that it leads to; nothing outside
    of the archive is ever read. An image that is encrypted, damaged or too large is an error only
    when it is read.

    Args:
        path: the archive.
        passed: counts what is left out, by reason.

    Raises:
        DataError: the archive is damaged, or holds more than `LIMITS` allow; images that were
            given before remain valid. An uncompressed tar may hold any number of images.
    """
    passed = Counter() if passed is None else passed
    try:
        yield from _zip_members(path, passed) if is_zip(path) else _tar_members(path, passed)
    except ArchiveError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except ImportError as error:
        raise DataError(f"{path}: this Python lacks the module {error.name}") from error


def _zip_members(path: str, passed: Counter[str]) -> Iterator[Member]:
    found: list[tuple[str, ArchiveEntry]] = []
    for names, entry in _images(path, passed):
        found += [(name, entry) for name in names]
    grown = sum(entry.size for _, entry in found if entry.compression)
    if grown > min(LIMITS.total, LIMITS.growth(os.stat(path).st_size)):
        raise refusal(f"holds {grown} bytes of images, too many for its size")
    found.sort(key=lambda each: path_key(each[0]))
    for name, entry in found:
        yield name, _reader(entry)


def _tar_members(path: str, passed: Counter[str]) -> Iterator[Member]:
    for names, entry in _images(path, passed):
        read = _reader(entry)
        for name in names:
            yield name, read


def _images(path: str, passed: Counter[str]) -> Iterator[tuple[list[str], ArchiveEntry]]:
    """Yield the images in an archive with the names to show: first files, then links."""
    links: dict[str, str] = {}
    for entry in _limited(path):
        name = _clean_name(entry)
        if entry.kind == "link":
            links[name] = entry.target
        elif entry.kind == "other":
            passed[NO_FILE] += 1
        elif entry.kind == "file" and _is_wanted(name, passed):
            yield [name], entry
    wanted = _by_target(links, passed)
    if any(wanted):  # the archive is walked a second time for them
        for entry in _limited(path):
            if entry.kind == "file" and (names := wanted.pop(_clean_name(entry), [])):
                yield names, entry
    if wanted:
        passed[ELSEWHERE] += sum(map(len, wanted.values()))


def _limited(path: str) -> Iterator[ArchiveEntry]:
    """Walk an archive, and refuse a compressed tar with too much in it."""
    count = total = 0
    for entry in walk_archive(path, LIMITS):
        if not entry.lasting:
            count, total = count + 1, total + entry.size
            if count > LIMITS.files or total > LIMITS.total:
                raise too_many(LIMITS)
        yield entry


def _reader(entry: ArchiveEntry) -> Callable[[], bytes]:
    """Return what reads an entry at any time; the content of a compressed tar is read at once."""
    if entry.obstacle:
        return partial(fail, ImageError(f"{entry.obstacle}; unpack its archive first"))
    if entry.size > LARGEST or entry.exceeds(LIMITS):
        large = ImageError(f"{entry.size:,} bytes are too many to read", "too large")
        return partial(fail, large)
    if entry.lasting:
        return partial(_read, entry)
    return partial(bytes, b"".join(entry.blocks()))


def _read(entry: ArchiveEntry) -> bytes:
    try:
        return b"".join(entry.blocks())
    except ArchiveError as error:
        if error.__cause__ is None:  # refused, and not damaged
            raise ImageError(str(error), "too large") from None
        why = type(error.__cause__).__name__
        raise ImageError(f"damaged in its archive ({why})") from error


def _clean_name(entry: ArchiveEntry) -> str:
    return clean(entry.name.partition("\0")[0])


def _is_wanted(name: str, passed: Counter[str]) -> bool:
    """Return whether a file is an image to give; one that is not is counted."""
    if is_hidden(name) or "__MACOSX" in name.split("/"):
        passed[HIDDEN] += 1
        return False
    if not is_image(name):
        passed[NO_IMAGE] += 1
        return False
    return True


def _by_target(links: dict[str, str], passed: Counter[str]) -> dict[str, list[str]]:
    """Return the names of links that are images, by the members that they lead to in the end."""
    found: dict[str, list[str]] = {}
    for name, target in links.items():
        if not _is_wanted(name, passed):
            continue
        end, steps = target, 0
        while end in links and steps < _LONGEST_CHAIN:
            end, steps = links[end], steps + 1
        found.setdefault("" if end in links else end, []).append(name)
    return found
