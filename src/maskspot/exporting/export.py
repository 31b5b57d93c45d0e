"""A run's networks to one ONNX file, written only once it is shown to be the same networks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray
from PIL import Image

from maskspot.errors import DataError, ExportError, MaskspotError, UsageError
from maskspot.evaluation.calibration import Calibration
from maskspot.evaluation.logistic import sigmoid
from maskspot.evaluation.metrics import log_loss, summary
from maskspot.exporting.calibrating import (
    LEAST_IMAGES,
    calibrate,
    fit_windows,
    held_back,
    source_of,
    view_logits,
)
from maskspot.exporting.calibration_images import read_samples
from maskspot.exporting.float16 import SHARES, to_float16
from maskspot.exporting.graph import OPSET, compose, network_of, set_info
from maskspot.exporting.quantize import Quantized, quantize
from maskspot.exporting.windows import Windows, keras_logits, views_of, windowed
from maskspot.files import replacing
from maskspot.images import Preprocessing
from maskspot.model.info import INPUT, ModelInfo
from maskspot.model.predictor import Predictor
from maskspot.training import network
from maskspot.training.run import Run

TOLERANCE = 1e-4
"""How far onnxruntime's probability of a check image may be from Keras', in float32."""

HALF_TOLERANCE = 1e-3
"""How far weights stored as float16 may move the probability of a check image."""

_FLOAT32: dict[str, Any] = {"weights": "float32"}


@dataclass(frozen=True)
class Options:
    """How a run is exported.

    Attributes:
        calibrate: put a scale, a bias and a bound of the probabilities into the graph.
        calibration: the run on whose held-back images they are fitted; the exported one's if None.
        prior: the share of images with masks that the probabilities are for.
        windows: look at windows of the image too: small masks are found, at four times the cost.
        flip: average the logits of an image and of its mirror image, at twice the cost.
        storage: of the weights: `float16`, `float32`, or `int8`.
        int8_tolerance: the rise of log loss on held-back images at which int8 is refused.
    """

    calibrate: bool = True
    calibration: Run | None = None
    prior: float = 0.5
    windows: bool = False
    flip: bool = False
    storage: str = "float16"
    int8_tolerance: float = 0.01


def export(
    run: Run, output: Path, name: str | None = None, options: Options | None = None
) -> tuple[ModelInfo, float]:
    """Write a run's network as a model file; of a run with folds, the mean of their networks.

    Args:
        run: a finished run.
        output: the file to write.
        name: of the model; the file's own without its ending if None.
        options: calibration, mirror and storage; the defaults if None.

    Returns:
        What the file says of itself, and the largest difference of its probabilities from
        Keras' on the run's check images, before its weights were stored in fewer bits.

    Raises:
        DataError: the run is not finished, or what an option needs of it is missing.
        UsageError: the run to calibrate on is of another network.
        ExportError: the file would not be the same network; nothing was written.
    """
    options = options or Options()
    metrics = run.metrics()
    if metrics is None:
        raise DataError(f"{run.folder}: not finished; go on with train --resume {run.folder}")
    if options.windows and options.storage == "int8":
        raise UsageError("--windows and --int8: name one of them")
    runs, info = run.fold_runs() or [run], _info(run, metrics, name or output.stem)
    models = [network.load(each.kept()) for each in runs]
    if options.windows:
        look, calibration, facts, measured = _look(run, info, options)
        networks = [windowed(_views(model, info, look.size), look) for model in models]
        info = replace(
            info,
            preprocessing=replace(info.preprocessing, size=look.size),
            windows=asdict(look) | {"passes": look.passes(run.settings.size)},
        )
    else:
        look = None
        calibration, facts = _calibration(run, options)
        targets, probabilities = run.read_predictions()
        measured = summary(targets, calibration.apply(probabilities))
        networks = [_convert(model, info.preprocessing.size, info) for model in models]
    info = replace(info, calibration=facts, passes=_passes(run, options, look), metrics=measured)
    size = info.preprocessing.size
    pixels = np.stack([_enlarged(each, size) for each in run.check_pixels()])
    logits = [_logits(model, pixels, options.flip, look, run.settings.size) for model in models]
    expected = calibration.of_logits(np.mean(logits, axis=0))
    with replacing(output) as beside:
        exact = compose(networks, info, calibration, options.flip)
        ours = _probabilities(exact, beside, pixels)
        difference = _verify(expected, ours)
        proto, storage = exact, _FLOAT32
        if options.storage == "float16":
            proto, storage = _halve(exact, beside, pixels, ours)
        elif options.storage == "int8":
            quantized = _quantize(runs, networks, calibration, options.int8_tolerance)
            storage = _int8_facts(quantized)
            proto = compose([q.network for q in quantized], info, calibration, options.flip)
        info = replace(info, storage=storage)
        set_info(proto, info)
        _probabilities(proto, beside, pixels[:1])
        return info, difference


def _calibration(run: Run, options: Options) -> tuple[Calibration, dict[str, Any]]:
    if not options.calibrate:
        return Calibration(), {}
    source = source_of(run, options.calibration)
    targets, probabilities = source.read_predictions()
    required = options.calibration is not None
    return calibrate(targets, probabilities, source, options.prior, required)


def _look(
    run: Run, info: ModelInfo, options: Options
) -> tuple[Windows, Calibration, dict[str, Any], Mapping[str, float]]:
    """Fit on held-back images how views are combined, and the calibration of the result.

    The views are those of the networks that held the images back. Their metrics come last.
    """
    size, source = run.settings.size, source_of(run, options.calibration)
    look = Windows.of(size)
    large = replace(info.preprocessing, size=look.size)
    seen = [
        view_logits(_views(network.load(each.kept()), info, look.size), held_back(each), large)
        for each in source.fold_runs() or [source]
    ]
    targets, whole, cells = (np.concatenate(each) for each in zip(*seen, strict=True))
    if len(targets) >= LEAST_IMAGES:
        look = fit_windows(size, targets, whole, cells, options.prior)
    probabilities = sigmoid(look.combine(whole, cells))
    calibration, facts = Calibration(), dict[str, Any]()
    if options.calibrate:
        required = options.calibration is not None
        calibration, facts = calibrate(targets, probabilities, source, options.prior, required)
    return look, calibration, facts, summary(targets, calibration.apply(probabilities))


def _passes(run: Run, options: Options, look: Windows | None) -> int:
    """Return the passes through a network that an image costs."""
    each = look.passes(run.settings.size) if look else 1
    return len(run.fold_runs() or [run]) * (2 if options.flip else 1) * each


def _info(run: Run, metrics: dict[str, Any], name: str) -> ModelInfo:
    settings = run.settings
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
                # A file's name, without the folders of the machine that it was on.
                key: Path(value).name if isinstance(value, str) else value
                for key, value in run.read_json("settings.json").items()
            },
        },
    )


def _views(model: Any, info: ModelInfo, large: int) -> onnx.ModelProto:
    """Convert a network for both of its input sizes."""
    whole = _convert(model, info.preprocessing.size, info)
    return views_of(whole, _convert(model, large, info))


def _serving(model: Any, size: int) -> Any:
    """Put the contract's input before a network: uint8 in, logit out."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name=INPUT)
    return keras.Model(pixels, model(keras.layers.Rescaling(1.0)(pixels)))  # casts to float


