"""Intervals of shares and of the calibration error contain their estimates and never collapse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.evaluate import evaluate
from maskspot.evaluation.intervals import basic, wilson
from maskspot.evaluation.question import Question


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_an_interval_that_has_a_width(counts: tuple[int, int]) -> None:
    found = wilson(*counts)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_agrees_with_scipy(part: int, total: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    part = min(part, total)
    expected = stats.binomtest(part, total).proportion_ci(method="wilson")
    found = wilson(part, total)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_share_of_nothing_is_not_defined() -> None:
    assert all(map(math.isnan, vars(wilson(0, 0)).values()))


def test_sixty_of_sixty_right_is_no_certainty() -> None:
    t = np.array([0, 1] * 30)
    found = evaluate(t, np.where(t, 0.9, 0.1), question=Question(resamples=50)).quality
    for each in (found.accuracy, found.confusion.recall, found.confusion.specificity):
        assert each.value == each.high == 1
        assert 0.85 < each.low < 0.95


@pytest.mark.parametrize("images", [40, 500])
def test_the_interval_of_a_calibration_error_contains_it_and_the_true_one(images: int) -> None:
    rng = np.random.default_rng(images)
    inside = 0
    for _ in range(20):
        p = 1 / (1 + np.exp(-rng.normal(0, 3, images)))
        t = (rng.random(images) < 0.1 + 0.8 * p).astype(int)  # the true error: the mean of |p - q|
        true = float(np.abs(p - (0.1 + 0.8 * p)).mean())
        ece = evaluate(t, p, question=Question(resamples=200)).quality.ece
        assert 0 <= ece.low <= ece.value <= ece.high
        inside += ece.low - 0.005 <= true <= ece.high + 0.005
    assert inside >= 15


def test_the_basic_interval_turns_deviations_around_and_ends_at_0() -> None:
    assert basic(Estimate(0.5, 0.4, 0.75)) == Estimate(0.5, 0.25, 0.6)
    assert basic(Estimate(0.1, 0.2, 0.4)) == Estimate(0.1, 0.0, 0.1)


def test_without_samples_there_are_no_intervals() -> None:
    found = evaluate([0, 1, 1], [0.2, 0.7, 0.3], question=Question(resamples=0)).quality
    for each in (found.accuracy, found.ece, found.confusion.recall, found.confusion.cost):
        assert not math.isnan(each.value)
        assert math.isnan(each.low)
        assert math.isnan(each.high)
