"""Properties of files that predict the label: a network may learn how photos were collected."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maskspot.checking.photos import Photo, log_facts
from maskspot.checking.problems import Problem
from maskspot.datasets.folds import stratified_folds
from maskspot.errors import DataError
from maskspot.evaluation.logistic import logistic_regression
from maskspot.evaluation.metrics import auc

LEAK = 0.65
"""AUC from which a property is reported, if chance is unlikely to give it."""

_FOLDS = 5
_BINS = 10
_DEVIATIONS = 3  # standard deviations of the AUC of chance, above which an AUC is reported


def leaks(photos: Sequence[Photo]) -> dict[str, float]:
    """Return how well each property of the labelled files alone predicts the label, as AUC.

    The predictions are out of fold, by logistic regression on the logarithm of the property and
    on its decile, so that a size in the middle counts too; `all` combines all properties. Copies
    of a picture are in one fold. The result is empty if there are too few images.
    """
    usable = [photo for photo in photos if photo.target is not None and photo.error is None]
    targets = np.array([photo.target for photo in usable], np.float32)
    digests = np.unique([photo.pixels for photo in usable], return_inverse=True)[1]
    try:
        folds = stratified_folds(targets, digests, _FOLDS, seed=0)
    except DataError:
        return {}
    if len(np.unique(targets)) < 2:  # noqa: PLR2004
        return {}
    columns = _columns(usable)
    columns["all"] = np.column_stack(list(columns.values()))
    return {name: out_of_fold_auc(x, targets, folds) for name, x in columns.items()}


def file_features(photos: Sequence[Photo]) -> NDArray[np.float64]:
    """Return features of readable image files that do not depend on pixels, float64 (N, D)."""
    return np.column_stack(list(_columns(photos).values()))


def _columns(photos: Sequence[Photo]) -> dict[str, NDArray[np.float64]]:
    columns = {name: _bins(values) for name, values in log_facts(photos).items()}
    formats = np.array([photo.format for photo in photos])
    columns["format"] = (formats[:, None] == np.unique(formats)).astype(np.float64)
    return columns


def out_of_fold_auc(
    features: NDArray[np.float64], targets: NDArray[np.float32], folds: NDArray[np.intp]
) -> float:
    """Return the AUC of out-of-fold logits, by logistic regression on the other folds.

    Args:
        features: (N, D).
        targets: 0 or 1, (N,).
        folds: (N,).
    """
    logits = np.zeros(len(targets))
    for fold in np.unique(folds):
        out = folds == fold
        weights, bias = logistic_regression(features[~out], targets[~out])
        logits[out] = features[out] @ weights + bias
    return auc(targets, logits)


def leak_problems(found: Mapping[str, float], positive: int, negative: int) -> list[Problem]:
    """Return the AUCs of at least `LEAK` that are unlikely by chance, as problems."""
    # The standard deviation of the Mann-Whitney statistic under the null hypothesis.
    deviation = np.sqrt((positive + negative + 1) / (12 * max(1, positive * negative)))
    least = max(LEAK, 0.5 + _DEVIATIONS * deviation)
    return [
        Problem("leak", detail=sentence(name, value), score=value)
        for name, value in sorted(found.items(), key=lambda item: -item[1])
        if value >= least
    ]


def sentence(name: str, value: float) -> str:
    """Return a sentence about the AUC of a property."""
    what = "sizes and format together predict" if name == "all" else f"{name} alone predicts"
    return f"{what} the label: AUC {value:.2f}, where chance gives 0.50"


def _bins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values, and as 0 and 1 the decile that each is in."""
    edges = np.unique(np.quantile(values, np.arange(1, _BINS) / _BINS))
    bins = np.searchsorted(edges, values)[:, None] == np.arange(len(edges) + 1)
    return np.column_stack([values, bins])