def _convert(model: Any, size: int, info: ModelInfo) -> onnx.ModelProto:
    signature = [tf.TensorSpec((None, size, size, 3), tf.uint8, name=INPUT)]
    try:
        proto, _ = tf2onnx.convert.from_keras(_serving(model, size), signature, opset=OPSET)
    except Exception as error:  # tf2onnx raises whatever an operator leads it to
        raise ExportError(f"tf2onnx cannot convert {info.backbone}: {error}") from error
    return network_of(proto)


def _enlarged(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return a check image at the size of the file's input."""
    return Preprocessing(size).apply(Image.fromarray(pixels))


def _logits(
    model: Any, pixels: NDArray[np.uint8], flip: bool, look: Windows | None, size: int
) -> NDArray[np.float64]:
    """Return Keras' logits, float64 (N,); without `predict`, which would compile it first."""

    def of(batch: NDArray[np.uint8]) -> NDArray[np.float64]:
        if look:
            return keras_logits(model, batch, look, size)
        return np.asarray(model(batch.astype(np.float32), training=False), np.float64).ravel()

    views = [pixels, pixels[:, :, ::-1]] if flip else [pixels]
    logits = [
        np.concatenate([of(view[at : at + 16]) for at in range(0, len(view), 16)]) for view in views
    ]
    return np.asarray(np.mean(logits, axis=0))


def _probabilities(
    proto: onnx.ModelProto, file: Path, pixels: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Write a graph as a model file, and return what a predictor that loads it says."""
    file.write_bytes(proto.SerializeToString())
    try:
        return Predictor(file).probabilities(pixels)
    except MaskspotError as error:
        raise ExportError(f"onnxruntime refuses the exported graph: {error}") from error


def _verify(keras_says: NDArray[np.float64], ours: NDArray[np.float64]) -> float:
    """Return the largest difference; raises `ExportError` above `TOLERANCE`."""
    difference = float(np.abs(keras_says - ours).max())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"Keras and onnxruntime differ by {difference:.1e} on {len(ours)} images, "
            f"more than {TOLERANCE:g}: nothing was written"
        )
    return difference


def _halve(
    exact: onnx.ModelProto, file: Path, pixels: NDArray[np.uint8], ours: NDArray[np.float64]
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Store weights as float16, as many as move no check image's probability too far; else none."""
    moved = np.inf
    for share in SHARES:
        proto = to_float16(exact, share)
        moved = float(np.abs(_probabilities(proto, file, pixels) - ours).max())
        if moved <= HALF_TOLERANCE:
            return proto, {"weights": "float16", "float32_share": share, "difference": moved}
    return exact, _FLOAT32 | {"float16_difference": moved}


def _quantize(
    runs: Sequence[Run],
    networks: Sequence[onnx.ModelProto],
    calibration: Calibration,
    tolerance: float,
) -> list[Quantized]:
    """Quantise each network, judged by the images that it never saw.

    Raises:
        ExportError: together they raise the log loss by more than the tolerance.
    """
    done = [
        quantize(proto, read_samples(run), calibration)
        for run, proto in zip(runs, networks, strict=True)
    ]
    facts = _int8_facts(done)
    rise = facts["after"] - facts["before"]
    if not rise <= tolerance:
        raise ExportError(
            f"int8 raises log loss on {facts['images']} held-back images by {rise:.4f}, more than "
            f"--int8-tolerance {tolerance:g}: nothing was written; export without --int8"
        )
    return done


def _int8_facts(quantized: Sequence[Quantized]) -> dict[str, Any]:
    targets = np.concatenate([each.targets for each in quantized])
    left_out = [
        f"{number}/{name}" if len(quantized) > 1 else name
        for number, each in enumerate(quantized, 1)
        for name in each.left_out
    ]
    return {
        "weights": "int8",
        "images": len(targets),
        "before": log_loss(targets, np.concatenate([each.before for each in quantized])),
        "after": log_loss(targets, np.concatenate([each.after for each in quantized])),
        "layers": sum(len(each.layers) for each in quantized),
        "left_out": left_out,
    }
