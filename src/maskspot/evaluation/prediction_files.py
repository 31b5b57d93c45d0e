"""The files that an evaluation reads: predictions, and columns to slice by."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskspot.csv_tables import encoding_of, is_number, number, read_rows
from maskspot.errors import DataError, UsageError
from maskspot.inputs.names import find_names

_NAMES = ("image", "id", "path", "source")
"""Columns of image names; the first that exists is used, as beside `image`, `source` is where it
was published."""

_VALUES = ("probability", "target")
"""Columns of probabilities; the first that exists is used. In a CSV of two columns it may have any
name."""

_MOST = 40
"""Values of a column that make slices; a column of more numbers is cut into parts."""

_PARTS = 4
_BLANK = "(blank)"


class Prediction(NamedTuple):
    """One row of a file of predictions.

    Attributes:
        where: file and row, for errors.
        name: of the image.
        probability: that it shows a mask; None where the cell is blank.
    """

    where: str
    name: str
    probability: float | None


def read_predictions(
    file: Path, targets: Mapping[str, int], labels: Path
) -> dict[str, float | None]:
    """Return the probability of each labelled image, in the order of the labels; None for a blank.

    Args:
        file: a submission, the CSV or JSON Lines of `predict`, or a run's `oof.csv` or
            `validation.csv`.
        targets: labels by image name; names are matched as by `inputs.names.find_names`.
        labels: the file that the labels come from, for errors.

    Raises:
        DataError: the file cannot be read, lacks an image, or has an invalid probability.
    """
    found: dict[str, float | None] = {}
    for where, name, value in _predictions(file):
        if found.setdefault(name, value) != value:
            raise DataError(f"{where}: has two probabilities for {name}")
    chosen, missing = find_names(targets, {name: name for name in found}, labels)
    _refuse(missing, file, "prediction", labels)
    return {name: found[chosen[name]] for name in targets}


def read_oof(files: Sequence[Path]) -> dict[str, float]:
    """Return the out-of-fold probability of each image: the mean, where it has several.

    Args:
        files: tables with the columns `image` and `probability`, such as a run's `oof.csv`. A
            blank probability counts for nothing.

    Raises:
        DataError: a file cannot be read, lacks a column, or has an invalid probability.
    """
    found: dict[str, list[float]] = {}
    for file in files:
        for _, name, value in _predictions(file, out_of_fold=True):
            if value is not None:
                found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def read_columns(file: Path, names: Iterable[str], columns: Iterable[str]) -> dict[str, list[str]]:
    """Return the values that images have in some columns of a CSV, by column.

    A column of many numbers is cut into quarters, whose spans are the values.

    Args:
        file: the CSV; its images are matched as by `inputs.names.find_names`.
        names: names of the images.
        columns: names of the columns.

    Raises:
        DataError: the file cannot be read, or lacks an image.
        UsageError: a column does not exist, or has too many values.
    """
    header, rows = read_rows(file)
    header, names = [name.strip() for name in header], list(names)
    at = _find(header, _NAMES)
    if at is None:
        raise DataError(f"{file}: no column of images: {', '.join(_NAMES)}")
    chosen, missing = find_names(names, {row[at].strip(): row[at].strip() for row in rows}, file)
    _refuse(missing, file, "row", None)
    by_name = {row[at].strip(): row for row in rows}
    found = {}
    for column in columns:
        if column not in header:
            raise UsageError(
                f"{file} has no column {column}; it has {', '.join(header)}", argument="by"
            )
        place = header.index(column)
        cells = [by_name[chosen[name]][place].strip() for name in names]
        found[column] = _sliceable(cells, column)
    return found


def _refuse(missing: list[str], file: Path, what: str, labels: Path | None) -> None:
    if missing:
        more = ", ..." if len(missing) > 3 else ""  # noqa: PLR2004
        source = f"images of {labels}" if labels else "labelled images"
        raise DataError(
            f"{file}: has no {what} for {len(missing)} of the {source}: "
            f"{', '.join(missing[:3])}{more}"
        )


def _find(header: list[str], names: Iterable[str]) -> int | None:
    lower = [name.strip().lower() for name in header]
    return next((lower.index(name) for name in names if name in lower), None)


def _predictions(file: Path, out_of_fold: bool = False) -> Iterator[Prediction]:
    """Yield the rows of a CSV or of JSON Lines.

    Args:
        file: the table.
        out_of_fold: the columns of a CSV must be called `image` and `probability`, so that nobody
            gives labels for probabilities.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    if start.startswith(b"PAR1"):
        raise DataError(f"{file}: this is Parquet; let predict write CSV or JSON Lines")
    is_json = start.decode(encoding_of(start), "replace").lstrip().startswith("{")
    for row, name, cell in _lines(file) if is_json else _cells(file, out_of_fold):
        where = f"{file}, row {row}"
        yield Prediction(where, name.strip(), _probability(cell, where))


def _cells(file: Path, out_of_fold: bool) -> Iterator[tuple[int, str, object]]:
    header, rows = read_rows(file)
    if out_of_fold and not {"image", "probability"} <= set(header):
        raise DataError(f"{file}: needs the columns image and probability")
    name, value = _find(header, _NAMES), _find(header, _VALUES)
    if len(header) == 2:  # noqa: PLR2004
        name = name or 0
        value = 1 - name
    if name is None or value is None or is_number(header[value]):
        raise DataError(
            f"{file}: its first line must name a column of images ({', '.join(_NAMES)}) and one "
            f"of probabilities ({', '.join(_VALUES)})"
        )
    for row in rows:
        yield row.number, row[name], row[value].strip()


def _lines(file: Path) -> Iterator[tuple[int, str, object]]:
    content = file.read_bytes()
    text = content.decode(encoding_of(content[:4]), "surrogateescape")
    for at, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            name, value = str(values["source"]), values["probability"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(
                f"{file}, row {at}: not a JSON object with source and probability"
            ) from None
        yield at, name, value


def _probability(cell: object, where: str) -> float | None:
    if cell is None or cell == "":
        return None
    try:
        value = number(cell) if isinstance(cell, str) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        value = float("nan")
    if not 0 <= value <= 1:
        raise DataError(f"{where}: {cell!r} is not a probability from 0 to 1")
    return value


def _sliceable(cells: list[str], column: str) -> list[str]:
    """Return values as they are, but many numbers as the quarter that each is in."""
    given = [cell for cell in cells if cell]
    if all(map(_finite, given)) and len(set(given)) > 2 * _PARTS:
        return _quarters(cells, np.array([number(cell) for cell in given]))
    if (count := len(set(cells))) > _MOST:
        raise UsageError(f"{count} values of {column} are too many for slices", argument="by")
    return [cell or _BLANK for cell in cells]


def _quarters(cells: list[str], numbers: NDArray[np.float64]) -> list[str]:
    edges = np.quantile(numbers, np.arange(1, _PARTS) / _PARTS)
    part_of = np.searchsorted(edges, numbers).tolist()
    spans = {part: numbers[np.array(part_of) == part] for part in set(part_of)}
    names = (f"{spans[part].min():g} to {spans[part].max():g}" for part in part_of)
    return [next(names) if cell else _BLANK for cell in cells]


def _finite(cell: str) -> bool:
    return is_number(cell) and math.isfinite(number(cell))
