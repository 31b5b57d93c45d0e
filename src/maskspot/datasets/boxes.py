"""Boxes of faces, with and without masks, for training on parts of images."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskspot.csv_tables import number, read_rows
from maskspot.datasets.labels import Labelled, target_of
from maskspot.errors import DataError, ImageError
from maskspot.images import Preprocessing, open_rgb

COLUMNS = ("image", "xmin", "ymin", "xmax", "ymax", "label")


@dataclass(frozen=True)
class Boxes:
    """The faces of one image.

    Attributes:
        corners: left, top, right and bottom as shares of the network's square, float64 (M, 4).
        masked: whether the face has a mask, worn correctly or not, bool (M,).
        aspect: width of the image divided by its height.
    """

    corners: NDArray[np.float64]
    masked: NDArray[np.bool_]
    aspect: float


def read_boxes(
    name: str, folders: Iterable[Path], images: Sequence[Labelled], preprocessing: Preprocessing
) -> list[Boxes | None]:
    """Read the boxes of images.

    The columns of the CSV are image (its name in the labels), xmin, ymin, xmax and ymax in pixels
    of the upright image, and label: a word that means "no mask" to `labels.target_of`, or any
    other, which means a mask.

    Args:
        name: the CSV, as a path in each folder, or else from the current one and for all folders.
        folders: the data sets.
        images: the images of the data sets.
        preprocessing: how an image becomes square.

    Returns:
        The boxes of each image; None where it has none, or they contradict its label.

    Raises:
        DataError: the CSV is missing or damaged, or has boxes of none of the images.
    """
    found: list[Boxes | None] = [None] * len(images)
    for folder in folders:
        file = folder / name if (folder / name).exists() else Path(name)
        faces = _read(file)
        root, any_known = folder.resolve(), False
        for row, item in enumerate(images):
            if item.name in faces and item.path.resolve().is_relative_to(root):
                found[row] = _boxes(item, faces[item.name], preprocessing)
                any_known = True
        if not any_known:
            raise DataError(f"{file}: has no box of any image of {folder}")
    return found


def _read(file: Path) -> dict[str, list[tuple[float, float, float, float, bool]]]:
    header, rows = read_rows(file)
    names = [name.strip().lower() for name in header]
    if not set(COLUMNS) <= set(names):
        raise DataError(f"{file}: needs the columns {', '.join(COLUMNS)}")
    image, *sides, label = (names.index(name) for name in COLUMNS)
    faces = defaultdict(list)
    for row in rows:
        try:
            left, top, right, bottom = (number(row[side]) for side in sides)
        except ValueError:
            raise DataError(f"{file}, row {row.number}: a corner is not a number") from None
        if not (np.isfinite([left, top, right, bottom]).all() and left < right and top < bottom):
            raise DataError(
                f"{file}, row {row.number}: not a box, which needs xmin < xmax and ymin < ymax"
            )
        masked = target_of(row[label]) != 0
        faces[row[image].strip()].append((left, top, right, bottom, masked))
    return faces


def _boxes(
    item: Labelled,
    faces: Sequence[tuple[float, float, float, float, bool]],
    preprocessing: Preprocessing,
) -> Boxes | None:
    masked = np.array([face[4] for face in faces])
    if bool(masked.any()) != bool(item.target):
        return None
    try:
        width, height = open_rgb(item.path).size
    except ImageError:  # training leaves it out and reports it
        return None
    corners = np.array([face[:4] for face in faces], dtype=np.float64)
    # As Preprocessing.apply places the image in the square.
    longest = max(width, height)
    spans = (longest, longest) if preprocessing.fit == "pad" else (width, height)
    margin = np.array([(spans[0] - width) / 2, (spans[1] - height) / 2] * 2)
    shares = (corners + margin) / np.array([*spans, *spans])
    return Boxes(shares.clip(0, 1), masked, spans[0] / spans[1])
