"""The files that an evaluation reads: predictions, and columns to slice by."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskspot.csv_tables import encoding_of, is_number, number, read_rows
from maskspot.errors import DataError, UsageError
from maskspot.inputs.names import find_names

_NAMES = ("image", "id", "path", "source")
"""Columns of images, the first there is: beside `image`, `source` is where it was published."""

_VALUES = ("probability", "target")
"""Columns, the first there is; of two columns, any."""

_MOST = 40
"""Values of a column, as slices; more are cut into parts if they are numbers."""

_PARTS = 4
_BLANK = "(blank)"


def read_predictions(
    file: Path, targets: Mapping[str, int], labels: Path
) -> dict[str, float | None]:
    """Return the probability of each labelled image, in the labels' order; None for a blank one.

    Args:
        file: a submission, what `predict` writes as CSV or JSON Lines, or a run's `oof.csv` or
            `validation.csv`.
        targets: the labels, by the images' names, which are matched as `inputs.find_names` does.
        labels: the file they are from, for errors.

    Raises:
        DataError: it cannot be read, lacks an image, or a probability is none.
    """
    try:
        with file.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    is_json = start.decode(encoding_of(start), "replace").lstrip().startswith("{")
    if start.startswith(b"PAR1"):
        raise DataError(f"{file}: this is Parquet; let predict write CSV or JSON Lines")
    found: dict[str, float | None] = {}
    for row, (name, cell) in (_lines if is_json else _cells)(file):
        value = _probability(cell, f"{file}, row {row}")
        if found.setdefault(name, value) != value:
            raise DataError(f"{file}, row {row}: has two probabilities for {name}")
    chosen, missing = find_names(targets, {name: name for name in found}, labels)
    _refuse(missing, file, "prediction", labels)
    return {name: found[chosen[name]] for name in targets}


def read_columns(file: Path, names: Iterable[str], columns: Iterable[str]) -> dict[str, list[str]]:
    """Return images' values of some columns of a CSV; of a column of many numbers, quarters.

    Args:
        file: the CSV; its images are matched as `inputs.find_names` does.
        names: of the images.
        columns: to return.

    Raises:
        DataError: it cannot be read, or lacks an image.
        UsageError: it has no such column, or one with too many values.
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
            raise UsageError(f"--by: {file} has no column {column}; it has {', '.join(header)}")
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


def _cells(file: Path) -> Iterable[tuple[int, tuple[str, str]]]:
    header, rows = read_rows(file)
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
        yield row.number, (row[name].strip(), row[value].strip())


def _lines(file: Path) -> Iterable[tuple[int, tuple[str, object]]]:
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
        yield at, (name.strip(), value)


def _probability(cell: object, where: str) -> float | None:
    if cell is None or cell == "":
        return None
    try:
        value = number(cell) if isinstance(cell, str) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        value = float("nan")
    if not 0 <= value <= 1:
        raise DataError(f"{where}: {cell!r} is no probability from 0 to 1")
    return value


def _sliceable(cells: list[str], column: str) -> list[str]:
    """Return values as they are, but many numbers as the quarter that each is in."""
    given = [cell for cell in cells if cell]
    if all(map(_finite, given)) and len(set(given)) > 2 * _PARTS:
        return _quarters(cells, np.array([number(cell) for cell in given]))
    if (count := len(set(cells))) > _MOST:
        raise UsageError(f"--by {column}: {count} values are too many for slices")
    return [cell or _BLANK for cell in cells]


def _quarters(cells: list[str], numbers: NDArray[np.float64]) -> list[str]:
    edges = np.quantile(numbers, np.arange(1, _PARTS) / _PARTS)
    part_of = np.searchsorted(edges, numbers).tolist()
    spans = {part: numbers[np.array(part_of) == part] for part in set(part_of)}
    names = (f"{spans[part].min():g} to {spans[part].max():g}" for part in part_of)
    return [next(names) if cell else _BLANK for cell in cells]


def _finite(cell: str) -> bool:
    return is_number(cell) and math.isfinite(number(cell))
