"""Conversion of samples of any bit depth, integers or floats, to 8 bits."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_STRIP = 2**20
"""Number of samples converted at a time; as floats, all would take eight times the image."""

_INTEGERS = (255.0, 65535.0, 2.0**32 - 1)
_FLOATS = (1.0, 255.0, 65535.0)


def strips(samples: NDArray[Any]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield some rows at a time as floats; NaN becomes 0."""
    step = max(1, _STRIP // max(1, samples[0].size))
    for top in range(0, len(samples), step):
        rows = slice(top, top + step)
        with np.errstate(invalid="ignore"):
            yield rows, np.nan_to_num(samples[rows].astype(np.float64))


def lowest_and_peak(samples: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and the largest sample."""
    ends = [(float(values.min()), float(values.max())) for _, values in strips(samples)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def to_8_bit(samples: NDArray[Any], peak: float | None = None) -> NDArray[np.uint8]:
    """Convert samples to 0..255; negative ones are black.

    For unsigned 16-bit samples white is the largest value of the type. Other files do not say what
    white is, so it is the smallest common value (1 for floats; 255; 65535; the largest 32-bit
    integer) that the peak exceeds by at most a tenth, or else the peak.

    Args:
        samples: integers or floats of any shape (H, ...).
        peak: the largest sample; None to compute it.
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
    """Convert an image of mode I;16, I or F to mode L; a transparent value becomes white."""
    samples = np.asarray(image)
    grey = to_8_bit(samples)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[samples == transparent] = 255
    return Image.fromarray(grey)
