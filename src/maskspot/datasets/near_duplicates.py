"""Near-duplicate photos found by a perceptual hash, and folds that never part them.

The hash is pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010): the signs of an image's lowest frequencies, here 16x16 of a discrete cosine
transform of a 32x32 thumbnail. Each is compared with 0 and not with their median, so a mirrored
image's hash needs no pixels: mirroring flips the sign of the odd horizontal frequencies (of
cos(pi f (2x + 1) / 2n), with x become n - 1 - x), nothing else.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskspot.errors import DataError

BITS = 256
"""Bits of a hash."""

DISTANCE = 72
"""Differing bits up to which two photos count as one.

Measured on 4,350 photos of faces and crowds in which no near-duplicates were left, so that of
9.5 million pairs none should be this close: 18 are (the closest at 67), a third of them two
shots of one scene, the others faces cut out alike. No group has more than two; at 76 four, at 80
chains of 43. Of these photos' own copies it finds 100 % at JPEG quality 30, shrunk to 64 pixels
and back, 20 % darker, brighter, flatter or harsher, mirrored, or cut by 1.5 % on each side; 96 %
of those cut by 3 % at two sides only, 20 % by 5 %. A difference hash (16x17 pixels, compared
along rows) has 1,707 pairs within 64 bits, where this one has none.
"""

_SIDE = 32  # of a thumbnail, in pixels
_FREQUENCIES = 16  # along each axis
_BLOCK = 512  # images hashed, or compared with all others, at a time

Hashes = NDArray[np.uint8]


def hashes(pixels: NDArray[np.uint8]) -> Hashes:
    """Return the perceptual hash of each image.

    Args:
        pixels: uint8 (N, H, W, 3), in memory or mapped; read in blocks, on all cores.

    Returns:
        uint8 (N, 32): 256 packed bits for each image. Where images have one colour all over
        (such as the zeros of those that cannot be read), no bit is set.
    """
    blocks = [pixels[at : at + _BLOCK] for at in range(0, len(pixels), _BLOCK)]
    with ThreadPoolExecutor() as pool:
        return np.concatenate([np.empty((0, BITS // 8), np.uint8), *pool.map(_hash, blocks)])


def mirrored(hashed: Hashes) -> Hashes:
    """Return the hashes, uint8 (N, 32), that the images have when mirrored left to right."""
    odd = np.arange(BITS) % _FREQUENCIES % 2
    return hashed ^ np.packbits(odd.astype(bool))


def groups(hashed: Hashes, distance: int = DISTANCE) -> NDArray[np.intp]:
    """Return the number of each image's group of near-duplicates, mirrored ones among them.

    Two images are of one group if their hashes differ in `distance` bits at most, as they are or
    one of them mirrored, or if a chain of such images joins them. Memory is in proportion to N.

    Args:
        hashed: uint8 (N, 32), of `hashes`.
        distance: in bits.

    Returns:
        (N,), from 0 in the order in which groups first appear.
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
    """Give each image that earlier ones are near to, these, and by how many bits they differ.

    Of an image as it is and mirrored, the nearer counts. Memory is in proportion to N.

    Args:
        hashed: uint8 (N, 32), of `hashes`.
        distance: in bits, up to which images are near.
    """
    signs, mirrors = _signs(hashed), _signs(mirrored(hashed))
    for at in range(0, len(hashed), _BLOCK):
        rows, end = signs[at : at + _BLOCK], at + _BLOCK
        # Of signs, the scalar product is the number of equal bits less that of unequal ones.
        products = np.maximum(rows @ signs[:end].T, rows @ mirrors[:end].T)
        for image, product in enumerate(products, at):
            others = np.flatnonzero(product[:image] >= BITS - 2 * distance)
            if len(others):
                yield image, others, (BITS - product[others].astype(np.intp)) // 2


def stratified_folds(
    targets: NDArray[np.floating], groups: NDArray[np.integer], k: int, seed: int
) -> NDArray[np.intp]:
    """Return each image's fold: groups whole, classes spread evenly, the same for the same seed.

    The largest groups are placed first, each in the fold that has the fewest of the group's
    classes so far (longest-processing-time-first scheduling: R. L. Graham, "Bounds on
    Multiprocessing Timing Anomalies", 1969). So where groups are of one class each, two folds'
    numbers of a class differ by the size of the largest group at most.

    Args:
        targets: (N,), the class of each image; NaN where it has none.
        groups: (N,), the group of each image.
        k: folds.
        seed: of the order in which groups of one size are placed.

    Returns:
        (N,), 0 to k - 1; -1 where the target is NaN.

    Raises:
        DataError: a class has too few groups for every fold to have one.
    """
    usable = np.flatnonzero(~np.isnan(targets))
    classes, of_class = np.unique(targets[usable], return_inverse=True)
    names, of_group = np.unique(groups[usable], return_inverse=True)
    members = np.zeros((len(names), len(classes)))
    np.add.at(members, (of_group, of_class), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-members[order].sum(axis=1), kind="stable")]
    counts = np.zeros((k, len(classes)))
    fold_of = np.zeros(len(names), np.intp)
    weights = 1 / np.square(members.sum(axis=0))  # so that a rare class counts as much
    for group in order:
        # What adding the group to each fold adds to the sum of squared shares, but for a constant.
        cost = counts @ (members[group] * weights)
        fold_of[group] = np.lexsort((counts.sum(axis=1), cost))[0]
        counts[fold_of[group]] += members[group]
    for at in np.flatnonzero((counts == 0).any(axis=0)):
        raise DataError(
            f"{k} folds need as many images of each class that are no near-duplicates; "
            f"target {classes[at]:g} has {np.count_nonzero(members[:, at])}"
        )
    folds = np.full(len(targets), -1)
    folds[usable] = fold_of[of_group]
    return folds


def _hash(pixels: NDArray[np.uint8]) -> Hashes:
    thumbnails = np.stack([_thumbnail(image) for image in pixels])
    thumbnails -= thumbnails.mean(axis=(1, 2), keepdims=True)
    at, frequency = np.arange(_SIDE), np.arange(_FREQUENCIES)[:, None]
    cosines = np.cos(np.pi * frequency * (2 * at + 1) / (2 * _SIDE)).astype(np.float32)
    waves = cosines @ thumbnails @ cosines.T
    waves[:, 0, 0] = 0  # the mean that was taken away, but for rounding
    return np.packbits(waves.reshape(len(waves), BITS) > 0, axis=1)


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)


def _signs(hashed: Hashes) -> NDArray[np.float32]:
    """Return bits as -1 and 1, float32 (N, 256)."""
    return np.unpackbits(hashed, axis=1).astype(np.float32) * 2 - 1
