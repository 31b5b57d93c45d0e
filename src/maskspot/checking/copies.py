"""Photos that are there twice: the same bytes, the same pixels, or alike; and labels that differ.

Of many copies of one picture, each is named once beside a first one: n photos make at most 3 n
problems, however many pairs there are.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from maskspot.checking.photos import Photo
from maskspot.checking.problems import Problem
from maskspot.datasets.near_duplicates import BITS, DISTANCE, Hashes, neighbours


def exact_copies(photos: Sequence[Photo]) -> Iterator[Problem]:
    """Give each photo whose bytes or pixels an earlier one has too."""
    firsts: dict[str, dict[int | None, Photo]] = {}
    for photo in photos:
        if not photo.pixels:
            continue
        earlier = firsts.setdefault(photo.pixels, {})
        # Of another target even if there is one of its own: that would hide a conflict.
        for target, other in list(earlier.items()):
            if target != photo.target or len(earlier) == 1:
                what = "same bytes" if photo.digest == other.digest else "same pixels"
                yield _problem("duplicate", "conflict", photo, other, what, 1.0)
        earlier.setdefault(photo.target, photo)


def near_copies(
    photos: Sequence[Photo], hashed: Hashes, distance: int = DISTANCE
) -> Iterator[Problem]:
    """Give each photo that an earlier one is like, mirrored or not: the nearest of each target.

    Those that are the same are left to `exact_copies`, and those of one colour to nobody.
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
