"""Write scores to a file, whole or not at all, or to standard output."""

import math
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO

from maskspot.errors import visible
from maskspot.files import remove_leftovers, replacing
from maskspot.model.score import Score
from maskspot.outputs.form import Form
from maskspot.outputs.journal import Journal

Show = Callable[[Score], object]
"""Shows a score to a person."""


@dataclass(frozen=True)
class Counts:
    """Counts of a run.

    Attributes:
        scored: images with a probability from the model.
        failed: images without one.
        masks: scored images at or above the threshold, 0.5 if there is none; None if not counted.
        passed: files and members that were left out, by reason.
        model: name of the model.
        device: where it ran.
        files: number of files that a cluster wrote; None on this machine.
    """

    scored: int
    failed: int
    masks: int | None
    passed: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    device: str = ""
    files: int | None = None


def write_scores(
    scores: Iterable[Score], form: Form, path: Path | None, show: Show | None = None
) -> Counts:
    """Write scores as they come: to a file, whole or not at all, or to standard output if None.

    On a terminal, control characters in names are shown as escapes.

    Args:
        scores: each is written as it comes.
        form: of the output.
        path: of the file; None for standard output.
        show: called with each score in place of writing it to standard output.

    Raises:
        OSError: they cannot be written.
    """
    count = Counter[str]()
    if path is None and show:
        for score in scores:
            _count(count, score, form)
            show(score)
        return _counts(count)
    is_shown = path is None and sys.stdout.isatty()
    scores = iter(scores)
    first = list(islice(scores, 1))  # nothing is written if nothing can be scored
    with _stream(path) as stream, form.rows_to(stream) as write:
        for score in chain(first, scores):
            _count(count, score, form)
            row = form.row(score)
            if row is not None and is_shown:
                row = tuple(visible(cell) if isinstance(cell, str) else cell for cell in row)
            if row is not None:
                write(row)
            if path is None:  # a person or a program may wait for each row
                stream.flush()
    return _counts(count)


def _count(count: Counter[str], score: Score, form: Form) -> None:
    count["failed" if score.probability is None else "scored"] += 1
    count["masks"] += form.is_mask(score)


def _counts(count: Counter[str]) -> Counts:
    return Counts(count["scored"], count["failed"], count["masks"])


def sorted_scores(journal: Journal, top: int | None = None) -> Iterator[Score]:
    """Yield the scores of a journal, most probable first; those without a probability last.

    Equal ones stay in order. It takes 24 bytes of memory per score, as rows are read again.

    Args:
        journal: with the scores.
        top: maximum number of scores; None for all.
    """
    import numpy as np

    keys, places = array("d"), array("q")
    for place, score in journal.places():
        keys.append(math.inf if score.probability is None else -score.probability)
        places.append(place)
    for index in np.argsort(np.asarray(keys), kind="stable")[:top]:
        yield journal.at(places[index])


@contextmanager
def _stream(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    remove_leftovers(path)
    with replacing(path) as beside, beside.open("ab" if beside == path else "wb") as file:
        yield file
