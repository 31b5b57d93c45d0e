"""What there is to know of each photo without a network: its file, its pixels, its hash."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
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

SMALL = 64
"""Pixels of the shorter side below which an image is small: a quarter of a network's input."""

LARGE = 40_000_000
"""Pixels above which an image is large: more than cameras give, and a second to decode."""

ASPECT = 3.0
"""Longer side over shorter above which an image is odd: squashed to a square, faces are lines."""

_BLOCK = 256  # images whose thumbnails are in memory
_THUMBNAIL = Preprocessing(size=128)


@dataclass(frozen=True)
class Photo:
    """One image of a data set.

    Attributes:
        name: as the CSV has it.
        path: the file.
        target: 0 or 1; None for a test image.
        size: of the file, in bytes.
        digest: SHA-256 of the file; empty where it could not be read at all.
        width: upright, in pixels; 0 where it is unreadable.
        height: likewise.
        format: by the file's content; empty where it is unreadable.
        pixels: SHA-256 of width, height and pixels; empty where it is unreadable.
        error: why it is unreadable.
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
    named: Sequence[tuple[str, Path, int | None]],
    done: Callable[[int, int], None] = lambda count, total: None,
) -> tuple[list[Photo], Hashes]:
    """Read images to their ends, on all cores; a thumbnail of each of a block is in memory.

    Args:
        named: name, file and target of each.
        done: told how many are read, and of how many.

    Returns:
        The photos, and the perceptual hash of each; that of an unreadable one has no bit set.
    """
    photos: list[Photo] = []
    hashed = [np.empty((0, 32), np.uint8)]
    with ThreadPoolExecutor(usable_cpus()) as pool:
        for at in range(0, len(named), _BLOCK):
            thumbnails = []
            for photo, thumbnail in pool.map(lambda one: _read(*one), named[at : at + _BLOCK]):
                photos.append(photo)
                thumbnails.append(thumbnail)
                done(len(photos), len(named))
            hashed.append(hashes(np.stack(thumbnails)))
    return photos, np.concatenate(hashed)


def odd_sizes(photos: Sequence[Photo]) -> Iterator[Problem]:
    """Give the images that are very small, very large, or very long."""
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
    """Give the images that cannot be decoded, with the reason."""
    for photo in photos:
        if photo.error is not None:
            yield Problem("unreadable", photo.name, "", photo.error)


def log_facts(photos: Sequence[Photo]) -> dict[str, NDArray[np.float64]]:
    """Return the logarithm of each property that is a number, (N,), by its name."""
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
