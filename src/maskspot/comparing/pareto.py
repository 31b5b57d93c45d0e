"""Which of several models are worth their cost."""

import math
from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Say of each point whether no other dominates it.

    A point dominates another if it is at least as low in both numbers, and lower in one. So points
    that are equal stand or fall together. One with a number that is not known (NaN) is not on the
    front, and dominates none.

    Args:
        points: pairs of numbers of which lower is better.
    """
    return [
        not any(map(math.isnan, point)) and not any(_dominates(other, point) for other in points)
        for point in points
    ]


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]
