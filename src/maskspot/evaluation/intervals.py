"""95 % intervals of metrics whose bootstrap percentiles mislead."""

import math

from maskspot.evaluation.bootstrap import Estimate

_Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


def wilson(successes: int, total: int) -> Estimate:
    """Return a proportion with its score interval, which has a width even at 0 and at 1.

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal of the
    American Statistical Association 22 (1927); recommended by Brown, Cai and DasGupta, Interval
    Estimation for a Binomial Proportion, Statistical Science 16 (2001).

    Args:
        successes: number of images for which it is so.
        total: number of images; with 0, all of the estimate is NaN.
    """
    if total == 0:
        return Estimate(math.nan, math.nan, math.nan)
    share, spread = successes / total, _Z**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    # Rounding must not exclude the share where it is an end of the interval.
    return Estimate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def basic(percentiles: Estimate) -> Estimate:
    """Return an estimate that cannot be negative with the basic bootstrap interval.

    A calibration error is the mean of absolute values, so those of samples are above that of the
    images as that is above the true one, and their percentiles may exclude both. The basic interval
    subtracts the deviations of the samples from the estimate in place of adding them (Davison and
    Hinkley, Bootstrap Methods and their Application, 1997, section 5.2). It is cut at 0, and
    widened to the estimate where all samples are above it.

    Args:
        percentiles: the estimate, with the percentiles of the samples.
    """
    value = percentiles.value
    if math.isnan(percentiles.low):
        return percentiles
    low, high = (2 * value - end for end in (percentiles.high, percentiles.low))
    return Estimate(value, max(0.0, min(low, value)), max(high, value))
