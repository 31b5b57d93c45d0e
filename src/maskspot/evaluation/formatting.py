"""How metrics are called and written, in tables on a terminal and in reports."""

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
"""The metrics of a `Quality`, and what people call them."""


def number(value: float, sign: str = "", digits: int = 4) -> str:
    """Return a metric's value, `-` where it is not defined; `sign` is of the format, or none."""
    if math.isnan(value):
        return "-"
    return "infinite" if math.isinf(value) else f"{value:{sign}.{digits}f}"


def interval(estimate: Estimate, sign: str = "", digits: int = 4) -> str:
    """Return an estimate's 95 % interval, empty where there is none."""
    if math.isnan(estimate.low):
        return ""
    return f"{number(estimate.low, sign, digits)} to {number(estimate.high, sign, digits)}"
