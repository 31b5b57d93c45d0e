"""What an evaluation asks, as an object. Imports nothing heavy."""

import math
from dataclasses import dataclass

from maskspot.arguments import argument, check_bounds
from maskspot.errors import UsageError


@dataclass(frozen=True)
class Question:
    """What to compute.

    Attributes:
        threshold: probability from which an image counts as showing a mask.
        cost: what a false alarm and a missed mask cost, such as `1:5`.
        resamples: samples of the bootstrap; 0 computes no intervals.
        seed: of the bootstrap.

    Raises:
        UsageError: a number is out of bounds.
    """

    threshold: float = argument(
        0.5,
        help="Probability from which an image counts as a mask.",
        least=0,
        most=1,
        rich_help_panel="Metrics",
    )
    cost: str = argument(
        "1:1",
        help="Costs of a false alarm and of a missed mask.",
        metavar="FP:FN",
        rich_help_panel="Metrics",
    )
    resamples: int = argument(
        2000,
        help="Samples of the bootstrap; 0 computes no intervals.",
        least=0,
        most=1_000_000,
        rich_help_panel="Metrics",
    )
    seed: int = argument(0, help="Seed of the bootstrap.", least=0, rich_help_panel="Metrics")

    def __post_init__(self) -> None:
        check_bounds(self)
        if not (len(self.costs) == 2 and all(0 < each < math.inf for each in self.costs)):  # noqa: PLR2004
            raise UsageError(
                f"{self.cost!r} is not two numbers above 0, such as 1:5", argument="cost"
            )

    @property
    def costs(self) -> tuple[float, ...]:
        """The cost of a false alarm and that of a missed mask."""
        try:
            return tuple(float(part) for part in str(self.cost).split(":"))
        except ValueError:
            return ()
