"""What `maskspot predict` reads: the images it is pointed at."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from maskspot.errors import MaskspotError, UsageError

if TYPE_CHECKING:
    from maskspot.inputs.items import Item


def find(
    images: list[str], listing: str | None, column: str | None, passed: Counter[str] | None = None
) -> "Iterator[Item]":
    """Give the images that the arguments name, or that a list does, as they are needed.

    What is left out of folders and archives is counted in `passed`, by reason.

    Raises:
        UsageError: neither or both of them are there.
    """
    from maskspot.inputs.items import find_items, items_from
    from maskspot.inputs.lists import listed

    if images and listing:
        raise UsageError("--from: name images or a list of them, not both")
    if column and not listing:
        raise UsageError("--column: of which list? name it with --from")
    if not images and not listing:
        raise UsageError("name images, or a list of them with --from")
    if listing:
        return items_from(listed(listing, column), passed)
    return find_items(images, passed)


def count_images(images: list[str]) -> int | None:
    """Return how many images there are, where files and folders are all that is named."""
    from maskspot.inputs.folders import SUFFIXES
    from maskspot.inputs.items import find_items

    plain = (image.lower().endswith(SUFFIXES) or os.path.isdir(image) for image in images)
    if not images or not all(plain):
        return None
    with suppress(MaskspotError, OSError):  # scoring meets it, too, and says so
        return sum(1 for _ in find_items(images))
    return None
