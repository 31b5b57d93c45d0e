"""Near-duplicate photos, found by a perceptual hash.

The hash is pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010): the signs of the lowest frequencies of an image, here 16x16 of a discrete cosine
transform of a 32x32 thumbnail. Each is compared with 0 and not with their median, so that the hash
of the mirrored image needs no pixels: mirroring replaces x by n - 1 - x in cos(pi f (2x + 1) / 2n),
which flips the signs of the odd horizontal frequencies and nothing else.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BITS = 256
"""Bits of a hash."""

DISTANCE = 72
"""Differing bits up to which two photos count as one.

Different photos are hardly ever this close. Copies of a photo are, whether they were compressed at
JPEG quality 30, shrunk to 64 pixels and back, made 20 % darker, brighter, flatter or harsher,
mirrored, or cut by 1.5 % on each side. At larger distances, chains of different photos appear.
"""

_SIDE = 32  # of a thumbnail, in pixels
_FREQUENCIES = 16  # along each axis
_BLOCK = 512  # images hashed, or compared with all others, at a time

Hashes = NDArray[np.uint8]


def hashes(pixels: NDArray[np.uint8]) -> Hashes:
    """Return the perceptual hash of each image.

    Args:
        pixels: uint8 (N, H, W, 3), in memory or memory-mapped; read in blocks, on all cores.

    Returns:
        uint8 (N, 32): 256 packed bits for each image. Images of a single colour, such as the zeros
        of images that cannot be read, have no bit set.
    """
    blocks = [pixels[at : at + _BLOCK] for at in range(0, len(pixels), _BLOCK)]
    with ThreadPoolExecutor() as pool:
        return np.concatenate([np.empty((0, BITS // 8), np.uint8), *pool.map(_hash, blocks)])


def mirrored(hashed: Hashes) -> Hashes:
    """Return the hashes, uint8 (N, 32), of the images mirrored left to right."""
    odd = np.arange(BITS) % _FREQUENCIES % 2
    return hashed ^ np.packbits(odd.astype(bool))


def groups(hashed: Hashes, distance: int = DISTANCE) -> NDArray[np.intp]:
    """Return the number of each image's group of near-duplicates, mirrored ones among them.

    Two images are in one group if their hashes differ in at most `distance` bits, as they are or
    with one of them mirrored, or if a chain of such images joins them. Memory is linear in N.

    Args:
        hashed: uint8 (N, 32), from `hashes`.
        distance: in bits.

    Returns:
        (N,), numbered from 0 in order of first appearance.
    """
    labels = np.arange(len(hashed))
    for image, others, _ in neighbours(hashed, distance):
        joined = np.unique(labels[[image, *others]])
        if len(joined) > 1:
            labels[np.isin(labels, joined)] = joined[0]
    return np.unique(labels, return_inverse=True)[1]


def neighbours(
    hashed: Hashes, distance: int = DISTANCE
) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield each image that has earlier neighbours, those, and the bits by which they differ.

    The smaller distance counts of those to the image as it is and mirrored. Memory is linear in N.

    Args:
        hashed: uint8 (N, 32), from `hashes`.
        distance: bits up to which images are neighbours.
    """
    signs, mirrors = _signs(hashed), _signs(mirrored(hashed))
    for at in range(0, len(hashed), _BLOCK):
        rows, end = signs[at : at + _BLOCK], at + _BLOCK
        # The scalar product of signs is the number of equal bits minus that of unequal ones.
        products = np.maximum(rows @ signs[:end].T, rows @ mirrors[:end].T)
        for image, product in enumerate(products, at):
            others = np.flatnonzero(product[:image] >= BITS - 2 * distance)
            if len(others):
                yield image, others, (BITS - product[others].astype(np.intp)) // 2


def _hash(pixels: NDArray[np.uint8]) -> Hashes:
    thumbnails = np.stack([_thumbnail(image) for image in pixels])
    thumbnails -= thumbnails.mean(axis=(1, 2), keepdims=True)
    at, frequency = np.arange(_SIDE), np.arange(_FREQUENCIES)[:, None]
    cosines = np.cos(np.pi * frequency * (2 * at + 1) / (2 * _SIDE)).astype(np.float32)
    waves = cosines @ thumbnails @ cosines.T
    waves[:, 0, 0] = 0  # the mean, which was subtracted up to rounding
    return np.packbits(waves.reshape(len(waves), BITS) > 0, axis=1)


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)


def _signs(hashed: Hashes) -> NDArray[np.float32]:
    """Return bits as -1 and 1, float32 (N, 256)."""
    return np.unpackbits(hashed, axis=1).astype(np.float32) * 2 - 1
