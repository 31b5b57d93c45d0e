"""Where scores go: a CSV, JSON Lines or Parquet file, or a submission in the sample's order."""

import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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


@dataclass(frozen=True)
class Counts:
    """How many images came out how.

    Attributes:
        scored: have a probability from the model.
        failed: have none.
        above: of those scored, at the threshold or above; 0 without one.
        below: the others; 0 without a threshold.
        passed: numbers of files and members that were left out, by reason.
        model: its name.
        device: where it ran.
    """

    scored: int
    failed: int
    above: int
    below: int
    passed: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    device: str = ""


def write_scores(scores: Iterable[Score], form: Form, path: Path | None) -> Counts:
    """Write scores as they come: to a file, whole or not at all, or to standard output for None.

    On a terminal, control characters in names are shown as escapes.

    Raises:
        OSError: they cannot be written.
    """
    count = Counter[str]()
    is_shown = path is None and sys.stdout.isatty()
    scores = iter(scores)
    first = list(islice(scores, 1))  # nothing is written where nothing can be scored
    with _stream(path) as stream, form.rows_to(stream) as write:
        for score in chain(first, scores):
            if score.error is not None or score.probability is None:
                count["failed"] += 1
            else:
                count["scored"] += 1
                if form.threshold is not None:
                    count["above" if score.probability >= form.threshold else "below"] += 1
            row = form.row(score)
            if row is not None and is_shown:
                row = tuple(visible(cell) if isinstance(cell, str) else cell for cell in row)
            if row is not None:
                write(row)
            if path is None:  # a person, or a program that waits for rows
                stream.flush()
    return Counts(count["scored"], count["failed"], count["above"], count["below"])


def sorted_scores(journal: Journal, top: int | None = None) -> Iterator[Score]:
    """Yield a journal's scores, most probable first; those without probability last.

    Equal ones stay in order. Memory is 24 bytes for each: rows are read again where they are.

    Args:
        journal: which has them.
        top: how many, at most.
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
