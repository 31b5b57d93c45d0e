"""The models that are compared: model files, and runs that are exported to one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.errors import DataError, UsageError
from maskspot.model.shipped import find_model, shipped
from maskspot.progress import Progress

if TYPE_CHECKING:
    from maskspot.training.run import Run


@dataclass(frozen=True)
class Candidate:
    """One of the models that are compared.

    Attributes:
        name: short and unique.
        model: model file, or a shipped model's name.
        run: the run that the model file was exported from for the comparison; None otherwise.
    """

    name: str
    model: str
    run: "Run | None" = None


def find_candidates(names: Sequence[str], scratch: Path, progress: Progress) -> list[Candidate]:
    """Return the models to compare, each with a model file.

    All names are checked before any run is exported.

    Args:
        names: runs' folders, model files, shipped models' names.
        scratch: folder for the files of exported runs.
        progress: is told how exports proceed.

    Raises:
        UsageError: a model is named twice.
        DataError: a folder is not a run, or the run is not finished.
        ModelFileError: a model file is missing.
        MissingExtraError: a run needs maskspot[train] to be exported.
        ExportError: a run cannot be exported.
    """
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise UsageError(f"{twice[0]}: named twice")
    runs = {name: _open(name) for name in names if name not in shipped() and Path(name).is_dir()}
    for name in names:
        if name not in runs:
            find_model(name)
    candidates = []
    for at, (name, short) in enumerate(zip(names, _short(names), strict=True)):
        run, model = runs.get(name), name
        if run:
            model = str(scratch / f"{at}.onnx")
            _export(run, model, short, progress)
        candidates.append(Candidate(short, model, run))
    return candidates


def _open(folder: str) -> "Run":
    from maskspot.training.run import Run

    run = Run.open(folder)
    if run.metrics() is None:
        raise DataError(f"{folder}: not finished; resume its training first")
    return run


def _export(run: "Run", file: str | os.PathLike[str], name: str, progress: Progress) -> None:
    from maskspot.exporting.export import export
    from maskspot.exporting.options import ExportOptions

    with progress.step(f"exporting {name}"):
        export(run, file, ExportOptions(name=name), progress)


def _short(names: Sequence[str]) -> list[str]:
    """Return the last parts of paths; the whole paths where they share theirs."""
    lasts = [Path(name).name or name for name in names]
    return [
        last if lasts.count(last) == 1 else name for name, last in zip(names, lasts, strict=True)
    ]
