"""Probabilities that mean what they say: a scale and a bias on the logits, and how far off it is.

The scale is one over the temperature of Guo et al., On Calibration of Modern Neural Networks
(ICML 2017); with the bias it is Platt's method (Probabilistic Outputs for Support Vector Machines,
1999), fitted on images that the network did not learn from.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskspot.evaluation.logistic import newton, sigmoid
from maskspot.evaluation.metrics import BINS, Array, Ranked, bins_of, ece_of, log_loss

_EDGE = 2.0**-53
"""The least distance of a probability from 1 that float64 can say; taken at 0 too, so that a
network that is as sure of "no" as of "yes" has logits as large (about 37)."""

_Z = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""

_LEAST_SCALE = 1e-3
"""A scale is positive: calibration never turns the order of two images round."""


@dataclass(frozen=True)
class Calibration:
    """What becomes of a logit z: `scale` * z + `bias`. By default it stays as it is."""

    scale: float = 1.0
    bias: float = 0.0

    def apply(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated probabilities, float64, in the shape of those given (0 to 1)."""
        return sigmoid(self.scale * logits(probabilities) + self.bias)


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return log(p / (1 - p)), float64, of probabilities; exact 0 and 1 give about -37 and 37."""
    p = np.asarray(probabilities, dtype=np.float64).clip(_EDGE, 1 - _EDGE)
    return np.asarray(np.log(p) - np.log1p(-p))


def fit(targets: ArrayLike, probabilities: ArrayLike) -> Calibration:
    """Return the scale and bias of least log loss on held-back images.

    What is minimised is the sum of log losses and ((scale - 1)^2 + bias^2) / 2: a unit normal
    prior about no change, that a hundred images outweigh. It makes the minimum unique and finite
    also where the classes can be told apart without error, or are but one. Newton's method, each
    step halved until it descends.

    Args:
        targets: 0 or 1, (N,).
        probabilities: the network's, 0 to 1, (N,).
    """
    t = np.asarray(targets, dtype=np.float64).ravel()
    z = logits(probabilities).ravel()
    if t.shape != z.shape:
        raise ValueError(f"{len(t)} labels but {len(z)} probabilities")
    scale, bias = newton(np.stack([z, np.ones_like(z)], 1), t, np.array([1.0, 0.0]), 0 * z)
    if scale < _LEAST_SCALE:  # the network is no better than chance: what is left is the bias
        (bias,) = newton(np.ones((len(z), 1)), t, np.zeros(1), _LEAST_SCALE * z)
        scale = _LEAST_SCALE
    return Calibration(float(scale), float(bias))


def ece(targets: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error: mean |share of masks - mean probability| of bins.

    As in Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning (AAAI
    2015), weighted by the bins' images, of the probability of a mask, but in bins of equal mass
    (Nguyen and O'Connor, EMNLP 2015), not of equal width: a good network's probabilities crowd at
    0 and 1, and would leave the bins between almost empty. Equal probabilities share a bin, so
    the order of images does not matter.

    Args:
        targets: 0 or 1, (N,).
        probabilities: 0 to 1, (N,).
        bins: at most so many; a few images fill fewer.
    """
    return float(ece_of(Ranked(targets, probabilities).groups(), bins)[0])


class Reliability(NamedTuple):
    """What became true of what was said, in bins of equal mass that are not empty.

    Attributes:
        said: mean probability, (B,).
        true: share of masks, (B,).
        low: of its 95 % interval, (B,): Wilson's (Probable Inference, JASA 1927).
        high: likewise.
        images: in each bin, (B,).
    """

    said: Array
    true: Array
    low: Array
    high: Array
    images: Array


def reliability(targets: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> Reliability:
    """Return the points of a calibration curve, in the bins of `ece`.

    Args:
        targets: 0 or 1, (N,).
        probabilities: 0 to 1, (N,).
        bins: at most so many.
    """
    groups = Ranked(targets, probabilities).groups()
    masks, others = groups.masks[0], groups.others[0]
    bin_of = bins_of(groups, bins)[0]
    count = masks + others
    sums = [np.bincount(bin_of, each, bins) for each in (count, count * groups.values, masks)]
    images, said, found = np.asarray(sums, np.float64)[:, sums[0] > 0]
    share, z2 = found / images, _Z**2
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    reach = _Z * np.sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return Reliability(said / images, share, middle - reach, middle + reach, images)


def quality(targets: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """Return log loss and ECE by name."""
    return {"log_loss": log_loss(targets, probabilities), "ece": ece(targets, probabilities)}
