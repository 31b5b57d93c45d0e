import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.evaluation.metrics import accuracy, auc, brier, log_loss, summary

pairs = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=60).filter(
    lambda rows: len({target for target, _ in rows}) == 2
)


@given(pairs)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, float]]) -> None:
    ones = [p for t, p in rows if t]
    zeros = [p for t, p in rows if not t]
    wins = sum((a > b) + (a == b) / 2 for a in ones for b in zeros)
    assert auc(*zip(*rows, strict=True)) == pytest.approx(wins / (len(ones) * len(zeros)))


@given(pairs)
def test_the_other_metrics_are_their_definitions(rows: list[tuple[int, float]]) -> None:
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


def test_one_class_has_no_auc_and_lengths_must_match() -> None:
    assert math.isnan(auc([1, 1], [0.1, 0.2]))
    with pytest.raises(ValueError, match="2 labels but 1"):
        log_loss([1, 0], [0.5])


def test_the_summary_counts_images() -> None:
    assert summary([0, 1], [0.2, 0.8])["images"] == 2
