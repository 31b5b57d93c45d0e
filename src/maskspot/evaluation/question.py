"""What an evaluation asks, as an object. Imports nothing heavy."""

import math
from dataclasses import dataclass

from maskspot.arguments import argument, check_bounds
from maskspot.errors import UsageError


def _parse_cost(text: str) -> tuple[float, float]:
    try:
        false_alarm, missed = (float(part) for part in text.split(":"))
    except ValueError:
        false_alarm = missed = math.nan
    _check_cost((false_alarm, missed), text)
    return false_alarm, missed


def _check_cost(cost: tuple[float, float], shown: object) -> None:
    if not all(0 < each < math.inf for each in cost):
        raise UsageError(f"{shown!r} is not two numbers above 0, such as 1:5", argument="cost")


@dataclass(frozen=True)
class Question:
    """What to compute.

    Attributes:
        threshold: probability from which an image counts as showing a mask.
        cost: of a false alarm and of a missed mask.
        resamples: samples of the bootstrap; 0 computes no intervals.
        seed: of the bootstrap.

    Raises:
        UsageError: a number is out of bounds.
    """

    threshold: float = argument(
        0.5, help="Probability from which an image counts as a mask.", least=0, most=1
    )
    cost: tuple[float, float] = argument(
        (1.0, 1.0),
        help="Costs of a false alarm and of a missed mask.",
        parse=_parse_cost,
        metavar="FP:FN",
        show_default="1:1",
    )
    resamples: int = argument(
        2000,
        help="Samples of the bootstrap; 0 computes no intervals.",
        least=0,
        most=1_000_000,
    )
    seed: int = argument(0, help="Seed of the bootstrap.", least=0)

    def __post_init__(self) -> None:
        check_bounds(self)
        _check_cost(self.cost, self.cost)
