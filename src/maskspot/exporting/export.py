"""Turn a run into a model file. TensorFlow is loaded when the export begins."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.errors import UsageError
from maskspot.exporting.options import ExportOptions
from maskspot.extras import require_train
from maskspot.outputs.conflicts import OutputFiles
from maskspot.progress import SILENT, Progress

if TYPE_CHECKING:
    from maskspot.model.info import ModelInfo


@dataclass(frozen=True)
class ExportResult:
    """A model file that was written.

    Attributes:
        file: its path.
        info: its metadata.
        difference: the largest difference of its probabilities from those of Keras on the run's
            check images, before weights were stored in fewer bits.
    """

    file: Path
    info: "ModelInfo"
    difference: float


def export(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: ExportOptions | None = None,
    progress: Progress = SILENT,
) -> ExportResult:
    """Write the network of a run as a model file. Needs maskspot[train].

    The networks of a run with folds are averaged. The file is written only if Keras and
    onnxruntime agree on the run's check images.

    Args:
        run: a finished run, or its folder.
        output: the file to write, which ends in `.onnx`.
        options: calibration, views and storage; the defaults if None.
        progress: is told how the export proceeds.

    Raises:
        DataError: the run is not finished, or what an option needs of it is missing.
        UsageError: the output is not a model file, or the run to calibrate on is of another
            network.
        ExportError: the file would not be the same network; nothing was written.
        MissingExtraError: maskspot[train] is not installed.
    """
    file = Path(output)
    if file.is_dir() or file.suffix.lower() != ".onnx":
        raise UsageError(f"{file} must be a file name that ends in .onnx", argument="output")
    options = options or ExportOptions()
    OutputFiles({"output": file}).check([run, options.calibration])
    with progress.step("loading TensorFlow"):
        require_train("maskspot export")
        from maskspot.exporting.build import build
        from maskspot.training.run import Run
    info, difference = build(Run.open(run), file, options, progress)
    return ExportResult(file, info, difference)
