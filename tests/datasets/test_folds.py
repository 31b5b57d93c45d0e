"""Folds keep groups whole and spread the classes evenly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskspot.datasets.folds import stratified_folds
from maskspot.errors import DataError


@st.composite
def labelled_groups(draw: st.DrawFn, pure: bool) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Targets, some NaN, and groups; if pure, each of one class."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=10, max_size=60))
    of = np.repeat(np.arange(len(sizes)), sizes)
    classes = st.integers(0, 2 if pure else 1)
    count = len(sizes) if pure else len(of)
    targets = np.array(draw(st.lists(classes, min_size=count, max_size=count)), np.float64)
    targets = targets[of] if pure else targets
    missing = st.lists(st.integers(0, 20), min_size=len(of), max_size=len(of))
    targets[np.array(draw(missing)) == 1] = np.nan
    shuffle = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(of))
    return targets[shuffle], of[shuffle]


@given(labelled_groups(pure=False), st.integers(2, 6), st.integers(0, 99))
def test_folds_never_part_a_group_and_are_the_same_again(
    data: tuple[NDArray[np.float64], NDArray[np.intp]], k: int, seed: int
) -> None:
    targets, of = data
    try:
        folds = stratified_folds(targets, of, k, seed)
    except DataError:
        return
    usable = ~np.isnan(targets)
    assert (folds[~usable] == -1).all()
    for target in np.unique(targets[usable]):
        assert set(folds[targets == target]) == set(range(k))
    for group in set(of[usable]):
        assert len(set(folds[usable & (of == group)])) == 1
    np.testing.assert_array_equal(folds, stratified_folds(targets, of, k, seed))


@given(labelled_groups(pure=True), st.integers(2, 6), st.integers(0, 99))
def test_numbers_of_a_class_differ_by_the_largest_group_at_most(
    data: tuple[NDArray[np.float64], NDArray[np.intp]], k: int, seed: int
) -> None:
    targets, of = data
    usable = ~np.isnan(targets)
    enough = all(len(set(of[targets == each])) >= k for each in np.unique(targets[usable]))
    if not enough:
        with pytest.raises(DataError, match=f"{k} folds need"):
            stratified_folds(targets, of, k, seed)
        return
    folds = stratified_folds(targets, of, k, seed)
    for target in np.unique(targets[usable]):
        of_class = targets == target
        counts = np.bincount(folds[of_class], minlength=k)
        assert counts.max() - counts.min() <= np.bincount(of[of_class]).max()


def test_folds_differ_by_one_image_where_no_two_are_near_and_seeds_differ() -> None:
    targets = np.repeat([1.0, 0.0], [53, 102])
    folds = stratified_folds(targets, np.arange(155), 5, seed=1)
    assert np.ptp(np.bincount(folds[:53])) == np.ptp(np.bincount(folds[53:])) == 1
    assert np.ptp(np.bincount(folds)) == 0
    assert (folds != stratified_folds(targets, np.arange(155), 5, seed=2)).any()


def test_a_class_with_too_few_groups_is_named_on_one_line() -> None:
    targets = np.array([1.0] * 9 + [0.0] * 9)
    of = np.array([*range(9), *[9, 9, 9, 9, 10, 10, 10, 11, 11]])
    with pytest.raises(DataError, match=r"4 folds need .*; target 0 has 3$"):
        stratified_folds(targets, of, 4, seed=0)
