"""The pictures of a report: small, and no more than a browser can handle."""

import heapq
import itertools
from dataclasses import dataclass, replace
from io import BytesIO
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskspot.inputs.folders import path_key
from maskspot.model.heatmaps import strength
from maskspot.model.score import Score

LIMIT = 10_000
"""Pictures in a report, of about 3.5 kB each."""

_SIDE = 160  # pixels, of a thumbnail's longer side


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as a report shows it.

    Attributes:
        score: without the heatmap.
        thumbnail: WebP file, at most 160 pixels long.
        heatmap: evidence for a mask in each part, uint8 (h, w), 255 for certainty; or None.
    """

    score: Score
    thumbnail: bytes
    heatmap: NDArray[np.uint8] | None


class Album:
    """Collects pictures from several threads: of too many, those that weigh most."""

    def __init__(self, limit: int = LIMIT) -> None:
        """Start with an empty album.

        Args:
            limit: the number of pictures that are kept.
        """
        self._limit = limit
        self._kept: list[tuple[float, str, int, Picture]] = []
        self._numbers, self._lock = itertools.count(), Lock()

    def add(self, image: Image.Image, score: Score, weight: float) -> None:
        """Add an image, if it weighs enough.

        Args:
            image: upright, in mode RGB.
            score: its score; with a heatmap, the picture has it too.
            weight: importance of the image.
        """
        if len(self._kept) >= self._limit and (weight, score.source) <= self._kept[0][:2]:
            return
        heatmap = None
        if score.heatmap is not None:
            heatmap = np.rint(255 * strength(score)).astype(np.uint8)
        picture = Picture(replace(score, heatmap=None), thumbnail(image), heatmap)
        entry = (weight, score.source, next(self._numbers), picture)
        with self._lock:
            if len(self._kept) < self._limit:
                heapq.heappush(self._kept, entry)
            else:
                heapq.heappushpop(self._kept, entry)

    def add_by_uncertainty(self, image: Image.Image, score: Score) -> None:
        """Add an image that weighs the more, the nearer its probability is to 0.5."""
        assert score.probability is not None
        self.add(image, score, -abs(score.probability - 0.5))

    def add_by_error(self, image: Image.Image, score: Score, target: int) -> None:
        """Add an image that weighs the more, the farther its probability is from its label."""
        assert score.probability is not None
        self.add(image, score, abs(target - score.probability))

    def pictures(self) -> list[Picture]:
        """Return the pictures, in the natural order of their names."""
        found = sorted(self._kept, key=lambda entry: (path_key(entry[1]), entry[2]))
        return [entry[3] for entry in found]


def thumbnail(image: Image.Image) -> bytes:
    """Return an RGB image as a small WebP file."""
    scale = _SIDE / max(image.size)
    if scale < 1:
        width, height = (max(1, round(scale * side)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2)
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=60, method=2)
    return buffer.getvalue()
