"""Plots of a report: SVG in the colours of the page, light or dark, with text as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from maskspot.evaluation.calibration import reliability
from maskspot.evaluation.metrics import Array, Ranked

BINS = 20
"""Number of bins of the histogram."""

# Placeholders, which are replaced by colours of the style sheet.
_INK, _FAINT, _YES, _NO = "#010203", "#010204", "#010205", "#010206"
_VARIABLES = {_INK: "--ink", _FAINT: "--faint", _YES: "--yes", _NO: "--no"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _FAINT,
    "grid.alpha": 0.35,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Plot:
    """A drawing, and a description of it.

    Attributes:
        title: of the drawing.
        svg: the SVG element.
        words: description for screen readers.
    """

    title: str
    svg: str
    words: str


def binned(probabilities: Array) -> NDArray[np.int64]:
    """Return the number of probabilities (N,) in each bin of the histogram, (20,)."""
    bins = np.minimum((probabilities * BINS).astype(np.intp), BINS - 1)
    return np.bincount(bins, minlength=BINS)


@mpl.rc_context(_STYLE)
def histogram(series: Sequence[tuple[str, NDArray[np.int64]]]) -> Plot:
    """Return a histogram of probabilities, on a logarithmic scale.

    Args:
        series: one or two names, each with the number of images in each bin, (20,).
    """
    figure, axes = _axes("probability", "images")
    edges = np.linspace(0, 1, BINS + 1)
    width = edges[1] / len(series)
    for at, (name, counts) in enumerate(series):
        left = edges[:-1] + at * width
        colour = _NO if len(series) > 1 and not at else _YES
        axes.bar(left, counts, 0.9 * width, align="edge", label=name, color=colour)
    axes.set_yscale("log", nonpositive="clip")
    axes.set(xlim=(0, 1), ylim=(0.7, None))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.minorticks_off()
    if len(series) > 1:
        axes.legend()
    total = np.sum([counts for _, counts in series], axis=0)
    words = (
        f"Images below {edges[1]:g}: {total[0]:,}; from {edges[-2]:g} on: {total[-1]:,}; between: "
        f"{total[1:-1].sum():,}. Logarithmic scale."
    )
    return Plot("Probabilities", _svg(figure, "histogram", words), words)


@mpl.rc_context(_STYLE)
def calibration_curve(targets: Array, probabilities: Array, ece: float) -> Plot:
    """Return the share of masks against the probability, in bins of equal mass.

    Args:
        targets: 0 or 1, (N,).
        probabilities: 0 to 1, (N,).
        ece: expected calibration error.
    """
    figure, axes = _axes("probability", "share with a mask")
    found = reliability(targets, probabilities)
    reach = [(found.share - found.low).clip(0), (found.high - found.share).clip(0)]
    axes.plot([0, 1], [0, 1], color=_FAINT, linestyle="--")
    axes.errorbar(
        found.probability, found.share, reach, color=_YES, marker="o", markersize=4, capsize=2
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    words = (
        f"The share of images with a mask among those of about the same probability, with its 95 % "
        f"interval; on the dashed line it equals the probability. The mean distance, the "
        f"expected calibration error, is {ece:.4f}."
    )
    return Plot("Calibration", _svg(figure, "calibration", words), words)


@mpl.rc_context(_STYLE)
def roc(targets: Array, probabilities: Array, auc: float, threshold: float) -> Plot:
    """Return the ROC curve, with the threshold on it.

    Args:
        targets: 0 or 1, (N,); both occur.
        probabilities: 0 to 1, (N,).
        auc: area under the curve.
        threshold: probability from which an image counts as a mask.
    """
    figure, axes = _axes("false alarms, of images without a mask", "found, of images with one")
    values, masks, others = Ranked(targets, probabilities).groups()
    found, false = (
        np.concatenate([[0], part[0, ::-1].cumsum() / part.sum()]) for part in (masks, others)
    )
    at = len(values) - int(np.searchsorted(values, threshold))
    axes.plot([0, 1], [0, 1], color=_FAINT, linestyle="--")
    axes.plot(false, found, color=_YES)
    axes.plot(false[at], found[at], "o", color=_NO, label=f"threshold {threshold:g}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(loc="lower right")
    words = (
        f"At the threshold {threshold:g}, {found[at]:.1%} of the images with a mask are found, and "
        f"{false[at]:.1%} of those without one are false alarms. The area under the curve is "
        f"{auc:.4f}."
    )
    return Plot("ROC curve", _svg(figure, "roc", words), words)


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.2, 3.1), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    return figure, axes


def _svg(figure: Figure, salt: str, words: str) -> str:
    buffer = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": salt}):  # ids that no other plot of the page has
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{words}"', 1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text
