"""Train a run from labelled photos, or resume one. TensorFlow is loaded when training begins."""

import os
import shutil
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from maskspot.arguments import several
from maskspot.datasets.labels import read_folders
from maskspot.errors import UsageError
from maskspot.extras import require_train
from maskspot.progress import SILENT, Progress
from maskspot.training.presets import with_absolute_paths
from maskspot.training.run import Run
from maskspot.training.settings import Settings

Exporter = Callable[[Run, Path], object]
"""Writes the network of a run as a model file: `maskspot.export`, for one."""


class TrainingStopped(KeyboardInterrupt):
    """Training was interrupted; `resume` continues it.

    Attributes:
        run: the run, whose finished epochs are kept.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


def train(
    data: Iterable[str | os.PathLike[str]],
    settings: Settings | None = None,
    *,
    name: str | None = None,
    runs: str | os.PathLike[str] = "runs",
    export: Exporter | None = None,
    progress: Progress = SILENT,
) -> Run:
    """Train a network on labelled photos, or one for each fold. Needs maskspot[train].

    Args:
        data: folders of labelled images: a CSV of labels with images beside it or in `images/`,
            or one folder for each class.
        settings: of the run; the defaults if None.
        name: of the run's folder in `runs`; if None, the backbone and a number.
        runs: folder that runs are kept in.
        export: writes model files of the folds of a teacher; needed only where the setting
            `teacher` is a run with folds. Pass `maskspot.export`.
        progress: is told how training proceeds.

    Returns:
        The finished run; see `Run.metrics`. If training fails before its first epoch is finished,
        its folder is removed.

    Raises:
        UsageError: a setting or the name is invalid, or the run exists.
        DataError: the data cannot be used, or the loss is not a number.
        DownloadError: the starting weights could not be downloaded.
        MissingExtraError: maskspot[train] is not installed.
        TrainingStopped: training was interrupted.
    """
    settings = with_absolute_paths(settings or Settings())
    folders = [Path(folder) for folder in several(data)]
    _load_tensorflow(progress)
    read_folders(folders, settings.layout)  # refuse bad data before a folder is made
    run = Run.create(run_folder(Path(runs), name, settings.backbone), settings, folders)
    try:
        return _finish(run, export, progress)
    except Exception:
        if not any(run.folder.rglob(run.checkpoint.name)):
            shutil.rmtree(run.folder)
        raise


def resume(
    run: str | os.PathLike[str], *, export: Exporter | None = None, progress: Progress = SILENT
) -> Run:
    """Continue a run with its own settings, from its last finished epoch.

    Args:
        run: the run, or its folder. A finished one is returned as it is.
        export: as in `train`.
        progress: is told how training proceeds.

    Raises:
        DataError: the folder is not a run, or its data have changed.
        UsageError: the run is one fold of another.
        MissingExtraError: maskspot[train] is not installed.
        TrainingStopped: training was interrupted.
    """
    _load_tensorflow(progress)
    return _finish(Run.open(run), export, progress)


def run_folder(runs: Path, name: str | None, backbone: str) -> Path:
    """Return the folder of a new run; one without a name is numbered.

    Raises:
        UsageError: the name is not a plain folder name.
    """
    if name is None:
        numbered = (runs / f"{backbone}-{number}" for number in count(1))
        return next(folder for folder in numbered if not folder.exists())
    if not name or Path(name).name != name or name.startswith("."):
        raise UsageError(
            f"{name!r} must be a plain folder name; use `runs` to choose where runs are kept",
            argument="name",
        )
    return runs / name


def _load_tensorflow(progress: Progress) -> None:
    with progress.step("loading TensorFlow"):
        require_train("maskspot train")


def _finish(run: Run, export: Exporter | None, progress: Progress) -> Run:
    from maskspot.training.train_run import train_run

    try:
        train_run(run, export, progress)
    except KeyboardInterrupt:
        raise TrainingStopped(run) from None
    return run
