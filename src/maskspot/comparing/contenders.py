"""What is compared: a model file, or a run, which is exported to one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.errors import DataError, UsageError
from maskspot.extras import require_train
from maskspot.model.shipped import find_model, shipped

if TYPE_CHECKING:
    from maskspot.training.run import Run


@dataclass(frozen=True)
class Contender:
    """One of the models that are compared.

    Attributes:
        name: a short one that no other has.
        model: model file, or a shipped model's name.
        run: what the model file was exported from for this comparison, if it was.
    """

    name: str
    model: str
    run: "Run | None" = None


def find_contenders(
    names: Sequence[str], scratch: Path, exporting: Callable[[str], None] = lambda name: None
) -> list[Contender]:
    """Return what is compared, each with a model file.

    All are looked at before any run is exported.

    Args:
        names: runs' folders, model files, shipped models' names.
        scratch: folder for the files of exported runs.
        exporting: told of each run that is exported, which takes a while.

    Raises:
        UsageError: one is named twice.
        DataError: a run is none, or not finished.
        ModelFileError: a model file is missing.
        MissingExtraError: a run needs maskspot[train] to be exported.
        ExportError: a run's file would not be the same network.
    """
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise UsageError(f"{twice[0]}: named twice")
    runs = {name: _open(name) for name in names if name not in shipped() and Path(name).is_dir()}
    for name in names:
        if name not in runs:
            find_model(name)
    found = []
    for at, (name, short) in enumerate(zip(names, _short(names), strict=True)):
        run, model = runs.get(name), name
        if run:
            exporting(short)
            model = str(scratch / f"{at}.onnx")
            _export(run, Path(model), short)
        found.append(Contender(short, model, run))
    return found


def _open(folder: str) -> "Run":
    from maskspot.training.run import Run

    run = Run.open(Path(folder))
    if run.metrics() is None:
        raise DataError(f"{folder}: not finished; go on with train --resume {folder}")
    require_train("maskspot compare RUN")
    return run


def _export(run: "Run", file: Path, name: str) -> None:
    from maskspot.exporting.export import export

    export(run, file, name)


def _short(names: Sequence[str]) -> list[str]:
    """Return paths' last parts; the whole of those that share theirs."""
    lasts = [Path(name).name or name for name in names]
    return [
        last if lasts.count(last) == 1 else name for name, last in zip(names, lasts, strict=True)
    ]
