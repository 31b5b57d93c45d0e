"""The plot of a comparison: accuracy and log loss against what they cost."""

import math
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from maskspot.comparing.compare import COSTS, Comparison
from maskspot.evaluation.metrics import Array

_BLUE, _GREY = "#0072B2", "#666666"
"""Okabe and Ito's palette, told apart by the colour-blind too."""

_ROWS = {"accuracy": "Accuracy", "log_loss": "Log loss"}
_COLUMNS = {
    "parameters": ("Parameters, millions", 1e-6),
    "bytes": ("File, MB", 1e-6),
    "latency": ("Milliseconds an image", 1.0),
}
_GAP = 7
"""Points from a mark to its label."""

_LONGEST = 30
"""Letters of a name; of a longer one the last are shown."""


class _Mark(NamedTuple):
    """A model's place in a panel, its intervals, and whether it is on the front."""

    name: str
    x: float
    y: float
    low: float
    high: float
    best: bool
    sides: tuple[float, float]

    @property
    def colour(self) -> str:
        return _BLUE if self.best else _GREY


def draw(comparison: Comparison, file: Path) -> None:
    """Write a plot: a row for accuracy and one for log loss, a column for each cost.

    Bars are 95 % intervals; the line is the Pareto front: the best that can be had up to a cost.
    What is not known or infinite is not drawn.

    Args:
        comparison: what was found.
        file: to write; its ending says the format.
    """
    figure = Figure(figsize=(13, 8), layout="constrained")
    panels = figure.subplots(len(_ROWS), len(COSTS), sharex="col", sharey="row", squeeze=False)
    drawn = []
    for row, metric in zip(panels, _ROWS, strict=True):
        for axes, cost in zip(row, COSTS, strict=True):
            drawn.append((axes, _draw_panel(axes, comparison, metric, cost)))
        row[0].set_ylabel(_ROWS[metric])
    for axes, cost in zip(panels[-1], COSTS, strict=True):
        axes.set_xlabel(_COLUMNS[cost][0])
    figure.suptitle(_title(comparison), fontsize=11)
    with warnings.catch_warnings():  # of letters that the font does not have
        warnings.simplefilter("ignore")
        figure.draw_without_rendering()  # places are known from here on
        for axes, marks in drawn:
            _label(axes, marks)
        figure.savefig(file, dpi=120)


def _title(comparison: Comparison) -> str:
    judged = "Not judged by the same images"
    if comparison.same_images:
        judged = f"Judged by the same {comparison.entries[0].judgement.images:,} images"
    return (
        f"{judged}. Bars: 95 % intervals; of latency, on one CPU thread, the quartiles "
        f"of {comparison.rounds} rounds. Line: Pareto front"
    )


def _draw_panel(axes: Axes, comparison: Comparison, metric: str, cost: str) -> list[_Mark]:
    """Draw the marks and the front of a panel."""
    marks = []
    for entry, best in zip(comparison.entries, comparison.front(metric, cost), strict=True):
        estimate = getattr(entry.judgement, metric)
        x, y = entry.cost(cost) * _COLUMNS[cost][1], estimate.value
        if x > 0 and math.isfinite(y):
            low, high = (end if math.isfinite(end) else y for end in (estimate.low, estimate.high))
            sides = (entry.latency.low, entry.latency.high) if cost == "latency" else (x, x)
            marks.append(_Mark(entry.name, x, y, min(low, y), max(high, y), best, sides))
    for mark in marks:
        axes.errorbar(
            mark.x,
            mark.y,
            [[mark.y - mark.low], [mark.high - mark.y]],
            [[mark.x - mark.sides[0]], [mark.sides[1] - mark.x]],
            fmt="o",
            color=mark.colour,
            markerfacecolor=mark.colour if mark.best else "white",
            elinewidth=1,
            capsize=2,
        )
    front = _front(marks)
    axes.step(*front, where="post", color=_BLUE, linewidth=1, alpha=0.6, zorder=1)
    _tidy(axes, [mark.x for mark in marks])
    return marks


