"""The images of a run that int8 is calibrated on, and those that it is measured on."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskspot.csv_tables import read_rows
from maskspot.datasets.labels import Labelled, read_folders
from maskspot.errors import DataError
from maskspot.images import Preprocessing
from maskspot.training.pixel_cache import load_pixels
from maskspot.training.run import Run

TRAINING_IMAGES = 256
HELD_BACK_IMAGES = 500
"""Maximum numbers of images, evenly spread, which bound the time that int8 takes."""


@dataclass(frozen=True)
class CalibrationImages:
    """Images of a run.

    Attributes:
        training: images that it learned from, uint8 (M, S, S, 3).
        held_back: images that it did not learn from, uint8 (N, S, S, 3).
        targets: labels of those held back, 0 or 1, float64 (N,).
    """

    training: NDArray[np.uint8]
    held_back: NDArray[np.uint8]
    targets: NDArray[np.float64]


def read_calibration_images(run: Run) -> CalibrationImages:
    """Read images of a run from its data folders.

    Raises:
        DataError: the data are missing, or are not those that the run learned from.
    """
    settings = run.settings
    preprocessing = settings.preprocessing
    table = run.folder / "validation.csv"
    held = {row[0] for row in read_rows(table)[1]}
    try:
        items = read_folders(run.data, settings.layout)
        training = _spread([item for item in items if item.name not in held], TRAINING_IMAGES)
        held_back = _spread([item for item in items if item.name in held], HELD_BACK_IMAGES)
        pixels, targets = _read([*training, *held_back], preprocessing)
    except DataError as error:
        raise DataError(f"`int8` needs the images of the run: {error}") from None
    cut = len(training)
    seen, measured = ~np.isnan(targets[:cut]), ~np.isnan(targets[cut:])
    if not seen.any() or not measured.any():
        raise DataError(
            f"`int8` needs the images of the run: {run.data[0]} has no readable ones that {table} "
            "names, or no others"
        )
    return CalibrationImages(pixels[:cut][seen], pixels[cut:][measured], targets[cut:][measured])


def _spread(items: Sequence[Labelled], most: int) -> list[Labelled]:
    step = max(len(items) / most, 1.0)
    return [items[int(at * step)] for at in range(min(len(items), most))]


def _read(
    items: Sequence[Labelled], preprocessing: Preprocessing
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return pixels and targets; an unreadable image's target is NaN.

    The cache of the run is not used: it is of all images, and may have been deleted.
    """
    with tempfile.TemporaryDirectory(prefix="maskspot-") as folder:
        pixels = load_pixels([item.path for item in items], preprocessing, Path(folder))
        array = np.array(pixels.array)
    targets = np.array([item.target for item in items], np.float64)
    targets[list(pixels.errors)] = np.nan
    return array, targets
