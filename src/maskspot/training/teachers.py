"""Teachers: models whose probabilities a network learns from, beside the labels."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskspot.errors import DataError, UsageError
from maskspot.model.predictor import Predictor
from maskspot.model.shipped import find_model
from maskspot.training.batches import Teacher
from maskspot.training.examples import Examples
from maskspot.training.run import Run
from maskspot.training.train import Exporter


class FileTeacher:
    """One model file, which may have seen any of the images."""

    def __init__(self, model: str | Path) -> None:
        self._predictor = Predictor(find_model(model))

    def probabilities(
        self, pixels: NDArray[np.uint8], rows: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return probabilities, float64 (B,), for views, uint8 (B, S, S, 3)."""
        size = self._predictor.info.preprocessing.size
        if pixels.shape[1] != size:
            how = cv2.INTER_AREA if pixels.shape[1] > size else cv2.INTER_LINEAR
            pixels = np.stack(
                [cv2.resize(each, (size, size), interpolation=how) for each in pixels]
            )
        return self._predictor.probabilities(pixels)


class FoldTeacher:
    """The networks of a run with folds: each image is predicted by the one that never saw it."""

    def __init__(self, run: Run, examples: Examples, export: Exporter) -> None:
        self._models = [FileTeacher(_exported(fold, export)) for fold in run.fold_runs()]
        try:
            self._folds = run.folds_of(examples.images, examples.usable)
        except DataError as error:
            raise DataError(f"{error} (use a model file to learn from any images)") from None

    def probabilities(
        self, pixels: NDArray[np.uint8], rows: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return probabilities, float64 (B,), for views, uint8 (B, S, S, 3), of rows of images."""
        result = np.empty(len(rows))
        for fold in np.unique(self._folds[rows]):
            at = np.flatnonzero(self._folds[rows] == fold)
            result[at] = self._models[fold - 1].probabilities(pixels[at], rows[at])
        return result


def load_teacher(teacher: str, examples: Examples, export: Exporter | None) -> Teacher:
    """Load a teacher: a shipped model's name, a model file, or a run with folds.

    Args:
        teacher: which one.
        examples: the images that it teaches.
        export: writes model files of a run's folds, which are kept in the folds.

    Raises:
        DataError: the run is not finished, has no folds, or was trained on other images.
        ModelFileError: there is no such model.
        UsageError: the teacher is a run, and `export` is None.
    """
    if not Path(teacher).is_dir():
        return FileTeacher(teacher)
    run = Run.open(teacher)
    if run.metrics() is None or not run.settings.folds:
        raise DataError(f"{teacher}: must be a model file, or a finished run with folds")
    if export is None:
        raise UsageError(f"{teacher} is a run: pass `export=maskspot.export`", argument="teacher")
    return FoldTeacher(run, examples, export)


def _exported(fold: Run, export: Exporter) -> Path:
    file = fold.folder / "teacher.onnx"
    if not file.is_file():
        export(fold, file)
    return file
