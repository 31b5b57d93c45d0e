"""Heatmaps to look at: the image, with the mask marked in red."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskspot.errors import DataError
from maskspot.files import check_target, remove_leftovers, replacing
from maskspot.model.score import Score
from maskspot.safe_paths import PathsBelow, make_folders

_RED = (255, 32, 0)
_FINE = 8  # points per cell and direction in the search for the peak
_STRENGTH = 0.7  # opacity of the red at probability 1
_COMMENT = b"maskspot: a heatmap"
_HEAD = 1024  # bytes at the start of a JPEG, which include the comment


def strength(score: Score) -> NDArray[np.float64]:
    """Return how much each part of an image contributes to a mask, from 0 to the probability.

    The part that adds most to the logit gets the probability, others in proportion; parts with a
    negative contribution get 0. The heatmap is first smoothed by a (1, 2, 1) kernel in both
    directions, as a mask covers several cells: `benchmarks/pointing.py` measures what that gains.

    Args:
        score: with a heatmap, (h, w).

    Returns:
        Contributions, (h, w).
    """
    assert score.probability is not None
    assert score.heatmap is not None
    parts = _smooth(_smooth(score.heatmap.astype(np.float64)).T).T.clip(0)
    return np.asarray(score.probability * parts / max(parts.max(), 1e-9))


def peak(score: Score) -> tuple[float, float]:
    """Return the point of the largest contribution: x and y as fractions of width and height.

    Args:
        score: with a heatmap, which is interpolated as in its overlay.
    """
    shares = Image.fromarray(strength(score).astype(np.float32))
    size = (_FINE * shares.width, _FINE * shares.height)
    fine = np.asarray(shares.resize(size, Image.Resampling.BICUBIC))
    row, column = divmod(int(fine.argmax()), size[0])
    return (column + 0.5) / size[0], (row + 0.5) / size[1]


def _smooth(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a grid whose rows are smoothed with those above and below."""
    wider = np.pad(grid, ((1, 1), (0, 0)), mode="edge")
    return (wider[:-2] + 2 * wider[1:-1] + wider[2:]) / 4


def overlay(image: Image.Image, score: Score) -> Image.Image:
    """Return an image with its heatmap in red over it.

    Args:
        image: upright, in mode RGB.
        score: its own, with a heatmap.
    """
    image = image.copy()
    shares = Image.fromarray(np.uint8(255 * _STRENGTH * strength(score)))
    mask = shares.resize(image.size, Image.Resampling.BICUBIC)
    image.paste(_RED, mask=mask)
    return image


class Overlays:
    """A folder of overlays: JPEGs with the names and subfolders of their images."""

    def __init__(self, folder: Path) -> None:
        """Name the folder.

        Args:
            folder: created with the first overlay.
        """
        self._paths = PathsBelow(folder, ".jpg")
        self._swept: set[Path] = set()

    def save(self, image: Image.Image, score: Score) -> None:
        """Write an image's overlay; safe to call from several threads.

        Args:
            image: upright, in mode RGB.
            score: its own, with a heatmap.

        Raises:
            DataError: a file that is not an overlay, or a link, is in its place.
            OSError: it cannot be written.
        """
        file = self._paths.take(score.source)
        make_folders(self._paths.folder, file)
        if file.parent not in self._swept:
            self._swept.add(file.parent)
            remove_leftovers(file)
        check_target(file)
        if file.exists() and not _is_overlay(file):
            raise DataError(f"{file}: exists and is not a heatmap; name another folder")
        with replacing(file) as beside:
            overlay(image, score).save(beside, "JPEG", quality=85, comment=_COMMENT)


def _is_overlay(file: Path) -> bool:
    with file.open("rb") as stream:
        return _COMMENT in stream.read(_HEAD)
