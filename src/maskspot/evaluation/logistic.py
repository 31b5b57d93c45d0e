"""Logistic regression by Newton's method."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STEPS = 100
_ENOUGH = 1e-12


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Return the probabilities of logits, float64 in their shape, accurate near 0 and 1."""
    z = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(z))  # never overflows
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def logistic_regression(
    features: NDArray[np.float64], targets: NDArray[np.float32], penalty: float = 0.1
) -> tuple[NDArray[np.float64], float]:
    """Fit a linear logit to labels.

    The objective is the mean log loss plus half the penalty times the sum of the squared bias and
    the squared weights of the standardised features.

    Args:
        features: float64 (N, D).
        targets: 0 or 1, (N,).
        penalty: above 0; the default suits features of a pretrained network.

    Returns:
        Weights, float64 (D,), and the bias, for features that are not standardised.
    """
    count, width = features.shape
    mean, spread = features.mean(0), features.std(0) + 1e-12
    unit = np.sqrt(penalty * count)  # turns the penalty into the unit prior of newton
    inputs = np.column_stack([(features - mean) / spread, np.ones(count)]) / unit
    fitted = newton(inputs, targets.astype(np.float64), np.zeros(width + 1), np.zeros(count)) / unit
    weights = fitted[:-1] / spread
    return weights, float(fitted[-1] - weights @ mean)


def newton(
    x: NDArray[np.float64],
    t: NDArray[np.float64],
    prior: NDArray[np.float64],
    offset: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the w of least sum log(1 + e^m) - t m + |w - prior|^2 / 2 with m = x w + offset.

    This is the log loss of the logits m, with a unit normal prior that keeps the minimum finite if
    the classes are separable. Newton's method (Hastie, Tibshirani and Friedman, The Elements of
    Statistical Learning, 4.4.1) halves each step until it descends.

    Args:
        x: features, (N, D).
        t: 0 to 1, (N,).
        prior: (D,).
        offset: (N,).
        weights: of the terms of the sum, (N,); all 1 if None.
    """
    each = np.ones(len(x)) if weights is None else weights

    def value(w: NDArray[np.float64]) -> float:
        margin = x @ w + offset
        losses = np.logaddexp(0, margin) - t * margin
        return float(each @ losses + np.sum((w - prior) ** 2) / 2)

    w = prior.copy()
    for _ in range(_STEPS):
        p = sigmoid(x @ w + offset)
        gradient = x.T @ (each * (p - t)) + (w - prior)
        hessian = (x.T * (each * p * (1 - p))) @ x + np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        here, slope, rate = value(w), gradient @ step, 1.0
        if slope <= _ENOUGH * (
            1 + here
        ):  # twice the remaining gain is below the precision of float64
            break
        while rate > _ENOUGH and value(w - rate * step) > here - rate * slope / 4:
            rate /= 2
        w = w - rate * step
    return w
