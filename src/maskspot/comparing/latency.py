"""How long a model takes for an image: all models in turn, so that noise hits all alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from maskspot.model.predictor import Predictor

_TURN = 0.05
"""Seconds that a turn takes at least, if one pass takes less."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one image through the network, on one CPU thread; without decoding.

    Attributes:
        value: median of the rounds.
        low: first quartile of the rounds.
        high: third quartile.
    """

    value: float
    low: float
    high: float


def measure(
    predictors: Sequence[Predictor],
    rounds: int,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> list[Latency]:
    """Return each model's latency.

    In each round every model has a turn, each round beginning with another one. A turn is a pass
    that is not timed, as another model's weights are in the processor's caches, and then as many
    passes as fill 50 ms, at least one; what counts is their median.

    Args:
        predictors: on the CPU.
        rounds: how many, 1 or more.
        done: told how many rounds are over, and of how many.
    """
    rng = np.random.default_rng(0)
    sizes = [predictor.info.preprocessing.size for predictor in predictors]
    pixels = [rng.integers(0, 256, (1, size, size, 3), np.uint8) for size in sizes]

    def seconds(at: int) -> float:
        start = time.perf_counter()
        predictors[at].probabilities(pixels[at])
        return time.perf_counter() - start

    places = range(len(predictors))
    for at in places:
        seconds(at)  # the first pass allocates
    passes = [max(1, round(_TURN / seconds(at))) for at in places]
    found = np.empty((rounds, len(predictors)))
    for turn in range(rounds):
        done(turn, rounds)
        for at in (*places[turn % len(places) :], *places[: turn % len(places)]):
            seconds(at)
            found[turn, at] = 1000 * np.median([seconds(at) for _ in range(passes[at])])
    low, value, high = np.quantile(found, (0.25, 0.5, 0.75), axis=0)
    return [Latency(float(value[at]), float(low[at]), float(high[at])) for at in places]
