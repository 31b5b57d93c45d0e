"""The images of a run: those that arguments name, or that a list does."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskspot.arguments import argument, several
from maskspot.errors import MaskspotError, UsageError

if TYPE_CHECKING:
    from maskspot.inputs.items import Item

_PANEL = "Input"


@dataclass(frozen=True)
class Selection:
    """Images to score, by name or by a list of names.

    Attributes:
        images: files, folders, patterns, archives and URLs, as `find_items` takes them.
        listing: a file that lists such images; `-` is standard input.
        column: the column of the list that has their names, where it is a CSV.

    Raises:
        UsageError: both images and a list are given, or neither, or a column without a list.
    """

    images: tuple[str, ...] = argument(
        (),
        help="Images, folders, patterns, zip and tar archives, URLs; - reads one image from "
        "standard input.",
        metavar="IMAGES...",
        positional=True,
        show_default=False,
    )
    listing: str | None = argument(
        None,
        help="File that lists the images, one per line; - is standard input.",
        names=("from",),
        metavar="FILE",
        rich_help_panel=_PANEL,
    )
    column: str | None = argument(
        None,
        help="Column of the list that has the images, if it is a CSV.",
        metavar="NAME",
        rich_help_panel=_PANEL,
    )

    def __post_init__(self) -> None:
        try:
            images = tuple(map(os.fspath, several(self.images)))
        except TypeError:
            raise UsageError(f"must be paths, not {self.images!r}", argument="images") from None
        object.__setattr__(self, "images", images)
        if self.listing is not None:
            object.__setattr__(self, "listing", os.fspath(self.listing))
        if self.images and self.listing:
            raise UsageError("name either images or a list of them, not both", argument="listing")
        if self.column and not self.listing:
            raise UsageError("needs the list that it is a column of: `listing`", argument="column")
        if not self.images and not self.listing:
            raise UsageError("name images, or a list of them with `listing`")

    def items(self, passed: Counter[str] | None = None) -> "Iterator[Item]":
        """Yield the images one after another, as they are needed.

        Args:
            passed: counts, by reason, what is left out of folders and archives.

        Raises:
            MaskspotError: as `find_items` and `listed` say.
        """
        from maskspot.inputs.items import find_items, items_from
        from maskspot.inputs.lists import listed

        if self.listing:
            return items_from(listed(self.listing, self.column), passed)
        return find_items(self.images, passed)

    def count(self) -> int | None:
        """Return the number of images if only files and folders are named, else None."""
        from maskspot.inputs.folders import SUFFIXES
        from maskspot.inputs.items import find_items

        countable = (each.lower().endswith(SUFFIXES) or os.path.isdir(each) for each in self.images)
        if not self.images or not all(countable):
            return None
        with suppress(MaskspotError, OSError):  # scoring meets it too, and reports it
            return sum(1 for _ in find_items(self.images))
        return None
