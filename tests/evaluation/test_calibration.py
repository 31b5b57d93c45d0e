import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from maskspot.evaluation.calibration import Calibration, ece, fit, logits, quality, reliability
from maskspot.evaluation.logistic import sigmoid
from maskspot.evaluation.metrics import auc, log_loss

rows = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


def drawn(scale: float, bias: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and probabilities whose logits must be scaled and shifted to be right."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 3, count)
    return (rng.random(count) < sigmoid(scale * z + bias)).astype(float), sigmoid(z)


@settings(max_examples=25)
@given(rows)
def test_the_fit_is_the_minimum_that_scipy_finds(pairs: list[tuple[int, float]]) -> None:
    t, p = np.array(pairs).T
    z = logits(p)

    def value(w: np.ndarray) -> float:
        margin = w[0] * z + w[1]
        prior = ((w[0] - 1) ** 2 + w[1] ** 2) / 2
        return float(np.sum(np.logaddexp(0, margin) - t * margin) + prior)

    found = fit(t, p)
    other = optimize.minimize(value, [1.0, 0.0], bounds=[(1e-3, None), (None, None)], tol=1e-12)
    assert value(np.array([found.scale, found.bias])) <= other.fun + 1e-6


def test_a_known_distortion_is_undone() -> None:
    t, p = drawn(0.5, -1.0, 50_000)
    found = fit(t, p)
    assert (found.scale, found.bias) == (pytest.approx(0.5, abs=0.02), pytest.approx(-1, abs=0.04))
    after = quality(t, found.apply(p))
    assert quality(t, p)["ece"] > 0.1
    assert after["ece"] < 0.01
    assert after["log_loss"] == pytest.approx(log_loss(t, sigmoid(0.5 * logits(p) - 1)), abs=1e-4)


@given(rows)
def test_no_data_are_too_wild_and_order_is_kept(pairs: list[tuple[int, float]]) -> None:
    """Classes that one threshold separates, a single class, saturated 0 and 1."""
    t, p = np.array(pairs).T
    found = fit(t, p)
    assert 0 < found.scale < 1e3
    assert abs(found.bias) < 1e3
    after = found.apply(p)
    assert np.isfinite(after).all()
    assert ((after >= 0) & (after <= 1)).all()
    assert (np.diff(after[np.argsort(p, kind="stable")]) >= 0).all()
    assert np.isfinite(ece(t, after))


def test_a_sure_miss_costs_less_and_sure_hits_cost_no_infinity() -> None:
    t = np.array([1.0] * 200 + [0.0] * 200)
    p = t.copy()
    assert log_loss(t, fit(t, p).apply(p)) < 1e-6
    p[0] = 0.0
    assert log_loss(t, fit(t, p).apply(p)) < log_loss(t, p) / 2


def test_a_network_worse_than_chance_is_not_turned_round() -> None:
    t, p = drawn(-1.0, 0.0, 2000)
    found = fit(t, p)
    assert 0 < found.scale < 0.01
    assert found.apply(p).mean() == pytest.approx(t.mean(), abs=0.01)
    assert auc(t, found.apply(p)) == pytest.approx(auc(t, p))


def test_logits_and_probabilities_are_each_others_inverse() -> None:
    z = np.linspace(-30, 25, 101)
    np.testing.assert_allclose(logits(sigmoid(z)), z, atol=1e-3)
    np.testing.assert_allclose(Calibration().apply(sigmoid(z)), sigmoid(z), rtol=1e-9)
    assert list(sigmoid([-1e4, 0, 1e4])) == [0, 0.5, 1]


def test_ece_is_the_mean_gap_of_bins_of_equal_mass() -> None:
    t, p = drawn(2.0, 1.0, 1500)
    order = np.argsort(p)
    gaps = [abs(t[each].mean() - p[each].mean()) * len(each) for each in np.array_split(order, 15)]
    assert ece(t, p) == pytest.approx(sum(gaps) / 1500)


@given(rows, st.integers(1, 20), st.randoms())
def test_ece_lies_in_0_to_1_whatever_the_order(pairs, bins, random) -> None:  # type: ignore[no-untyped-def]
    t, p = np.array(pairs).T
    value = ece(t, p, bins)
    assert 0 <= value <= 1
    random.shuffle(pairs)
    assert ece(*np.array(pairs).T, bins) == pytest.approx(value)
    assert ece(t, p, 1) == pytest.approx(abs(np.mean(t) - np.mean(p)))


def test_ece_of_probabilities_that_are_the_shares_is_0() -> None:
    assert ece([0, 1, 1, 1, 0, 0, 0, 1], [0.75] * 4 + [0.25] * 4) == 0
    assert ece([0, 1], [1, 0]) == 1


def test_lengths_must_match() -> None:
    for measure in (fit, ece):
        with pytest.raises(ValueError, match="2 labels but 1"):
            measure([1, 0], [0.5])


def test_a_calibration_curve_has_every_image_once_and_true_shares() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(3000) ** 3
    t = (rng.random(3000) < p).astype(float)
    found = reliability(t, p)
    assert found.images.sum() == 3000
    assert found.images.max() - found.images.min() <= 1
    order = np.argsort(p)
    first = order[: int(found.images[0])]
    assert found.probability[0] == pytest.approx(p[first].mean())
    assert found.share[0] == pytest.approx(t[first].mean())
    assert ((found.low <= found.probability) & (found.probability <= found.high)).mean() > 0.8
    stats = pytest.importorskip("scipy.stats")
    for share, low, high, images in zip(*found[1:], strict=True):
        ends = stats.binomtest(round(share * images), int(images)).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((ends.low, ends.high), abs=1e-9)
