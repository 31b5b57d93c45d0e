"""Probabilities adjusted to another share of images with masks."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def at_prior(probabilities: ArrayLike, prior: float, new: float) -> NDArray[np.float64]:
    """Adjust probabilities to another share of images with masks.

    The odds are multiplied by the ratio of the priors' odds, which adds a constant to the logit:
    exact where only the share of masks differs (Saerens et al., "Adjusting the outputs of a
    classifier to new a priori probabilities", Neural Computation, 2002).

    Args:
        probabilities: 0 to 1.
        prior: share of masks that they were calibrated for, between 0 and 1.
        new: share of masks among the images to score, between 0 and 1.
    """
    p = np.asarray(probabilities, np.float64)
    for_mask, for_none = new / prior * p, (1 - new) / (1 - prior) * (1 - p)
    return np.asarray(for_mask / (for_mask + for_none))
