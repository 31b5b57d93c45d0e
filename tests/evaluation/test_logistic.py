import numpy as np
import pytest
from scipy.optimize import minimize

from maskspot.evaluation.logistic import logistic_regression


def test_newton_finds_the_minimum_that_another_method_finds() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(2, 3, (300, 4))
    targets = (features @ [1, -1, 0.5, 0] + rng.logistic(0, 2, 300) > 1).astype(np.float32)
    mean, spread = features.mean(0), features.std(0)

    def loss(w: np.ndarray) -> float:
        signed = (2 * targets - 1) * (features @ w[:4] + w[4])
        return float(
            np.logaddexp(0, -signed).mean()
            + 0.05 * ((w[:4] * spread) ** 2).sum()
            + 0.05 * (w[4] + mean @ w[:4]) ** 2
        )

    weights, bias = logistic_regression(features, targets, penalty=0.1)
    theirs = minimize(loss, np.zeros(5), tol=1e-12).x
    assert np.allclose([*weights, bias], theirs, atol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 50])
def test_classes_that_separate_give_finite_weights(count: int) -> None:
    features = np.concatenate([np.zeros((count, 60)), np.ones((count, 60))])
    targets = np.repeat([0, 1], count).astype(np.float32)
    weights, bias = logistic_regression(features, targets)
    assert np.isfinite([*weights, bias]).all()
    assert (((features @ weights + bias) > 0) == targets).all()
