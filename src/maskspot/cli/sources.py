"""What `maskspot predict` reads: the images it is pointed at, and never its own output."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.errors import MaskspotError, UsageError

if TYPE_CHECKING:
    from maskspot.inputs import Item


def find(
    images: list[str],
    listing: str | None,
    column: str | None,
    output: Path | None,
    passed: Counter[str] | None = None,
) -> "Iterator[Item]":
    """Give the images that the arguments name, or that a list does, as they are needed.

    What is left out of folders and archives is counted in `passed`, by reason.

    Raises:
        UsageError: neither or both of them are there, or the output is one of the images.
    """
    from maskspot.inputs import find_items, items_from, listed

    if images and listing:
        raise UsageError("--from: name images or a list of them, not both")
    if column and not listing:
        raise UsageError("--column: of which list? name it with --from")
    if not images and not listing:
        raise UsageError("name images, or a list of them with --from")
    if listing:
        return _sparing(items_from(listed(listing, column), passed), output)
    return _sparing(find_items(images, passed), output)


def count_images(images: list[str]) -> int | None:
    """Return how many images there are, where files and folders are all that is named."""
    from maskspot.inputs import SUFFIXES, find_items

    plain = (image.lower().endswith(SUFFIXES) or os.path.isdir(image) for image in images)
    if not images or not all(plain):
        return None
    with suppress(MaskspotError, OSError):  # scoring meets it, too, and says so
        return sum(1 for _ in find_items(images))
    return None


def check_output(
    output: Path | None, others: Iterable[str | Path | None], images: list[str]
) -> None:
    """Refuse, before any work, to write over what is named: what folders and lists name is later.

    Args:
        output: the file to write; None for standard output.
        others: files that are read or written besides; they need not be there yet.
        images: the images that are named.

    Raises:
        UsageError: the output is one of them, or a folder.
    """
    if output is None:
        return
    if output.is_dir():
        raise UsageError(f"--output: {output} is a folder; name a file in it")
    for path in others:
        if path and os.path.realpath(path) == os.path.realpath(output):
            raise _is_input(output)
    there = _identity(output)
    if there and any(there == _identity(image) for image in images):
        raise _is_input(output)


def _sparing(items: "Iterable[Item]", output: Path | None) -> "Iterator[Item]":
    there = _identity(output) if output else None  # it is made when all are scored
    for item in items:
        if output and there and item.path and there == _identity(item.path):
            raise _is_input(output)
        yield item


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Return what tells a file from all others; None where there is no such file."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISREG(facts.st_mode) else None


def _is_input(output: Path) -> UsageError:
    return UsageError(f"--output: {output} is one of the inputs; name another file")
