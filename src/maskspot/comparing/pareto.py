"""The Pareto front: models that no other model is better than."""

import math
from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return for each point whether no other dominates it.

    A point dominates another if it is at least as low in both numbers, and lower in one. Equal
    points are both on the front, or neither is. A point with an unknown number (NaN) is not on
    the front, and dominates no other.

    Args:
        points: pairs of numbers, of which lower is better.
    """
    return [
        not any(map(math.isnan, point)) and not any(_dominates(other, point) for other in points)
        for point in points
    ]


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]
