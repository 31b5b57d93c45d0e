"""How sure is a metric? Percentile intervals of a stratified bootstrap.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Images are redrawn within
each class, so that every sample has as many masks as the data. What is drawn is how often each
image comes: metrics are computed of these weights, for many samples at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskspot.evaluation.metrics import Array

Statistics = Callable[[Array], Mapping[str, Array]]
"""Metrics by name, (B,) each, of weights (B, N)."""

_BLOCK = 1 << 18
"""Weights that are in memory at a time; they fit a processor's cache."""

_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; NaN where it is not defined.

    Attributes:
        value: of the images as they are.
        low: the 2.5th percentile of the samples in which it is defined.
        high: the 97.5th.
    """

    value: float
    low: float
    high: float


def estimates(
    statistics: Statistics, targets: Array, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Return each statistic of the images with its interval.

    Args:
        statistics: of weights.
        targets: 0 or 1, (N,).
        resamples: how many; 0 for no intervals.
        seed: of the draw.
    """
    whole = statistics(np.ones((1, len(targets))))
    drawn = [statistics(weights) for weights in draws(targets, resamples, seed)]
    return {
        name: Estimate(float(value[0]), *_interval([each[name] for each in drawn]))
        for name, value in whole.items()
    }


def draws(targets: Array, resamples: int, seed: int) -> Iterator[Array]:
    """Yield how often each image is in each sample, (B, N) for some samples at a time."""
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
    """Return the mean of images' values in each sample, (B,); an infinite one makes it infinite."""
    endless = np.isinf(values)
    mean = weights @ np.where(endless, 0, values) / weights.sum(1)
    return np.where(weights[:, endless].any(1), np.inf, mean)


def _interval(samples: list[NDArray[np.float64]]) -> tuple[float, float]:
    values = np.sort(np.concatenate(samples)) if samples else np.empty(0)
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    # Samples themselves, the outer ones where it lies between two: no sum of infinities.
    low, high = (tail * (len(values) - 1) for tail in _TAILS)
    return float(values[int(np.floor(low))]), float(values[int(np.ceil(high))])