def _front(marks: Sequence[_Mark]) -> tuple[list[float], list[float]]:
    """Return the places on the front, the cheapest first."""
    places = sorted((mark.x, mark.y) for mark in marks if mark.best)
    return [x for x, _ in places], [y for _, y in places]


def _tidy(axes: Axes, xs: Sequence[float]) -> None:
    """Give the costs room for labels, and ticks where they are all alike too."""
    axes.set_xscale("log")
    if xs:
        axes.set_xlim(min(xs) / 2, max(xs) * 2)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(y=0.15)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _label(axes: Axes, marks: Sequence[_Mark]) -> None:
    """Write each name near its mark, where it hides no other name or mark, and little else."""
    scale = axes.figure.dpi / 72
    places = axes.transData.transform([(mark.x, mark.y) for mark in marks] or np.empty((0, 2)))
    taken = list(np.hstack([places - 4 * scale, places + 4 * scale]))
    lines = list(_lines(axes, marks, scale))
    inside = np.array(axes.get_window_extent().extents)
    for mark, place in zip(marks, places, strict=True):
        text = axes.annotate(
            mark.name if len(mark.name) <= _LONGEST else f"…{mark.name[1 - _LONGEST :]}",
            (mark.x, mark.y),
            (0, 0),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "color": mark.colour, "linewidth": 0.5, "shrinkB": 5},
            fontsize=8,
            color=mark.colour,
            parse_math=False,
            in_layout=False,
        )
        size = np.array(Text.get_window_extent(text).size)
        offsets = _offsets(*(size / scale))
        corners = place + offsets * scale
        boxes = np.hstack([corners, corners + size])
        beyond = size.prod() - _shared(boxes, [inside])
        far = np.linalg.norm(place - place.clip(boxes[:, :2], boxes[:, 2:]), axis=1)
        hidden = 10 * _shared(boxes, taken) + _shared(boxes, lines) + 40 * beyond
        best = int(np.argmin(hidden + 2 * scale * far))
        text.set_position((offsets[best, 0], offsets[best, 1]))
        taken.append(boxes[best])


def _lines(axes: Axes, marks: Sequence[_Mark], scale: float) -> Iterator[Array]:
    """Yield where the intervals and the front are: left, low, right, high pixels."""
    for mark in marks:
        x, low = axes.transData.transform((mark.x, mark.low))
        _, high = axes.transData.transform((mark.x, mark.high))
        yield np.array([x - 2 * scale, low, x + 2 * scale, high])
        ends = axes.transData.transform([(side, mark.y) for side in mark.sides])
        yield np.hstack([ends[0] - 2 * scale, ends[1] + 2 * scale])
    front = axes.transData.transform(np.transpose(_front(marks)))
    for (x, y), (next_x, next_y) in pairwise(front):
        yield np.array([x, y - scale, next_x, y + scale])
        yield np.array([next_x - scale, min(y, next_y), next_x + scale, max(y, next_y)])


def _offsets(width: float, height: float) -> Array:
    """Return where a label's lower left corner may be from its mark, the best places first.

    Beside the mark, then further and further above and below, on either side and across.
    """
    found = [(_GAP, -height / 2), (-_GAP - width, -height / 2)]
    for far in range(1, 7):
        out, low = _GAP * (1 + far) / 2, -far * _GAP - height / 2
        for x in (out, -out - width, -width / 2):
            found += [(x, far * _GAP - height / 2), (x, low)]
    return np.array(found)


def _shared(boxes: Array, others: Sequence[Array]) -> Array:
    """Return the area that each of some boxes, (B, 4), shares with others."""
    them = np.array(others)
    low = np.maximum(boxes[:, None, :2], them[:, :2])
    high = np.minimum(boxes[:, None, 2:], them[:, 2:])
    return np.asarray((high - low).clip(0).prod(axis=2).sum(axis=1))
