"""A large job in parts, each of which one worker scores into one file."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any

from maskspot.errors import (
    DataError,
    ImageError,
    MaskspotError,
    MissingExtraError,
    UsageError,
    fail,
)
from maskspot.inputs.items import Item

if TYPE_CHECKING:
    from maskspot.images import ImageSource

NamedImage = tuple[str, "Callable[[], ImageSource]"]
"""A name, and a function that returns the image on the machine where it is called."""


@dataclass(frozen=True)
class Partition:
    """Images that become one file.

    Attributes:
        name: of the file, with a hash of its images, so that others never replace it.
        images: returns the images, on the worker.
    """

    name: str
    images: Callable[[], Sequence[NamedImage]]


def of_items(items: Iterable[Item], size: int) -> Iterator[Partition]:
    """Cut items into partitions.

    Args:
        items: files and URLs that workers can open.
        size: number of images in each partition.

    Raises:
        UsageError: an item is in an archive or on standard input.
    """
    rest = iter(items)
    number = 0
    while chunk := list(islice(rest, size)):
        for item in chunk:
            if not (item.path is None and "://" in item.name) and not _is_file(item):
                raise UsageError(
                    f"{item.name}: workers of a cluster read files and URLs only; unpack it"
                )
        names = "\0".join(item.name for item in chunk)
        images = [(item.name, item.load) for item in chunk]
        yield Partition(_name(number, names), partial(list, images))
        number += 1


def of_parquet(uri: str, column: str | None) -> Iterator[Partition]:
    """Make a partition of each row group of Parquet files, which the workers read.

    Args:
        uri: of a file or a folder of files, in any store that pyarrow knows.
        column: column of paths and URLs, or of images' bytes, whose names are in the column
            `source` if it exists.

    Raises:
        DataError: the files cannot be read, or lack the column.
    """
    from pyarrow import dataset

    try:
        fragments = dataset.dataset(uri, format="parquet").get_fragments()
        number = 0
        for fragment in fragments:
            for group in fragment.split_by_row_group():
                (index,) = (each.id for each in group.row_groups)
                what = f"{group.path}\0{index}\0{group.metadata.num_rows}"
                yield Partition(_name(number, what), partial(_rows, group, column))
                number += 1
    except (OSError, ValueError) as error:
        raise DataError(f"{uri}: {error}") from None


def _rows(fragment: Any, column: str | None) -> list[NamedImage]:
    """Return the images of a row group."""
    table = fragment.to_table()
    names = table["source"].to_pylist() if "source" in table.column_names else None
    values = table[column or table.column_names[0]].to_pylist()
    return images_of(values, names or [f"{fragment.path}#{at}" for at in range(len(values))])


def images_of(values: Iterable[object], names: Iterable[str]) -> list[NamedImage]:
    """Return the images of the rows of a table.

    Args:
        values: bytes of an image, or a path or URL. A row without a value becomes a missing
            image, and a path that cannot be opened or listed an image with the reason.
        names: of images that are bytes or missing.
    """
    found: list[NamedImage] = []
    for value, name in zip(values, names, strict=True):
        if isinstance(value, bytes | bytearray | memoryview):
            found.append((name, partial(io.BytesIO, value)))
        elif isinstance(value, str) and value:
            found += _pointed_at(value)
        else:
            nothing = ImageError("nothing in this row", "missing")
            found.append((name if isinstance(name, str) else "", partial(fail, nothing)))
    return found


def _pointed_at(path: str) -> list[NamedImage]:
    """Return the images at a path; if it cannot be opened or listed, an image with the reason.

    A damaged archive gives the images before the damage, and then the reason.
    """
    from maskspot.inputs.items import items_from
    from maskspot.inputs.urls import public

    found: list[NamedImage] = []
    try:
        for item in items_from([path]):
            found.append((item.name, item.load))
    except MissingExtraError:  # wrong with the worker, not with the row
        raise
    except (MaskspotError, OSError, ValueError) as error:
        found.append((public(path), partial(fail, ImageError(str(error)))))
    return found


def _is_file(item: Item) -> bool:
    return item.path is not None and item.load() == item.path


def _name(number: int, what: str) -> str:
    digest = sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"part-{number:06}-{digest}.parquet"


def number_of(name: str) -> str:
    """Return which partition a file is of."""
    return name.split("-")[1]
