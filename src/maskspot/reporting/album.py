"""The pictures of a report: small, and not more than a browser likes to have at once."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskspot.cpus import usable_cpus
from maskspot.errors import ImageError
from maskspot.images import open_image
from maskspot.inputs.folders import path_key
from maskspot.inputs.items import Item
from maskspot.model.heatmaps import strength
from maskspot.model.score import Score
from maskspot.parallel import map_in_order

LIMIT = 10_000
"""Pictures in a report, of some 3.5 kB each."""

_SIDE = 160  # pixels, of a thumbnail's longer side


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as a report shows it.

    Attributes:
        score: its own, without the heatmap.
        thumbnail: a WebP file, at most 160 pixels long.
        heatmap: how much each part of it speaks for a mask, uint8 (h, w): 255 for certainty; None
            where there is none.
    """

    score: Score
    thumbnail: bytes
    heatmap: NDArray[np.uint8] | None


class Album:
    """Collects pictures from several threads: of too many, those that weigh most."""

    def __init__(self, weigh: Callable[[Score], float], limit: int = LIMIT) -> None:
        """Start with none.

        Args:
            weigh: how much an image deserves its place.
            limit: how many are kept.
        """
        self._weigh, self._limit = weigh, limit
        self._kept: list[tuple[float, str, int, Picture]] = []
        self._numbers, self._lock = itertools.count(), Lock()

    def add(self, image: Image.Image, score: Score) -> None:
        """Take up an image, if it weighs enough.

        Args:
            image: upright, in mode RGB.
            score: its own; with a heatmap, that is shown too.
        """
        weight = self._weigh(score)
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

    def photograph(self, items: Iterable[Item], probabilities: Mapping[str, float]) -> None:
        """Take up images that were scored elsewhere; those that cannot be read are left out.

        Args:
            items: the images.
            probabilities: by their names; an image without one is left out, too.
        """

        def take(batch: list[Item]) -> list[None]:
            for item in batch:
                with suppress(ImageError, OSError):
                    opened = open_image(item.load())
                    probability = probabilities[item.name]
                    score = Score(item.name, probability, format=opened.format)
                    self.add(opened.rgb, replace(score, width=opened.width, height=opened.height))
            return [None] * len(batch)

        wanted = (item for item in items if item.name in probabilities)
        for _ in map_in_order(take, wanted, usable_cpus(), 1):
            pass

    def pictures(self) -> list[Picture]:
        """Return what is kept, in the natural order of the names."""
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


def uncertainty(score: Score) -> float:
    """Return how near a probability is to 0.5: from 0 to 0.5."""
    assert score.probability is not None
    return 0.5 - abs(score.probability - 0.5)
