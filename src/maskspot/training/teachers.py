"""Teachers: model files whose probabilities a network learns from, beside the labels."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskspot.datasets.labels import Labelled
from maskspot.errors import DataError
from maskspot.model.predictor import Predictor
from maskspot.model.shipped import find_model
from maskspot.training.run import Run


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
    """The networks of a run with folds: each image is judged by the one that never saw it."""

    def __init__(self, run: Run, images: Sequence[Labelled], rows: NDArray[np.intp]) -> None:
        self._models = [FileTeacher(_exported(fold)) for fold in run.fold_runs()]
        try:
            self._held = run.folds_of(images, rows)
        except DataError as error:
            raise DataError(f"{error} (a model file teaches any images)") from None

    def probabilities(
        self, pixels: NDArray[np.uint8], rows: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return probabilities, float64 (B,), for views, uint8 (B, S, S, 3), of rows' images."""
        told = np.empty(len(rows))
        for fold in np.unique(self._held[rows]):
            at = np.flatnonzero(self._held[rows] == fold)
            told[at] = self._models[fold - 1].probabilities(pixels[at], rows[at])
        return told


def load_teacher(
    teacher: str, images: Sequence[Labelled], rows: NDArray[np.intp]
) -> FileTeacher | FoldTeacher:
    """Return a teacher: a shipped model's name, a model file, or a run with folds.

    Args:
        teacher: which one.
        images: every image, by row.
        rows: of the images that take part: those that can be read.

    Raises:
        DataError: a run that is not finished, or has no folds, or was trained on other images.
        ModelFileError: no such model.
    """
    if not Path(teacher).is_dir():
        return FileTeacher(teacher)
    run = Run.open(Path(teacher))
    if run.metrics() is None or not run.fold_runs():
        raise DataError(f"{teacher}: a teacher is a model file, or a finished run with --folds")
    return FoldTeacher(run, images, rows)


def _exported(fold: Run) -> Path:
    from maskspot.exporting.export import export

    file = fold.folder / "teacher.onnx"
    if not file.is_file():
        export(fold, file)
    return file
