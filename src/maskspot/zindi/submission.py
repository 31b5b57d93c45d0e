"""Is a submission what the service asks for? Looked at before one of the day's few is spent."""

import math
from collections import Counter
from pathlib import Path

from maskspot.csv_tables import read_rows
from maskspot.errors import DataError

ROUNDED = 4
"""Digits behind the point: where no probability has more, they were rounded."""


def check_submission(file: Path, sample: Path) -> list[str]:
    """Check a submission against the sample, and return what it may be sent with but should not.

    Raises:
        DataError: its header, images or their order differ from the sample's, or a probability
            is none. The text names the first such row and how many there are.
    """
    header, rows = read_rows(file, exact=True)
    expected, lines = read_rows(sample)
    if header != expected:
        raise DataError(f"{file}: its header is {','.join(header)}, not {','.join(expected)}")
    names, wanted = [row[0] for row in rows], [row[0] for row in lines]
    _refuse(file, "names images twice", [n for n, count in Counter(names).items() if count > 1])
    _refuse(file, f"lacks images of {sample.name}", sorted(set(wanted) - set(names)))
    _refuse(file, f"has images that {sample.name} has not", sorted(set(names) - set(wanted)))
    moved = [name for name, place in zip(names, wanted, strict=True) if name != place]
    _refuse(file, f"is not in the order of {sample.name}", moved)
    _refuse(
        file,
        "has targets that are no probability from 0 to 1",
        [f"{name} ({cell})" for name, *cells in rows for cell in cells if not _probable(cell)],
    )
    return _doubts([cell for _, *cells in rows for cell in cells])


def _refuse(file: Path, what: str, found: list[str]) -> None:
    if found:
        raise DataError(f"{file}: {what}: {len(found)}, the first of them {found[0]}")


def _probable(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1  # false of NaN
    except ValueError:
        return False


def _doubts(cells: list[str]) -> list[str]:
    values = [float(cell) for cell in cells]
    doubts = []
    if sure := sum(value in (0.0, 1.0) for value in values):
        doubts.append(
            f"{sure} of {len(values)} probabilities are exactly 0 or 1: one that is wrong costs "
            "more than all the others"
        )
    if all(math.isclose(value, round(value, ROUNDED), abs_tol=1e-12) for value in values):
        doubts.append("the probabilities are rounded, which costs log loss: send all digits")
    if len(set(values)) == 1:
        doubts.append(f"every probability is {values[0]:g}")
    return doubts
