"""Metrics of probabilities, in numpy, for many bootstrap samples at once."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_TINY = 1e-15
"""Where `log_loss` clips probabilities, as training and export need a finite number."""

BINS = 15
"""Number of bins of the expected calibration error."""


class Groups(NamedTuple):
    """Numbers of images by probability, from which ranking metrics are computed.

    Attributes:
        values: the distinct probabilities in ascending order, (G,).
        masks: number of images with a mask at each, (B, G) for B samples.
        others: number of images without a mask at each, (B, G).
    """

    values: Array
    masks: Array
    others: Array


class Ranked:
    """Labelled probabilities, sorted once for all samples of a bootstrap."""

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
        """Return the numbers of images by probability.

        Args:
            weights: number of times that B samples have each image, (B, N); None is one sample
                that has each image once.
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
    """Return the mean precision over the masks of each sample, (B,); NaN where there are none."""
    _, masks, others = groups
    found, false = (part[:, ::-1].cumsum(1)[:, ::-1] for part in (masks, others))
    precision = found / np.maximum(found + false, 1)  # nothing is found where both are 0
    return _ratio((masks * precision).sum(1), masks.sum(1))


def bins_of(groups: Groups, bins: int = BINS) -> NDArray[np.intp]:
    """Return the bin of each probability, of bins with equally many images, (B, G)."""
    count = groups.masks + groups.others
    middle = count.cumsum(1) - count / 2
    bin_of = (middle * bins / count.sum(1, keepdims=True)).astype(np.intp)
    return np.asarray(np.minimum(bin_of, bins - 1))


def ece_of(groups: Groups, bins: int = BINS) -> Array:
    """Return the expected calibration error of each sample, (B,): see `calibration.ece`."""
    values, masks, others = groups
    count = masks + others
    flat = bins_of(groups, bins) + bins * np.arange(len(masks))[:, None]
    gaps = np.bincount(flat.ravel(), (masks - count * values).ravel(), bins * len(masks))
    return np.asarray(np.abs(gaps).reshape(-1, bins).sum(1) / count.sum(1))


def losses(targets: ArrayLike, probabilities: ArrayLike) -> Array:
    """Return the log loss of each image, (N,); infinite where a wrong probability is 0 or 1."""
    t, p = pair(targets, probabilities)
    with np.errstate(divide="ignore"):
        return -np.where(t == 1, np.log(p), np.log1p(-p))


def log_loss(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean negative log likelihood in nats, clipped at 1e-15 as in the competition."""
    t, p = pair(targets, probabilities)
    p = p.clip(_TINY, 1 - _TINY)
    return float(-np.mean(t * np.log(p) + (1 - t) * np.log1p(-p)))


def accuracy(targets: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5) -> float:
    """Return the share of right images, where probabilities from `threshold` count as a mask."""
    t, p = pair(targets, probabilities)
    return float(np.mean((p >= threshold) == (t == 1)))


def auc(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the area under the ROC curve (Mann-Whitney U, ties count half); NaN for one class."""
    return float(auc_of(Ranked(targets, probabilities).groups())[0])


def average_precision(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean precision at the images with a mask; NaN if there are none."""
    return float(average_precision_of(Ranked(targets, probabilities).groups())[0])


def brier(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean squared difference of probability and label."""
    t, p = pair(targets, probabilities)
    return float(np.mean((p - t) ** 2))


def summary(targets: ArrayLike, probabilities: ArrayLike) -> Mapping[str, float]:
    """Return the metrics that training and export record, with the number of images."""
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
        ValueError: their numbers differ.
    """
    t = np.asarray(targets, dtype=np.float64).ravel()
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    if t.shape != p.shape:
        raise ValueError(f"{len(t)} labels but {len(p)} probabilities")
    return t, p


def _ratio(above: Array, below: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return above / below
