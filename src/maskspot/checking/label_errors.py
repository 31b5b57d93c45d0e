"""Labels that are likely wrong, by the probabilities of networks that were not trained on them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskspot.checking.photos import Photo
from maskspot.checking.problems import Problem
from maskspot.errors import DataError


def confident_label_errors(targets: ArrayLike, probabilities: ArrayLike) -> NDArray[np.intp]:
    """Return the indices of labels that are likely wrong, the most likely first.

    Confident learning (C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating
    Uncertainty in Dataset Labels", JAIR 70, 2021): an image counts to a class if its probability
    of that class is at least the average of the images labelled so; if it counts to both, to the
    more probable one. Images that count to the class that is not their label, off the diagonal of
    the confident joint, are candidates. They are ranked by normalised margin: the probability of
    the label minus that of the other class.

    Args:
        targets: 0 or 1, (N,).
        probabilities: of class 1, (N,), each from a network that was not trained on the image.
    """
    labels = np.asarray(targets, np.intp)
    ones = np.asarray(probabilities, np.float64)
    each = np.stack([1 - ones, ones])
    thresholds = [each[k][labels == k].mean() if (labels == k).any() else np.inf for k in (0, 1)]
    own, other = each[labels, np.arange(len(ones))], each[1 - labels, np.arange(len(ones))]
    counts_to_other = other >= np.take(thresholds, 1 - labels)
    counts_to_own = own >= np.take(thresholds, labels)
    wrong = np.flatnonzero(counts_to_other & ~(counts_to_own & (own >= other)))
    return wrong[np.argsort((own - other)[wrong], kind="stable")]


def label_errors(photos: Sequence[Photo], oof: dict[str, float]) -> list[Problem]:
    """Return the labelled photos whose label is likely wrong, the most likely first.

    Raises:
        DataError: no labelled photo has a probability.
    """
    known = [photo for photo in photos if photo.target is not None and photo.name in oof]
    if not known:
        raise DataError("none of the labelled images has a probability", argument="oof")
    targets = [photo.target or 0 for photo in known]
    found = confident_label_errors(targets, [oof[photo.name] for photo in known])
    return [_problem(known[at], oof[known[at].name]) for at in found]


def _problem(photo: Photo, probability: float) -> Problem:
    wrong = 1 - probability if photo.target else probability
    detail = f"labelled {photo.target}, probability of a mask {probability:.3f}"
    return Problem("label", photo.name, "", detail, wrong)
