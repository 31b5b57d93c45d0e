"""Names and formats of metrics, for tables on a terminal and in reports."""

import math

from maskspot.evaluation.bootstrap import Estimate

METRICS = {
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "ece": "calibration error",
}
"""The metrics of a `Quality`, with the names that people read."""


def number(value: float, sign: str = "", digits: int = 4) -> str:
    """Return the text of a metric; `-` where it is not defined.

    Args:
        value: the metric.
        sign: `+` to show the sign of a positive number too.
        digits: after the decimal point.
    """
    if math.isnan(value):
        return "-"
    return "infinite" if math.isinf(value) else f"{value:{sign}.{digits}f}"


def interval(estimate: Estimate, sign: str = "", digits: int = 4) -> str:
    """Return the text of a 95 % interval; empty where there is none. Arguments as of `number`."""
    if math.isnan(estimate.low):
        return ""
    return f"{number(estimate.low, sign, digits)} to {number(estimate.high, sign, digits)}"
