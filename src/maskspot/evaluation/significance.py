"""Two-sided p values of the difference between two models on the same images."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskspot.evaluation.metrics import Array, pair


def delong(targets: ArrayLike, probabilities: ArrayLike, against: ArrayLike) -> float:
    """Return the p value of a difference of AUCs; NaN with fewer than two images of a class.

    DeLong, DeLong and Clarke-Pearson, Comparing the Areas under Two or More Correlated Receiver
    Operating Characteristic Curves: A Nonparametric Approach (Biometrics 1988), by ranks as in
    Sun and Xu, Fast Implementation of DeLong's Algorithm (IEEE Signal Processing Letters 2014).

    Args:
        targets: 0 or 1, (N,).
        probabilities: of one model, (N,).
        against: of the other model, (N,).
    """
    t, p = pair(targets, probabilities)
    masks = t == 1
    if min(masks.sum(), (~masks).sum()) < 2:  # noqa: PLR2004
        return float("nan")
    ours, theirs = _placements(masks, p), _placements(masks, pair(t, against)[1])
    parts = [one - other for one, other in zip(ours, theirs, strict=True)]
    difference = float(parts[0].mean())
    variance = sum(float(part.var(ddof=1)) / len(part) for part in parts)
    if math.isclose(difference, 0, abs_tol=1e-12):
        return 1.0
    return math.erfc(abs(difference) / math.sqrt(2 * variance)) if variance else 0.0


def mcnemar(right: NDArray[np.bool_], against: NDArray[np.bool_]) -> float:
    """Return the p value of a difference of accuracies: McNemar's exact test.

    McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions or
    Percentages (Psychometrika 1947), with the binomial distribution.

    Args:
        right: whether one model is right, (N,).
        against: whether the other model is right, (N,).
    """
    ours, theirs = int((right & ~against).sum()), int((~right & against).sum())
    count, ways, total = ours + theirs, 1, 0
    for k in range(min(ours, theirs) + 1):
        total += ways
        ways = ways * (count - k) // (k + 1)
    return min(1.0, float(2 * total / (1 << count)))


def _placements(masks: NDArray[np.bool_], p: Array) -> tuple[Array, Array]:
    """Return, for each image with a mask, the share of the others below it, and conversely."""
    ranks = _ranks(p)
    count, others = masks.sum(), (~masks).sum()
    return (
        (ranks[masks] - _ranks(p[masks])) / others,
        1 - (ranks[~masks] - _ranks(p[~masks])) / count,
    )


def _ranks(values: Array) -> Array:
    """Return ranks from 1; equal values have their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])
