import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskspot.evaluation.bootstrap import draws, estimates, mean_of
from maskspot.evaluation.metrics import (
    Ranked,
    accuracy,
    auc,
    auc_of,
    average_precision,
    average_precision_of,
    brier,
    ece_of,
    log_loss,
    losses,
    summary,
)
from maskspot.evaluation.significance import delong, mcnemar

Rows = list[tuple[int, float]]


def has_both(rows: list[tuple[int, ...]]) -> bool:
    return {row[0] for row in rows} == {0, 1}


pairs = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=60).filter(
    has_both
)
# Few distinct values: ties within and across the classes.
tied = st.sampled_from([0.1, 0.25, 0.5, 0.500000001, 0.9])
probabilities = st.one_of(tied, st.floats(1e-9, 1 - 1e-9))
likely = st.lists(st.tuples(st.integers(0, 1), probabilities), min_size=2, max_size=80).filter(
    has_both
)


@given(pairs)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: Rows) -> None:
    ones = [p for t, p in rows if t]
    zeros = [p for t, p in rows if not t]
    wins = sum((a > b) + (a == b) / 2 for a in ones for b in zeros)
    assert auc(*zip(*rows, strict=True)) == pytest.approx(wins / (len(ones) * len(zeros)))


@given(pairs)
def test_the_other_metrics_are_their_definitions(rows: Rows) -> None:
    targets, probabilities = zip(*rows, strict=True)
    clipped = [min(max(p, 1e-15), 1 - 1e-15) for p in probabilities]
    expected = -sum(
        math.log(p) if t else math.log1p(-p) for t, p in zip(targets, clipped, strict=True)
    ) / len(rows)
    assert log_loss(targets, probabilities) == pytest.approx(expected)
    assert accuracy(targets, probabilities) == sum((p >= 0.5) == t for t, p in rows) / len(rows)
    assert brier(targets, probabilities) == pytest.approx(
        sum((p - t) ** 2 for t, p in rows) / len(rows)
    )


@settings(max_examples=40)  # scikit-learn takes 10 ms to check what it is given
@given(likely)
def test_metrics_agree_with_scikit_learn(rows: Rows) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    t, p = map(np.array, zip(*rows, strict=True))
    for ours, theirs in (
        (log_loss(t, p), reference.log_loss(t, p, labels=[0, 1])),
        (losses(t, p).mean(), reference.log_loss(t, p, labels=[0, 1])),
        (accuracy(t, p), reference.accuracy_score(t, p >= 0.5)),
        (auc(t, p), reference.roc_auc_score(t, p)),
        (average_precision(t, p), reference.average_precision_score(t, p)),
        (brier(t, p), reference.brier_score_loss(t, p)),
    ):
        assert ours == pytest.approx(theirs, abs=1e-9)


@settings(max_examples=50)
@given(likely, st.randoms(use_true_random=False))
def test_weights_are_how_often_an_image_comes(rows: Rows, random: object) -> None:
    t, p = map(np.array, zip(*rows, strict=True))
    weights = np.array([[random.randint(0, 3) for _ in rows] for _ in range(3)], float)  # type: ignore[attr-defined]
    weights[:, [int(t.argmin()), int(t.argmax())]] += 1  # one of each class
    groups = Ranked(t, p).groups(weights)
    for at, row in enumerate(weights.astype(int)):
        drawn = Ranked(np.repeat(t, row), np.repeat(p, row)).groups()
        for metric in (auc_of, average_precision_of, ece_of):
            assert metric(groups)[at] == pytest.approx(metric(drawn)[0], abs=1e-12)
        expected = np.repeat(losses(t, p), row).mean()
        assert mean_of(losses(t, p), weights)[at] == pytest.approx(expected)


def test_one_class_has_no_auc_and_lengths_must_match() -> None:
    assert math.isnan(auc([1, 1], [0.1, 0.2]))
    assert math.isnan(average_precision([0, 0], [0.1, 0.2]))
    with pytest.raises(ValueError, match="2 labels but 1"):
        log_loss([1, 0], [0.5])


def test_the_summary_counts_images() -> None:
    assert summary([0, 1], [0.2, 0.8])["images"] == 2


def test_a_certain_and_wrong_image_costs_infinity_where_it_is_drawn() -> None:
    values = losses([1, 0, 1], [0.0, 0.0, 1.0])
    assert values.tolist() == [math.inf, 0, 0]
    weights = np.array([[1.0, 1, 1], [0, 2, 1]])
    assert mean_of(values, weights).tolist() == [math.inf, 0]


def test_samples_keep_the_classes_and_the_seed_decides_them() -> None:
    targets = np.array([0, 1, 1, 0, 0, 1, 1] * 9_000)  # more than fit one block
    first, again = (np.concatenate(list(draws(targets, 9, seed=4))) for _ in range(2))
    assert first.shape == (9, len(targets))
    assert (first == again).all()
    assert (first[:, targets == 1].sum(1) == (targets == 1).sum()).all()
    assert (first[:, targets == 0].sum(1) == (targets == 0).sum()).all()


def test_the_interval_of_a_mean_is_that_of_its_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    found = estimates(lambda w: {"mean": mean_of(values, w)}, np.ones(1000), 4000, seed=0)["mean"]
    half = 1.96 * values.std() / math.sqrt(1000)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=half / 8)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 8)


both = st.lists(st.tuples(st.integers(0, 1), probabilities, probabilities), min_size=4, max_size=30)


@settings(max_examples=50)
@given(both.filter(lambda rows: 2 <= sum(row[0] for row in rows) <= len(rows) - 2))
def test_delong_agrees_with_all_pairs(rows: list[tuple[int, float, float]]) -> None:
    t, a, b = map(np.array, zip(*rows, strict=True))

    def wins(p: np.ndarray) -> np.ndarray:
        return (p[t == 1][:, None] > p[t == 0]) + (p[t == 1][:, None] == p[t == 0]) / 2

    gain = wins(a) - wins(b)
    parts = gain.mean(1), gain.mean(0)
    variance = sum(part.var(ddof=1) / len(part) for part in parts)
    expected = 1.0
    if abs(gain.mean()) > 1e-12:
        z = abs(gain.mean()) / math.sqrt(variance) if variance > 1e-20 else math.inf
        expected = math.erfc(z / math.sqrt(2))
    assert delong(t, a, b) == pytest.approx(expected, abs=1e-9)


def test_delong_of_too_few_images_is_not_defined() -> None:
    assert math.isnan(delong([1, 0, 0], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1]))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=300))
def test_mcnemar_is_the_binomial_test_of_where_one_errs(rows: list[tuple[bool, bool]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    ours, theirs = map(np.array, zip(*rows, strict=True))
    only = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    expected = stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    assert mcnemar(ours, theirs) == pytest.approx(expected, abs=1e-9)
