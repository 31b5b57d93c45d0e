"""Percentile intervals of metrics by a stratified bootstrap.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Images are redrawn within
each class, so that every sample has as many masks as the data. A sample is the number of times that
it has each image; metrics are computed from these weights, for many samples at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskspot.evaluation.metrics import Array

Statistics = Callable[[Array], Mapping[str, Array]]
"""Computes metrics by name, (B,) each, from weights (B, N)."""

_BLOCK = 1 << 18
"""Weights that are in memory at a time; they fit the cache of a processor."""

_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Estimate:
    """A metric and its 95 % interval; NaN where it is not defined.

    Attributes:
        value: the metric of the images.
        low: lower end: the 2.5th percentile of the samples in which the metric is defined, if
            `intervals` has no better one for it.
        high: upper end, likewise.
    """

    value: float
    low: float
    high: float


def estimates(
    statistics: Statistics, targets: Array, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Return each metric of the images with its interval, by name.

    Args:
        statistics: computes the metrics.
        targets: 0 or 1, (N,).
        resamples: number of samples; 0 gives no intervals.
        seed: of the bootstrap.
    """
    whole = statistics(np.ones((1, len(targets))))
    drawn = [statistics(weights) for weights in draws(targets, resamples, seed)]
    return {
        name: Estimate(float(value[0]), *_interval([each[name] for each in drawn]))
        for name, value in whole.items()
    }


def draws(targets: Array, resamples: int, seed: int) -> Iterator[Array]:
    """Yield the number of times that samples have each image, (B, N) for some samples at a time."""
    rng = np.random.default_rng(seed)
    classes = [places for value in (0, 1) if len(places := np.flatnonzero(targets == value))]
    step = max(1, _BLOCK // len(targets))
    for at in range(0, resamples, step):
        weights = np.empty((min(step, resamples - at), len(targets)))
        for places in classes:
            even = np.full(len(places), 1 / len(places))
            weights[:, places] = rng.multinomial(len(places), even, len(weights))
        yield weights


def mean_of(values: Array, weights: Array) -> Array:
    """Return the mean value of each sample, (B,); an infinite value makes it infinite."""
    endless = np.isinf(values)
    mean = weights @ np.where(endless, 0, values) / weights.sum(1)
    return np.where(weights[:, endless].any(1), np.inf, mean)


def _interval(samples: list[NDArray[np.float64]]) -> tuple[float, float]:
    values = np.sort(np.concatenate(samples)) if samples else np.empty(0)
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    # The outer one of two samples, not their mean, which infinities would make NaN.
    low, high = (tail * (len(values) - 1) for tail in _TAILS)
    return float(values[int(np.floor(low))]), float(values[int(np.ceil(high))])
