"""Folds that keep groups of images whole and spread the classes evenly."""

import numpy as np
from numpy.typing import NDArray

from maskspot.errors import DataError


def stratified_folds(
    targets: NDArray[np.floating], groups: NDArray[np.integer], k: int, seed: int
) -> NDArray[np.intp]:
    """Return the fold of each image; equal seeds give equal folds.

    The largest groups are placed first, each in the fold that has the fewest images of the group's
    classes so far (longest-processing-time-first scheduling: R. L. Graham, "Bounds on
    Multiprocessing Timing Anomalies", 1969). If each group has one class only, the numbers of
    images of a class in two folds differ by at most the size of the largest group.

    Args:
        targets: the class of each image, (N,); NaN where it has none.
        groups: the group of each image, (N,).
        k: the number of folds.
        seed: determines the order in which groups of equal size are placed.

    Returns:
        The fold, 0 to k - 1, (N,); -1 where the target is NaN.

    Raises:
        DataError: a class has fewer groups than there are folds.
    """
    usable = np.flatnonzero(~np.isnan(targets))
    classes, of_class = np.unique(targets[usable], return_inverse=True)
    names, of_group = np.unique(groups[usable], return_inverse=True)
    members = np.zeros((len(names), len(classes)))
    np.add.at(members, (of_group, of_class), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-members[order].sum(axis=1), kind="stable")]
    counts = np.zeros((k, len(classes)))
    fold_of = np.zeros(len(names), np.intp)
    weights = 1 / np.square(members.sum(axis=0))  # so that a rare class counts as much
    for group in order:
        # The increase of the sum of squared shares in each fold, up to a constant.
        cost = counts @ (members[group] * weights)
        fold_of[group] = np.lexsort((counts.sum(axis=1), cost))[0]
        counts[fold_of[group]] += members[group]
    for at in np.flatnonzero((counts == 0).any(axis=0)):
        raise DataError(
            f"{k} folds need as many images of each class that are not near-duplicates; "
            f"target {classes[at]:g} has {np.count_nonzero(members[:, at])}"
        )
    folds = np.full(len(targets), -1)
    folds[usable] = fold_of[of_group]
    return folds
