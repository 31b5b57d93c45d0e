"""What `maskspot predict` prints on a terminal: one line for each image."""

import shutil
import sys
import textwrap

from rich.cells import cell_len, set_cell_size

from maskspot.cli.console import styled
from maskspot.errors import visible
from maskspot.model.score import Score, percentage

UNSURE = (0.2, 0.8)
"""Probabilities between these are marked as unsure, unless a threshold decides."""

_COLOURS = {"mask": "green", "no mask": "blue", "unsure": "yellow", "failed": "red"}
_VERDICT, _NUMBER = len("no mask"), len(">99.9 %")
_REST = 2 + _VERDICT + 2 + _NUMBER
_FOLDABLE = 24
_NARROW, _LEAST, _WIDE = 40, 12, 80
_START = 48
"""Width of the names at first, or half of the screen if that is less; longer names widen it."""


class ScoreLines:
    """Prints scores as aligned lines, in colour where the terminal has any."""

    def __init__(self, threshold: float | None = None) -> None:
        """Start without lines.

        Args:
            threshold: an image is a mask from this probability on, and none is unsure.
        """
        self._threshold = threshold
        self._width = 0

    def show(self, score: Score) -> None:
        """Print the line of a score."""
        columns = shutil.get_terminal_size((_WIDE, 24)).columns
        room = max(_LEAST, max(columns, _NARROW) - _REST)
        name = visible(score.source)
        start = min(_START, columns // 2)
        self._width = min(max(self._width, start, cell_len(name)), room)
        verdict = self._verdict(score)
        if score.probability is None:
            value = self._folded(visible(score.error or ""), columns)
        else:
            value = f"{percentage(score.probability):>{_NUMBER}}"
        cell = set_cell_size(shortened(name, self._width), self._width)
        shown = styled(f"{verdict:<{_VERDICT}}", _COLOURS[verdict], sys.stdout)
        print(f"{cell}  {shown}  {value}", flush=True)

    def _folded(self, reason: str, columns: int) -> str:
        """Return a reason in lines below one another, if there is room for words."""
        indent = self._width + 2 + _VERDICT + 2
        if columns - indent < _FOLDABLE:
            return reason
        return f"\n{' ' * indent}".join(textwrap.wrap(reason, columns - indent))

    def _verdict(self, score: Score) -> str:
        if score.probability is None:
            return "failed"
        if self._threshold is None and UNSURE[0] <= score.probability <= UNSURE[1]:
            return "unsure"
        cut = 0.5 if self._threshold is None else self._threshold
        return "mask" if score.probability >= cut else "no mask"


def shortened(name: str, width: int) -> str:
    """Return a name that fits a width in columns: of a longer one, the middle is left out."""
    if cell_len(name) <= width:
        return name
    front = (width - 1) // 2
    back = width - 1 - front
    end = name[-back:]
    while cell_len(end) > back:
        end = end[1:]
    return f"{set_cell_size(name, front).rstrip()}…{end}"
