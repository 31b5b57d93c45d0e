"""How long models take for an image; they take turns, so that noise affects all of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskspot.model.predictor import Predictor
from maskspot.progress import SILENT, Progress

_TURN = 0.05
"""Minimum seconds of a turn."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one image through the network on one CPU thread, without decoding.

    Attributes:
        value: median of the rounds.
        low: first quartile of the rounds.
        high: third quartile.
    """

    value: float
    low: float
    high: float


def measure_latencies(
    predictors: Sequence[Predictor], rounds: int, progress: Progress = SILENT
) -> list[Latency]:
    """Return the latency of each model.

    In each round every model has a turn, and each round begins with another model. A turn is one
    pass that is not timed, as the caches of the processor hold the weights of another model, and
    then the passes that fill 50 ms, at least one. The median of these counts.

    Args:
        predictors: on the CPU.
        rounds: how many, at least 1.
        progress: is told of the rounds.
    """
    rng = np.random.default_rng(0)
    sizes = [predictor.info.preprocessing.size for predictor in predictors]
    pixels = [rng.integers(0, 256, (1, size, size, 3), np.uint8) for size in sizes]

    def seconds(at: int) -> float:
        start = time.perf_counter()
        predictors[at].probabilities(pixels[at])
        return time.perf_counter() - start

    indices = range(len(predictors))
    for at in indices:
        seconds(at)  # the first pass allocates
    passes = [max(1, round(_TURN / seconds(at))) for at in indices]
    results = np.empty((rounds, len(predictors)))
    with progress.step("measuring latency", "rounds", rounds) as step:
        for turn in range(rounds):
            first = turn % len(indices)
            for at in (*indices[first:], *indices[:first]):
                seconds(at)
                results[turn, at] = 1000 * np.median([seconds(at) for _ in range(passes[at])])
            step.update(turn + 1)
    low, value, high = np.quantile(results, (0.25, 0.5, 0.75), axis=0)
    return [Latency(float(value[at]), float(low[at]), float(high[at])) for at in indices]
