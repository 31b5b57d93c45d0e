"""A plot of a comparison: accuracy and log loss against costs."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from maskspot.comparing.compare import COSTS, ModelComparison

_BLUE, _GREY = "#0072B2", "#666666"
"""Colours of the palette of Okabe and Ito, which is safe for colour-blind readers."""

_ROWS = {"accuracy": "Accuracy", "log_loss": "Log loss"}
_COLUMNS = {
    "parameters": ("Parameters, millions", 1e-6),
    "bytes": ("File, MB", 1e-6),
    "latency": ("Milliseconds per image", 1.0),
}
_LONGEST = 40
"""Maximum letters of a name; of a longer one the last are shown."""


class _Mark(NamedTuple):
    """The position of a model in a panel, its intervals, and whether it is on the front."""

    number: int
    x: float
    y: float
    low: float
    high: float
    best: bool
    sides: tuple[float, float]

    @property
    def colour(self) -> str:
        return _BLUE if self.best else _GREY


def draw(comparison: ModelComparison, file: Path) -> None:
    """Write a plot: a row for accuracy and one for log loss, a column for each cost.

    Models are numbered by increasing log loss. Bars are 95 % intervals; the line is the Pareto
    front: the best model up to a cost. Unknown and infinite values are not drawn.

    Args:
        comparison: the models.
        file: to write; its suffix determines the format.
    """
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    panels = figure.subplots(len(_ROWS), len(COSTS), sharex="col", sharey="row", squeeze=False)
    for row, metric in zip(panels, _ROWS, strict=True):
        for axes, cost in zip(row, COSTS, strict=True):
            _draw_panel(axes, comparison, metric, cost)
        row[0].set_ylabel(_ROWS[metric])
    for axes, cost in zip(panels[-1], COSTS, strict=True):
        axes.set_xlabel(_COLUMNS[cost][0])
    figure.suptitle(_title(comparison), fontsize=11)
    _add_names(figure, [model.name for model in comparison.models])
    with warnings.catch_warnings():  # of letters that the font lacks
        warnings.simplefilter("ignore")
        figure.savefig(file, dpi=120)


def _title(comparison: ModelComparison) -> str:
    measured = "Not measured on the same images"
    if comparison.same_images:
        measured = f"Measured on the same {comparison.models[0].quality.images:,} images"
    return (
        f"{measured}. Bars: 95 % intervals; of latency, on one CPU thread, the quartiles "
        f"of {comparison.rounds} rounds. Line: Pareto front"
    )


def _add_names(figure: Figure, names: Sequence[str]) -> None:
    """Add a legend with the name of each number."""
    short = [name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}" for name in names]
    legend = figure.legend(
        [Line2D([], [], linestyle="") for _ in short],
        [f"{number}  {name}" for number, name in enumerate(short, 1)],
        loc="outside lower center",
        ncols=min(len(short), 4),
        handlelength=0,
        handletextpad=0,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw_panel(axes: Axes, comparison: ModelComparison, metric: str, cost: str) -> None:
    """Draw the models and the front."""
    marks = []
    fronts = comparison.front(metric, cost)
    for number, (model, best) in enumerate(zip(comparison.models, fronts, strict=True), 1):
        estimate = getattr(model.quality, metric)
        x, y = model.cost(cost) * _COLUMNS[cost][1], estimate.value
        if x > 0 and math.isfinite(y):
            low, high = (end if math.isfinite(end) else y for end in (estimate.low, estimate.high))
            sides = (model.latency.low, model.latency.high) if cost == "latency" else (x, x)
            marks.append(_Mark(number, x, y, min(low, y), max(high, y), best, sides))
    for mark in marks:
        _draw_mark(axes, mark)
    front = sorted((mark.x, mark.y) for mark in marks if mark.best)
    xs, ys = [x for x, _ in front], [y for _, y in front]
    axes.step(xs, ys, where="post", color=_BLUE, linewidth=1, alpha=0.6, zorder=1)
    _tidy(axes, [mark.x for mark in marks])


def _draw_mark(axes: Axes, mark: _Mark) -> None:
    axes.errorbar(
        mark.x,
        mark.y,
        [[mark.y - mark.low], [mark.high - mark.y]],
        [[mark.x - mark.sides[0]], [mark.sides[1] - mark.x]],
        fmt="o",
        markersize=12,
        color=mark.colour,
        markerfacecolor=mark.colour if mark.best else "white",
        elinewidth=1,
        capsize=2,
    )
    axes.annotate(
        str(mark.number),
        (mark.x, mark.y),
        ha="center",
        va="center_baseline",
        fontsize=8,
        color="white" if mark.best else mark.colour,
    )


def _tidy(axes: Axes, xs: Sequence[float]) -> None:
    """Scale the costs, with ticks where they are all similar too."""
    axes.set_xscale("log")
    if xs:
        axes.set_xlim(min(xs) / 2, max(xs) * 2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(y=0.15)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
