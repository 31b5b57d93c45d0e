"""Metrics of probabilities against labels, in numpy; many resamples of the images at once."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_TINY = 1e-15
"""Where `log_loss` is clipped: what trains and exports needs a finite number."""

BINS = 15
"""Of the expected calibration error."""


class Groups(NamedTuple):
    """Images by probability, ascending: what ranking metrics are made of.

    Attributes:
        values: the distinct probabilities, (G,).
        masks: images with a mask that have each, (B, G) for B samples.
        others: images without one, likewise.
    """

    values: Array
    masks: Array
    others: Array


class Ranked:
    """Labelled probabilities, sorted once: a bootstrap need not sort each of its samples."""

    def __init__(self, targets: ArrayLike, probabilities: ArrayLike) -> None:
        """Sort the probabilities.

        Args:
            targets: 0 or 1, (N,).
            probabilities: (N,).
        """
        t, p = pair(targets, probabilities)
        self._order = np.argsort(p, kind="stable")
        self._mask = t[self._order] == 1
        self._values, self._starts = np.unique(p[self._order], return_index=True)

    def groups(self, weights: Array | None = None) -> Groups:
        """Return the images by probability.

        Args:
            weights: how often each image is in each of B samples, (B, N); None for once, in one.
        """
        if weights is None:
            weights = np.ones((1, len(self._order)))
        taken = weights[:, self._order]
        total = np.add.reduceat(taken, self._starts, axis=1)
        masks = np.add.reduceat(taken * self._mask, self._starts, axis=1)
        return Groups(self._values, masks, total - masks)


def auc_of(groups: Groups) -> Array:
    """Return each sample's area under the ROC curve, (B,); ties count half; NaN for one class."""
    _, masks, others = groups
    below = others.cumsum(1) - others / 2
    return _ratio((masks * below).sum(1), masks.sum(1) * others.sum(1))


def average_precision_of(groups: Groups) -> Array:
    """Return each sample's mean precision over its masks, (B,); NaN where there are none."""
    _, masks, others = groups
    found, false = (part[:, ::-1].cumsum(1)[:, ::-1] for part in (masks, others))
    precision = found / np.maximum(found + false, 1)  # nothing is found where both are 0
    return _ratio((masks * precision).sum(1), masks.sum(1))


def bins_of(groups: Groups, bins: int = BINS) -> NDArray[np.intp]:
    """Return which of some bins of equal mass each probability is in, (B, G)."""
    count = groups.masks + groups.others
    middle = count.cumsum(1) - count / 2
    bin_of = (middle * bins / count.sum(1, keepdims=True)).astype(np.intp)
    return np.asarray(np.minimum(bin_of, bins - 1))


def ece_of(groups: Groups, bins: int = BINS) -> Array:
    """Return each sample's expected calibration error, (B,): see `calibration.ece`."""
    values, masks, others = groups
    count = masks + others
    flat = bins_of(groups, bins) + bins * np.arange(len(masks))[:, None]
    gaps = np.bincount(flat.ravel(), (masks - count * values).ravel(), bins * len(masks))
    return np.asarray(np.abs(gaps).reshape(-1, bins).sum(1) / count.sum(1))


def losses(targets: ArrayLike, probabilities: ArrayLike) -> Array:
    """Return each image's log loss, (N,), not clipped: infinite where it is certain and wrong."""
    t, p = pair(targets, probabilities)
    with np.errstate(divide="ignore"):
        return -np.where(t == 1, np.log(p), np.log1p(-p))


def log_loss(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log likelihood in nats, clipped at 1e-15: the competition's metric."""
    t, p = pair(targets, probabilities)
    p = p.clip(_TINY, 1 - _TINY)
    return float(-np.mean(t * np.log(p) + (1 - t) * np.log1p(-p)))


def accuracy(targets: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5) -> float:
    """Share of images on the right side of `threshold` (at it counts as a mask)."""
    t, p = pair(targets, probabilities)
    return float(np.mean((p >= threshold) == (t == 1)))


def auc(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Area under the ROC curve (Mann-Whitney U, ties count half); NaN for one class."""
    return float(auc_of(Ranked(targets, probabilities).groups())[0])


def average_precision(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Precision at each image with a mask, most probable first, averaged; NaN where none has."""
    return float(average_precision_of(Ranked(targets, probabilities).groups())[0])


def brier(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of probability and label."""
    t, p = pair(targets, probabilities)
    return float(np.mean((p - t) ** 2))


def summary(targets: ArrayLike, probabilities: ArrayLike) -> Mapping[str, float]:
    """Return what training and export note of a network, with the number of images."""
    return {
        "images": len(pair(targets, probabilities)[0]),
        "log_loss": log_loss(targets, probabilities),
        "accuracy": accuracy(targets, probabilities),
        "auc": auc(targets, probabilities),
        "brier": brier(targets, probabilities),
    }


def pair(targets: ArrayLike, probabilities: ArrayLike) -> tuple[Array, Array]:
    """Return both as float64 (N,).

    Raises:
        ValueError: there are not as many of one as of the other.
    """
    t = np.asarray(targets, dtype=np.float64).ravel()
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    if t.shape != p.shape:
        raise ValueError(f"{len(t)} labels but {len(p)} probabilities")
    return t, p


def _ratio(above: Array, below: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return above / below
