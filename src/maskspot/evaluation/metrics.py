"""Metrics of probabilities against labels, in numpy."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TINY = 1e-15
"""Where log loss is clipped, as scikit-learn clips float64."""


def log_loss(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log likelihood in nats: the competition's metric."""
    t, p = _pair(targets, probabilities)
    p = p.clip(_TINY, 1 - _TINY)
    return float(-np.mean(t * np.log(p) + (1 - t) * np.log1p(-p)))


def accuracy(targets: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5) -> float:
    """Share of images on the right side of `threshold` (at it counts as a mask)."""
    t, p = _pair(targets, probabilities)
    return float(np.mean((p >= threshold) == (t == 1)))


def auc(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Area under the ROC curve, by ranks (Mann-Whitney U, ties count half); NaN for one class."""
    t, p = _pair(targets, probabilities)
    _, place, count = np.unique(p, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = t == 1
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if not n1 or not n0:
        return float("nan")
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def brier(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of probability and label."""
    t, p = _pair(targets, probabilities)
    return float(np.mean((p - t) ** 2))


def summary(targets: ArrayLike, probabilities: ArrayLike) -> Mapping[str, float]:
    """Return the metrics of this module by name, with the number of images."""
    return {
        "images": len(_pair(targets, probabilities)[0]),
        "log_loss": log_loss(targets, probabilities),
        "accuracy": accuracy(targets, probabilities),
        "auc": auc(targets, probabilities),
        "brier": brier(targets, probabilities),
    }


def _pair(targets: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    t = np.asarray(targets, dtype=np.float64).ravel()
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    if t.shape != p.shape:
        raise ValueError(f"{len(t)} labels but {len(p)} probabilities")
    return t, p
