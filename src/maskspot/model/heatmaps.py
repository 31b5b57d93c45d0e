"""Heatmaps to look at: the image, with the mask marked, and the probability."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from maskspot.errors import DataError
from maskspot.files import check_target, remove_leftovers, replacing
from maskspot.model.score import Score, percentage
from maskspot.safe_paths import PathsBelow, make_folders

_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Viridis, at probabilities 0, 0.25, 0.5, 0.75 and 1: yellow is seen on skin and on red things."""

_OUTLINED = 0.5  # probability that the outline is drawn at, so that an image of less has none
_LINE = 1 / 300  # width of the outline, and of its dark edge, as a share of the longer side
_LAYER = 400  # longer side of the colours, which are enlarged to the image
_LETTER, _LEAST_LETTER = 1 / 18, 10  # height of letters, as a share of the shorter side; pixels
_FINE = 8  # points per cell and direction in the search for the peak
_OPACITY = 0.7  # at probability 1
_JPG = re.compile(r"\.jpg$", re.I)
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
    """Return an image with its heatmap over it, the mask outlined, and the probability.

    Args:
        image: upright, in mode RGB.
        score: its own, with a heatmap.
    """
    assert score.probability is not None
    image = image.copy()
    layer = _layer(strength(score), image.size)
    image.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
    _write(percentage(score.probability), image)
    return image


def _layer(shares: NDArray[np.float64], size: tuple[int, int]) -> Image.Image:
    """Return the colours over an image of this size, in mode RGBA."""
    shrink = min(1.0, _LAYER / max(size))
    small = (max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink)))
    fine = Image.fromarray(shares.astype(np.float32)).resize(small, Image.Resampling.BICUBIC)
    values = np.asarray(fine).clip(0, 1)
    stops = np.linspace(0, 1, len(_COLOURS))
    colours = [np.interp(values, stops, channel) for channel in zip(*_COLOURS, strict=True)]
    layer = np.stack([*colours, 255 * _OPACITY * values], axis=-1)
    # Across the outline, a difference is as many pixels as the slope goes into it.
    wide = np.pad(values, 1, mode="edge")
    slope = np.hypot(wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]) / 2
    width = max(1.0, max(small) * _LINE)
    distance = np.abs(values - _OUTLINED) / np.maximum(slope, 1e-6)
    layer[distance < 2 * width] = (0, 0, 0, 255)
    layer[distance < width] = (255, 255, 255, 255)
    return Image.fromarray(layer.round().astype(np.uint8), "RGBA").resize(size)


def _write(text: str, image: Image.Image) -> None:
    """Write a text on a dark ground into the corner of an image, if it is large enough."""
    font = ImageFont.load_default(max(_LEAST_LETTER, round(min(image.size) * _LETTER)))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = map(round, draw.textbbox((0, 0), text, font))
    margin = (bottom - top) // 2
    box = (right - left + 2 * margin, bottom - top + 2 * margin)
    if box[0] <= image.width and box[1] <= image.height:
        draw.rectangle((0, 0, *box), (0, 0, 0))
        draw.text((margin - left, margin - top), text, (255, 255, 255), font)


class Overlays:
    """A folder of overlays: JPEGs with the names and subfolders of their images.

    That of `x.jpg` is `x.heatmap.jpg`, that of `x.png` is `x.png.heatmap.jpg`.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder.

        Args:
            folder: created with the first overlay.
        """
        self._paths = PathsBelow(folder, ".heatmap.jpg")
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
        file = self._paths.take(_JPG.sub("", score.source))
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
