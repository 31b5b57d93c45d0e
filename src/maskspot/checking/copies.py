"""Duplicate photos (equal bytes, equal pixels, or alike), and duplicates whose labels differ.

Each of many copies is named once, beside the first one: n photos give at most 3 n problems,
however many pairs there are.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from maskspot.checking.photos import Photo
from maskspot.checking.problems import Problem
from maskspot.datasets.near_duplicates import BITS, DISTANCE, Hashes, neighbours


def exact_copies(photos: Sequence[Photo]) -> Iterator[Problem]:
    """Yield a problem for each photo that has the bytes or pixels of an earlier one."""
    firsts: dict[str, dict[int | None, Photo]] = {}
    for photo in photos:
        if not photo.pixels:
            continue
        earlier = firsts.setdefault(photo.pixels, {})
        # Compare with another target even if there is a copy of equal target: a conflict counts.
        for target, other in list(earlier.items()):
            if target != photo.target or len(earlier) == 1:
                what = "same bytes" if photo.digest == other.digest else "same pixels"
                yield _problem("duplicate", "conflict", photo, other, what, 1.0)
        earlier.setdefault(photo.target, photo)


def near_copies(
    photos: Sequence[Photo], hashed: Hashes, distance: int = DISTANCE
) -> Iterator[Problem]:
    """Yield a problem for each photo that resembles an earlier one, mirrored or not.

    Of the earlier ones the nearest of each target is named. Exact copies are left to
    `exact_copies`; images of a single colour are not compared.
    """
    first: dict[tuple[str, int | None], int] = {}
    for at, photo in enumerate(photos):
        if hashed[at].any():
            first.setdefault((photo.pixels, photo.target), at)
    rows = np.array(sorted(first.values()), np.intp)
    for image, others, bits in neighbours(hashed[rows], distance):
        photo = photos[rows[image]]
        nearest = {}
        for other, apart in sorted(zip(rows[others], bits, strict=True), key=lambda o: -o[1]):
            if photos[other].pixels != photo.pixels:
                nearest[photos[other].target] = (photos[other], int(apart), other)
        for seen, apart, other in nearest.values():
            plain = int(np.unpackbits(hashed[rows[image]] ^ hashed[other]).sum())
            what = f"{apart} of {BITS} bits differ" + (", mirrored" if plain > apart else "")
            yield _problem("near-duplicate", "near-conflict", photo, seen, what, 1 - apart / BITS)


def _problem(
    same: str, conflict: str, photo: Photo, other: Photo, what: str, score: float
) -> Problem:
    targets = (photo.target, other.target)
    if None not in targets and photo.target != other.target:
        where = f"labelled {photo.target}, the other {other.target}"
        return Problem(conflict, photo.name, other.name, f"{what}; {where}", score)
    places = sorted({"test" if target is None else "train" for target in targets})
    where = "across train and test" if len(places) > 1 else f"in {places[0]}"
    return Problem(same, photo.name, other.name, f"{what}; {where}", score)
