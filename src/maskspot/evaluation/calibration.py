"""Calibration of probabilities by scale, bias and bound, and the calibration error.

The scale is the inverse of the temperature of Guo et al., On Calibration of Modern Neural Networks
(ICML 2017); with the bias it is Platt's method (Probabilistic Outputs for Support Vector Machines,
1999), fitted on images that the network was not trained on. The bound is the share of labels that
are wrong: no probability can be closer to 0 or 1 than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskspot.evaluation.logistic import newton, sigmoid
from maskspot.evaluation.metrics import BINS, Array, Ranked, bins_of, ece_of, log_loss

_EDGE = 2.0**-53
"""The least distance from 1 that float64 can represent. Probabilities are clipped to it at 0 too,
so that logits of both classes have the same range (about -37 to 37)."""

_Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

_LEAST_SCALE = 1e-3
"""Least scale: it is positive, so that calibration never changes the order of two images."""

LEAST_BOUND = 1e-4
"""Least bound that is fitted, independent of the number of images."""

BOUNDS = (3e-4, 1e-3, 3e-3)
"""Larger bounds to choose from: shares of wrong labels in carefully made data sets."""

_ROUNDS = 25  # of expectation and maximisation; ten give three digits


@dataclass(frozen=True)
class Calibration:
    """Maps a logit z to the probability bound + (1 - 2 bound) sigmoid(scale z + bias).

    The default is the plain sigmoid.
    """

    scale: float = 1.0
    bias: float = 0.0
    bound: float = 0.0

    def apply(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated probabilities, float64 in the shape of those given, 0 to 1."""
        return self.of_logits(logits(probabilities))

    def of_logits(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated probabilities, float64, of logits."""
        inner = sigmoid(self.scale * np.asarray(z, np.float64) + self.bias)
        return self.bound + (1 - 2 * self.bound) * inner


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return log(p / (1 - p)), float64, of probabilities; exact 0 and 1 give about -37 and 37."""
    p = np.asarray(probabilities, dtype=np.float64).clip(_EDGE, 1 - _EDGE)
    return np.asarray(np.log(p) - np.log1p(-p))


def bounds_for(images: int) -> list[float]:
    """Return the bounds that a number of held-back images can tell apart, the least first.

    N images without a miss support an error rate of about 1 / (N + 2) (Laplace's rule of
    succession), so the bound is no less.
    """
    least = max(LEAST_BOUND, 1 / (images + 2))
    return [least, *(bound for bound in BOUNDS if bound > least)]


def fit(
    targets: ArrayLike,
    probabilities: ArrayLike,
    prior: float | None = None,
    bounds: Sequence[float] = (0.0,),
) -> Calibration:
    """Return the scale, bias and bound of least log loss on held-back images.

    The objective is the weighted sum of log losses plus ((scale - 1)^2 + bias^2) / 2: a unit normal
    prior around no change, which a hundred images outweigh. It makes the minimum unique and finite
    even if the classes are separable, or if there is only one.

    A bound assumes that this share of the labels is wrong. For each bound, scale and bias are
    fitted by expectation-maximisation (Dempster, Laird and Rubin, 1977) over the true labels, so
    that a few wrong ones do not flatten all probabilities; the bound of least log loss is chosen.

    Args:
        targets: 0 or 1, (N,).
        probabilities: of the network, 0 to 1, (N,).
        prior: the share of masks that the result is for; images are weighted to have this share.
            None keeps the share, as do images of one class.
        bounds: the bounds to choose from.
    """
    t = np.asarray(targets, dtype=np.float64).ravel()
    z = logits(probabilities).ravel()
    if t.shape != z.shape:
        raise ValueError(f"{len(t)} labels but {len(z)} probabilities")
    weights = prior_weights(t, prior)
    found = [_fit_under(bound, t, z, weights) for bound in bounds]
    return min(found, key=lambda each: _loss(t, each.of_logits(z), weights))


def prior_weights(t: NDArray[np.float64], prior: float | None) -> NDArray[np.float64]:
    """Return weights of mean 1, (N,), that give class 1 a share of `prior`."""
    share = float(t.mean())
    if prior is None or not 0 < share < 1:
        return np.ones(len(t))
    return np.where(t == 1, prior / share, (1 - prior) / (1 - share))


def _fit_under(
    bound: float, t: NDArray[np.float64], z: NDArray[np.float64], weights: NDArray[np.float64]
) -> Calibration:
    scale, bias = _platt(t, z, weights)
    for _ in range(_ROUNDS if bound else 0):
        p = sigmoid(scale * z + bias)
        mask = p * np.where(t == 1, 1 - bound, bound)
        none = (1 - p) * np.where(t == 1, bound, 1 - bound)
        scale, bias = _platt(mask / (mask + none), z, weights)
    return Calibration(scale, bias, bound)


def _platt(
    t: NDArray[np.float64], z: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    ones = np.ones_like(z)
    prior = np.array([1.0, 0.0])
    scale, bias = newton(np.stack([z, ones], 1), t, prior, 0 * z, weights)
    if scale < _LEAST_SCALE:  # the network is no better than chance: fit the bias alone
        (bias,) = newton(ones[:, None], t, np.zeros(1), _LEAST_SCALE * z, weights)
        scale = _LEAST_SCALE
    return float(scale), float(bias)


def _loss(t: NDArray[np.float64], p: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the weighted log loss."""
    right = np.where(t == 1, p, 1 - p).clip(_EDGE, 1)
    return float(-(weights @ np.log(right)) / weights.sum())


def ece(targets: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean of |share of masks - mean probability|.

    It is that of Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning
    (AAAI 2015), of the probability of a mask and weighted by the images in each bin, but with bins
    of equal mass (Nguyen and O'Connor, EMNLP 2015): most probabilities of a good network are near
    0 and 1, which leaves most bins of equal width almost empty. Equal probabilities share a bin,
    so the order of images does not matter.

    Args:
        targets: 0 or 1, (N,).
        probabilities: 0 to 1, (N,).
        bins: largest number of bins; a few images fill fewer.
    """
    return float(ece_of(Ranked(targets, probabilities).groups(), bins)[0])


class Reliability(NamedTuple):
    """Points of a calibration curve, in bins of equal mass that are not empty.

    Attributes:
        probability: mean probability, (B,).
        share: share of masks, (B,).
        low: lower end of the 95 % interval of the share, (B,), by Wilson (Probable Inference,
            JASA 1927).
        high: upper end, (B,).
        images: number of images, (B,).
    """

    probability: Array
    share: Array
    low: Array
    high: Array
    images: Array


def reliability(targets: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> Reliability:
    """Return the points of a calibration curve, in the bins of `ece`.

    Args:
        targets: 0 or 1, (N,).
        probabilities: 0 to 1, (N,).
        bins: largest number of bins.
    """
    groups = Ranked(targets, probabilities).groups()
    masks, others = groups.masks[0], groups.others[0]
    bin_of = bins_of(groups, bins)[0]
    count = masks + others
    sums = [np.bincount(bin_of, each, bins) for each in (count, count * groups.values, masks)]
    images, sums_of_p, found = np.asarray(sums, np.float64)[:, sums[0] > 0]
    share, z2 = found / images, _Z**2
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    reach = _Z * np.sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return Reliability(sums_of_p / images, share, middle - reach, middle + reach, images)


def quality(targets: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Return log loss and ECE by name."""
    return {"log_loss": log_loss(targets, probabilities), "ece": ece(targets, probabilities)}
