"""Names and formats of metrics, for tables on a terminal and in reports."""

import math
from collections.abc import Iterator

from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.evaluate import Quality

Cell = tuple[str, str]
"""A value and its 95 % interval, which may be empty."""

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


def cell(estimate: Estimate, sign: str = "") -> Cell:
    """Return the texts of an estimate and its interval."""
    return number(estimate.value, sign), interval(estimate, sign)


def confusion_rows(quality: Quality) -> Iterator[tuple[str, Cell, Cell]]:
    """Yield names and values of the confusion matrices at the threshold and at the best one."""
    at, best = quality.confusion, quality.best
    yield "threshold", (f"{at.threshold:g}", ""), cell(quality.best_threshold)
    for name in ("true_positives", "false_positives", "false_negatives", "true_negatives"):
        one, other = (f"{getattr(each, name):,}" for each in (at, best))
        yield name.replace("_", " "), (one, ""), (other, "")
    for name in ("precision", "recall", "specificity", "cost"):
        shown = "cost per image" if name == "cost" else name
        yield shown, cell(getattr(at, name)), cell(getattr(best, name))
