"""The networks of a run as one ONNX file, written only if it is verified to be the same."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

from maskspot.errors import DataError
from maskspot.exporting.calibrating import Fitted, fit_calibration, fit_views
from maskspot.exporting.convert import convert, convert_views, logits_in_keras
from maskspot.exporting.graph import compose, count_parameters, set_info
from maskspot.exporting.options import ExportOptions
from maskspot.exporting.storing import (
    FLOAT32,
    quantize_all,
    store_as_float16,
    verify,
    write_and_predict,
)
from maskspot.exporting.windows import windowed
from maskspot.files import replacing
from maskspot.images import Preprocessing
from maskspot.model.info import ModelInfo
from maskspot.progress import Progress
from maskspot.training import network
from maskspot.training.run import Run


def build(
    run: Run, output: Path, options: ExportOptions, progress: Progress
) -> tuple[ModelInfo, float]:
    """Write a model file, as `export.export` describes it.

    Returns:
        The metadata of the file, and the largest difference from Keras.
    """
    info = model_info(run, options.name or output.stem)
    runs = run.fold_runs() or [run]
    models = [network.load(each.kept()) for each in runs]
    with progress.step("calibrating"):
        fitted = fit_views(run, info, options) if options.windows else fit_calibration(run, options)
    with progress.step("converting", "networks", len(models)) as step:
        networks = []
        for done, model in enumerate(models, 1):
            networks.append(_convert(model, info, fitted))
            step.update(done)
    info = _with_fitted(info, run, fitted, options)
    exact = compose(networks, info, fitted.calibration, options.flip)
    pixels = np.stack([enlarge(each, info.preprocessing.size) for each in run.check_pixels()])
    with replacing(output) as beside:
        with progress.step("verifying"):
            logits = [
                logits_in_keras(model, pixels, options.flip, fitted.windows, run.settings.size)
                for model in models
            ]
            expected = fitted.calibration.of_logits(np.mean(logits, axis=0))
            actual = write_and_predict(exact, beside, pixels)
            difference = verify(expected, actual)
        proto, storage = exact, dict[str, Any](FLOAT32)
        if options.int8:
            with progress.step("quantising"):
                networks, storage = quantize_all(
                    runs, networks, fitted.calibration, options.int8_tolerance
                )
            proto = compose(networks, info, fitted.calibration, options.flip)
        elif not options.float32:
            with progress.step("storing weights as float16"):
                proto, storage = store_as_float16(exact, beside, pixels, actual)
        info = replace(info, storage=storage, parameters=count_parameters(proto.graph))
        set_info(proto, info)
        write_and_predict(proto, beside, pixels[:1])
    return info, difference


def model_info(run: Run, name: str) -> ModelInfo:
    """Return the metadata of a model file that a run determines.

    Raises:
        DataError: the run is not finished.
    """
    metrics, settings = run.metrics(), run.settings
    if metrics is None:
        raise DataError(f"{run.folder}: not finished; resume its training first")
    return ModelInfo(
        name=name,
        preprocessing=settings.preprocessing,
        backbone=settings.backbone,
        metrics=metrics["validation"],
        training={
            "weights": Path(settings.weights).name,
            "data": [path.name for path in run.data],
            "epoch": metrics.get("kept_epoch"),
            "settings": {
                # The names of files, without the folders of this machine.
                key: Path(value).name if isinstance(value, str) else value
                for key, value in run.read_json("settings.json").items()
            },
        },
    )


def enlarge(pixels: Any, size: int) -> Any:
    """Return a check image, uint8 (S, S, 3), at the input size of the file."""
    return Preprocessing(size).apply(Image.fromarray(pixels))


def _convert(model: Any, info: ModelInfo, fitted: Fitted) -> onnx.ModelProto:
    if fitted.windows is None:
        return convert(model, info.preprocessing.size, info)
    return windowed(convert_views(model, info, fitted.windows.size), fitted.windows)


def _with_fitted(info: ModelInfo, run: Run, fitted: Fitted, options: ExportOptions) -> ModelInfo:
    """Return the metadata with what was fitted, and with the cost of an image."""
    passes, windows = len(run.fold_runs() or [run]) * (2 if options.flip else 1), fitted.windows
    if windows:
        looks = windows.passes(run.settings.size)
        shown = replace(info.preprocessing, size=windows.size)
        info = replace(info, preprocessing=shown, windows=asdict(windows) | {"passes": looks})
        passes *= looks
    return replace(info, calibration=fitted.facts, passes=passes, metrics=fitted.metrics)
