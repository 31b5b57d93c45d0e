"""What can be wrong with a data set."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from maskspot.files import replacing
from maskspot.outputs.formats import csv_rows

KINDS = {
    "conflict": "one picture twice, labelled 0 and 1",
    "missing": "a CSV names it, but there is no file",
    "unreadable": "cannot be decoded",
    "one-class": "no image of a class",
    "near-conflict": "alike, labelled 0 and 1",
    "label": "the label is likely wrong",
    "duplicate": "one picture twice",
    "near-duplicate": "alike",
    "leak": "a property of the files predicts the label",
    "balance": "a class is rare",
    "size": "unusual size",
    "extra": "in no CSV",
}
"""Kinds of problems, the most severe first."""

FATAL = ("conflict", "missing", "unreadable", "one-class")
"""Kinds that make training stop, or learn nonsense or nothing."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, or may be.

    Attributes:
        kind: one of `KINDS`.
        image: name of the image, as the labels have it; empty if all images are concerned.
        other: the image that it is a copy of, if it is one.
        detail: description in words.
        score: similarity, likelihood or AUC, 0 to 1; None for a plain fact.
    """

    kind: str
    image: str = ""
    other: str = ""
    detail: str = ""
    score: float | None = None


@contextmanager
def problem_file(path: Path) -> Iterator[Callable[[Sequence[Problem]], None]]:
    """Enter with a function that writes problems to a CSV, which is replaced on leaving.

    Raises:
        OSError: the file cannot be written; this is known before anything else is done.
    """
    columns = [field.name for field in fields(Problem)]
    with (
        replacing(path) as beside,
        beside.open("wb") as stream,
        csv_rows(stream, columns) as write_row,
    ):

        def write(problems: Sequence[Problem]) -> None:
            for problem in problems:
                write_row(astuple(problem))

        yield write
