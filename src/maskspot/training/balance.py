"""Weights of images by which their source, kind, size and format do not predict their label.

Inverse propensity weighting (Rosenbaum and Rubin, "The central role of the propensity score in
observational studies for causal effects", 1983): an image whose label is unusual for files of its
kind counts more. Otherwise a network learns how the photos were collected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskspot.checking.leaks import file_features, out_of_fold_auc
from maskspot.checking.photos import read_photos
from maskspot.datasets.facts import read_fact
from maskspot.datasets.labels import Labelled
from maskspot.evaluation.logistic import logistic_regression, sigmoid

LIMIT = 4.0
"""Maximum weight of an image, relative to the mean; the minimum is its inverse. So a few unusual
images do not stand for a whole source."""

_PENALTY = 1e-3
_FOLDS = 5


@dataclass(frozen=True)
class Balance:
    """Weights of images, and their effect.

    Attributes:
        weights: float32 (N,), their mean 1; 0 where the target is NaN.
        before: how well files and facts predict the label, as AUC.
        after: the same for images drawn by their weights.
    """

    weights: NDArray[np.float32]
    before: float
    after: float


def balance(
    folders: Sequence[Path],
    images: Sequence[Labelled],
    targets: NDArray[np.float32],
    columns: Sequence[str],
) -> Balance:
    """Weight images so that their files and facts do not predict the label.

    Args:
        folders: the data sets, with the CSV of facts that `datasets.facts` reads.
        images: their images.
        targets: 0, 1 or NaN, (N,).
        columns: the facts that must not predict the label, beside the files' sizes and formats.
    """
    photos, _ = read_photos([(each.name, each.path, each.target) for each in images])
    facts = [read_fact(column, folders, images) for column in columns]
    usable = np.flatnonzero(~np.isnan(targets))
    features = np.column_stack(
        [
            file_features([photos[at] for at in usable]),
            *(one_hot([fact[at] for at in usable]) for fact in facts),
        ]
    )
    weights = np.zeros(len(images), np.float32)
    weights[usable] = inverse_propensity(features, targets[usable])
    before, after = predictability(features, targets[usable], weights[usable])
    return Balance(weights, before, after)


def predictability(
    features: NDArray[np.float64], targets: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[float, float]:
    """Return how well features predict labels, as AUC out of fold, without and with weights.

    With weights, rows are drawn with probabilities in proportion to them; the copies of a row are
    in one fold.
    """
    rng = np.random.default_rng(0)
    folds = rng.integers(0, _FOLDS, len(targets))
    drawn = rng.choice(len(targets), len(targets), p=weights / weights.sum(dtype=np.float64))
    rows = (np.arange(len(targets)), drawn)
    before, after = (out_of_fold_auc(features[at], targets[at], folds[at]) for at in rows)
    return before, after


def inverse_propensity(
    features: NDArray[np.float64], targets: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return weights of mean 1, float32 (N,): the inverse of P(label | features), within limits.

    Both classes have the same total, which corresponds to a prior of one half.

    Args:
        features: (N, D).
        targets: 0 or 1, (N,).
    """
    slope, bias = logistic_regression(features, targets, _PENALTY)
    mask = sigmoid(features @ slope + bias)
    weights = 1 / (2 * np.where(targets == 1, mask, 1 - mask))
    weights = weights.clip(1 / LIMIT, LIMIT)
    for target in (0, 1):
        weights[targets == target] *= len(targets) / (2 * weights[targets == target].sum())
    return np.asarray(weights, np.float32)


def one_hot(values: Sequence[str]) -> NDArray[np.float64]:
    """Return a column of 0 and 1 for each distinct value, float64 (N, K)."""
    column = np.array(values)
    return np.asarray(column[:, None] == np.unique(column), np.float64)
