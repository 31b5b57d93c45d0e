"""Metrics of probabilities: with intervals, by slice, and against another model."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskspot.evaluation.evaluate import evaluate
from maskspot.evaluation.question import Question

QUICK = Question(resamples=50)

scored = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.99, 1.0])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60)
@given(scored, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_no_threshold_costs_less_than_the_best(
    rows: list[tuple[int, float]], cost: tuple[int, int]
) -> None:
    t, p = map(np.array, zip(*rows, strict=True))
    best = evaluate(t, p, question=Question(cost="{}:{}".format(*cost), resamples=0)).quality.best

    def price(threshold: float) -> float:
        yes = p >= threshold
        return float((cost[0] * (yes & (t == 0)) + cost[1] * (~yes & (t == 1))).mean())

    assert best.cost.value == pytest.approx(price(best.threshold))
    assert best.cost.value == pytest.approx(min(map(price, [0, *p, 2])))


def test_of_thresholds_that_cost_as_little_the_best_is_nearest_to_the_costs_own() -> None:
    t, p = [0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9]
    assert evaluate(t, p, question=QUICK).quality.best.threshold == pytest.approx(0.45)
    never = evaluate([0, 0], [0.3, 1.0], question=QUICK).quality.best
    assert never.threshold > 1
    assert never.false_positives == 0
    assert math.isnan(never.precision.value)


def test_the_confusion_counts_and_its_rates() -> None:
    found = evaluate([1, 1, 1, 0, 0], [0.5, 0.9, 0.2, 0.6, 0.1], question=QUICK).quality.confusion
    assert (found.true_positives, found.false_positives) == (2, 1)
    assert (found.false_negatives, found.true_negatives) == (1, 1)
    assert found.precision.value == found.recall.value == pytest.approx(2 / 3)
    assert found.specificity.value == 0.5
    assert found.cost.value == pytest.approx(0.4)


def test_intervals_hold_their_values_and_come_of_the_seed() -> None:
    rng = np.random.default_rng(1)
    t = rng.integers(0, 2, 300)
    p = np.clip(0.3 * t + rng.uniform(0, 0.7, 300), 0, 1)
    once, again, other = (
        evaluate(t, p, question=Question(resamples=300, seed=seed)) for seed in (1, 1, 2)
    )
    assert once == again != other
    for name in ("log_loss", "accuracy", "auc", "average_precision", "brier", "best_threshold"):
        found = getattr(once.quality, name)
        assert found.low < found.value < found.high, name


def test_an_infinite_log_loss_leaves_the_other_metrics_finite() -> None:
    found = evaluate([1, 0, 1, 0], [0.0, 0.1, 0.9, 0.2], against=[0.0, 0.2, 0.8, 0.3]).quality
    assert found.log_loss.value == found.log_loss.high == math.inf
    assert found.log_loss.low < 1  # samples without that image
    assert found.log_loss_clipped < 10
    assert found.brier.high < 1


def test_a_model_is_no_better_than_itself() -> None:
    t, p = [0, 1, 1, 0, 1], [0.2, 0.7, 0.4, 0.1, 0.9]
    found = evaluate(t, p, against=p).comparison
    assert found is not None
    assert (found.auc_p, found.accuracy_p) == (1, 1)
    for each in (found.log_loss, found.accuracy, found.auc, found.brier):
        assert (each.value, each.low, each.high) == (0, 0, 0)


def test_paired_intervals_are_narrower_than_unpaired_ones() -> None:
    rng = np.random.default_rng(2)
    t = rng.integers(0, 2, 400)
    p = np.clip(0.3 * t + rng.uniform(0, 0.7, 400), 0.01, 0.99)
    found = evaluate(t, p, against=np.clip(p + 0.01, 0, 1), question=Question(resamples=200))
    assert found.comparison is not None
    paired, alone = found.comparison.brier, found.quality.brier
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_slices_are_the_metrics_of_their_images() -> None:
    t, p, kinds = [0, 1, 1, 0], [0.2, 0.7, 0.4, 0.1], ["10", "9", "9", "10"]
    found = evaluate(t, p, slices={"kind": kinds}, question=QUICK).slices
    assert [(each.column, each.value) for each in found] == [("kind", "9"), ("kind", "10")]
    alone = evaluate([1, 1], [0.7, 0.4], question=QUICK).quality
    assert repr(found[0].quality) == repr(alone)  # NaN is not equal to itself
    assert math.isnan(found[0].quality.auc.value)


@pytest.mark.parametrize(
    ("targets", "probabilities"), [([], []), ([2], [0.5]), ([1], [1.5]), ([1], [math.nan])]
)
def test_invalid_labels_and_probabilities_are_refused(
    targets: list[float], probabilities: list[float]
) -> None:
    with pytest.raises(ValueError, match="must be 0 or 1"):
        evaluate(targets, probabilities)
