"""Facts about each photo that need no network: its file, its pixels, its hash."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskspot.checking.problems import Problem
from maskspot.cpus import usable_cpus
from maskspot.datasets.near_duplicates import Hashes, hashes
from maskspot.errors import ImageError
from maskspot.files import sha256
from maskspot.images import Preprocessing, open_image
from maskspot.progress import SILENT, Progress

SMALL = 64
"""Shorter side in pixels below which an image is small: a quarter of a network's input."""

LARGE = 40_000_000
"""Pixels above which an image is large: more than cameras give, and slow to decode."""

ASPECT = 3.0
"""Ratio of the sides above which an image is odd: squashed to a square, faces are lines."""

_BLOCK = 256  # images whose thumbnails are in memory
_THUMBNAIL = Preprocessing(size=128)


@dataclass(frozen=True)
class Photo:
    """One image of a data set.

    Attributes:
        name: as the CSV has it.
        path: the file.
        target: 0 or 1; None for a test image.
        size: bytes of the file.
        digest: SHA-256 of the file; empty if the file cannot be read at all.
        width: of the upright image, in pixels; 0 if it cannot be decoded.
        height: likewise.
        format: told from the content; empty if the image cannot be decoded.
        pixels: SHA-256 of width, height and pixels; empty if the image cannot be decoded.
        error: why it cannot be decoded; None if it can.
    """

    name: str
    path: Path
    target: int | None
    size: int = 0
    digest: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    pixels: str = ""
    error: str | None = None


def read_photos(
    named: Sequence[tuple[str, Path, int | None]], progress: Progress = SILENT
) -> tuple[list[Photo], Hashes]:
    """Read images completely, on all cores; memory holds the thumbnails of a block of them.

    Args:
        named: name, file and target of each image.
        progress: told how many images are read.

    Returns:
        The photos, and the perceptual hash of each; an unreadable one has no bit set.
    """
    photos: list[Photo] = []
    hashed = [np.empty((0, 32), np.uint8)]
    with (
        ThreadPoolExecutor(usable_cpus()) as pool,
        progress.step("reading the images", "images", len(named)) as step,
    ):
        for at in range(0, len(named), _BLOCK):
            thumbnails = []
            for photo, thumbnail in pool.map(lambda one: _read(*one), named[at : at + _BLOCK]):
                photos.append(photo)
                thumbnails.append(thumbnail)
                step.update(len(photos))
            hashed.append(hashes(np.stack(thumbnails)))
    return photos, np.concatenate(hashed)


def odd_sizes(photos: Sequence[Photo]) -> Iterator[Problem]:
    """Yield a problem for each image that is very small, very large, or very long."""
    for photo in photos:
        if photo.error is not None:
            continue
        short, long = sorted((photo.width, photo.height))
        words = {
            f"smaller than {SMALL} pixels": short < SMALL,
            f"more than {LARGE // 10**6} million pixels": short * long > LARGE,
            f"{long / short:.1f} times as long as wide": long > ASPECT * short,
        }
        if any(words.values()):
            detail = ", ".join(word for word, so in words.items() if so)
            yield Problem("size", photo.name, "", f"{photo.width} x {photo.height}: {detail}")


def unreadable(photos: Sequence[Photo]) -> Iterator[Problem]:
    """Yield a problem for each image that cannot be decoded, with the reason."""
    for photo in photos:
        if photo.error is not None:
            yield Problem("unreadable", photo.name, "", photo.error)


def log_facts(photos: Sequence[Photo]) -> dict[str, NDArray[np.float64]]:
    """Return the logarithm of each numeric property, (N,), by name."""
    facts: dict[str, list[float]] = {
        "width": [photo.width for photo in photos],
        "height": [photo.height for photo in photos],
        "aspect": [photo.width / photo.height for photo in photos],
        "bytes": [photo.size for photo in photos],
        "bytes per pixel": [photo.size / (photo.width * photo.height) for photo in photos],
    }
    return {name: np.log(values) for name, values in facts.items()}


def _read(name: str, path: Path, target: int | None) -> tuple[Photo, NDArray[np.uint8]]:
    nothing = np.zeros((_THUMBNAIL.size, _THUMBNAIL.size, 3), np.uint8)
    size, digest = 0, ""
    try:
        size, digest = path.stat().st_size, sha256(path)
        opened = open_image(path)
    except OSError as error:
        reason = error.strerror or str(error)
        return Photo(name, path, target, size, digest, error=reason), nothing
    except ImageError as error:
        return Photo(name, path, target, size, digest, error=str(error)), nothing
    pixels = hashlib.sha256(f"{opened.rgb.size}".encode())
    pixels.update(opened.rgb.tobytes())
    photo = Photo(
        *(name, path, target, size, digest, opened.width, opened.height, opened.format or ""),
        pixels.hexdigest(),
    )
    return photo, _THUMBNAIL.apply(opened.rgb)
