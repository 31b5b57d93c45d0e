"""Facts about images besides their labels, such as the source that each comes from."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from maskspot.csv_tables import read_rows
from maskspot.datasets.labels import Labelled
from maskspot.errors import DataError, UsageError

FILE = "sources.csv"
"""Usual name of the CSV of facts in the folder of a data set."""


def read_fact(
    column: str, folders: Iterable[Path], images: Sequence[Labelled], name: str = FILE
) -> list[str]:
    """Read one column of a CSV of facts about images.

    Args:
        column: the column of the fact; the names of the images are in the column `image` or `id`.
        folders: the data sets.
        images: the images of the data sets.
        name: the CSV, as a path in each folder, or else from the current one and for all folders.

    Returns:
        The fact of each image, in their order.

    Raises:
        DataError: a CSV cannot be read, or has no row for an image.
        UsageError: a CSV has no such column.
    """
    found: list[str | None] = [None] * len(images)
    for folder in folders:
        file = folder / name if (folder / name).exists() else Path(name)
        facts, root = _read(file, column), folder.resolve()
        for row, item in enumerate(images):
            if item.path.resolve().is_relative_to(root):
                found[row] = facts.get(item.name)
    for item, fact in zip(images, found, strict=True):
        if fact is None:
            raise DataError(f"{name}: has no row for {item.path}")
    return [fact for fact in found if fact is not None]


def _read(file: Path, column: str) -> dict[str, str]:
    header, rows = read_rows(file)
    names = [name.strip() for name in header]
    key = next((name for name in ("image", "id") if name in names), None)
    if key is None or column not in names:
        raise UsageError(f"{file}: has no column {column if key else 'image'}: {', '.join(names)}")
    image, fact = names.index(key), names.index(column)
    return {row[image].strip(): row[fact].strip() for row in rows}
