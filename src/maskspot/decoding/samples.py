"""Samples of any depth, integers or floats, brought to the 8 bits that the network sees."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STRIP = 2**20
"""Samples that are converted at a time: the floats of all would be eight times an image."""

_INTEGERS = (255.0, 65535.0, 2.0**32 - 1)
_FLOATS = (1.0, 255.0, 65535.0)


def strips(samples: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Give some rows at a time as floats; what is not a number is 0."""
    step = max(1, _STRIP // max(1, samples[0].size))
    for top in range(0, len(samples), step):
        rows = slice(top, top + step)
        with np.errstate(invalid="ignore"):
            yield rows, np.nan_to_num(samples[rows].astype(np.float64))


def lowest_and_peak(samples: NDArray[Any]) -> tuple[float, float]:
    """Return the least and the greatest sample."""
    ends = [(float(values.min()), float(values.max())) for _, values in strips(samples)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def to_8_bit(samples: NDArray[Any], peak: float | None = None) -> NDArray[np.uint8]:
    """Bring samples to 0..255; below 0 is black.

    Samples of up to 16 bits span their type. Others do not say what white is, so it is the least
    usual value (1 for floats; 255; 65535; the greatest of 32 bits) that all but holds them, or
    else their peak.

    Args:
        samples: of any shape (H, ...), integers or floats.
        peak: the greatest of them; None looks for it.
    """
    if samples.dtype.itemsize == 2 and samples.dtype.kind == "u":
        white = 65535.0
    else:
        peak = lowest_and_peak(samples)[1] if peak is None else peak
        white = _white(peak, samples.dtype.kind)
    found = np.empty(samples.shape, np.uint8)
    for rows, values in strips(samples):
        found[rows] = np.rint(values.clip(0, white) * (255 / white))
    return found


def _white(peak: float, kind: str) -> float:
    usual = _FLOATS if kind == "f" else _INTEGERS
    white = next((value for value in usual if peak <= 1.1 * value), peak)
    return peak if white == usual[-1] and kind != "f" and peak < white / 16 else white


def deep_grey(image: Image.Image) -> Image.Image:
    """Bring an image of mode I;16, I or F to mode L; a transparent value becomes white."""
    samples = np.asarray(image)
    grey = to_8_bit(samples)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[samples == transparent] = 255
    return Image.fromarray(grey)
