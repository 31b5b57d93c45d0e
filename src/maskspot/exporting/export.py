"""A run's networks to one ONNX file, written only once it is shown to be the same networks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from maskspot.errors import DataError, ExportError, MaskspotError, UsageError
from maskspot.evaluation.calibration import Calibration, fit, quality
from maskspot.evaluation.logistic import sigmoid
from maskspot.evaluation.metrics import log_loss, summary
from maskspot.exporting.compress import SHARES, to_float16
from maskspot.exporting.graph import OPSET, compose, network_of, set_info
from maskspot.exporting.quantize import Quantized, quantize
from maskspot.exporting.samples import read_samples
from maskspot.files import replacing
from maskspot.modelfile import INPUT, ModelInfo
from maskspot.predictor import Predictor
from maskspot.training import network
from maskspot.training.run import Run

TOLERANCE = 1e-4
"""How far onnxruntime's probability of a check image may be from Keras', in float32."""

HALF_TOLERANCE = 1e-3
"""How far weights stored as float16 may move the probability of a check image."""

LEAST_IMAGES = 100
"""Held-back images below which nothing is calibrated: two parameters would fit their noise."""


_FLOAT32: dict[str, Any] = {"weights": "float32"}


@dataclass(frozen=True)
class Options:
    """How a run is exported.

    Attributes:
        calibrate: put a scale and a bias of the logits into the graph.
        calibration: the run on whose held-back images they are fitted; the exported one's if None.
        flip: average the logits of an image and of its mirror image, at twice the cost.
        storage: of the weights: `float16`, `float32`, or `int8`.
        int8_tolerance: the rise of log loss on held-back images at which int8 is refused.
    """

    calibrate: bool = True
    calibration: Run | None = None
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
    runs = run.fold_runs() or [run]
    calibration, facts = calibrate(run, options)
    info = replace(
        _info(run, metrics, name or output.stem),
        passes=len(runs) * (2 if options.flip else 1),
        calibration=facts,
    )
    if facts:
        targets, probabilities = run.read_predictions()
        info = replace(info, metrics=summary(targets, calibration.apply(probabilities)))
    pixels = run.check_pixels()
    with replacing(output) as beside:
        networks, logits = [], []
        for each in runs:
            model = _serving(network.load(each.kept()), info.preprocessing.size)
            networks.append(_convert(model, info))
            logits.append(_logits(model, pixels, options.flip))
        expected = sigmoid(calibration.scale * np.mean(logits, axis=0) + calibration.bias)
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


def calibrate(run: Run, options: Options) -> tuple[Calibration, dict[str, Any]]:
    """Fit scale and bias on held-back images.

    Returns:
        The calibration, and what the model file says of it: nothing where none was asked for, or
        the exported run has fewer than `LEAST_IMAGES` held-back images, or of one class only.

    Raises:
        DataError: the run to calibrate on is not finished, or has too few images.
        UsageError: it is of another network.
    """
    source = options.calibration or run
    if not options.calibrate:
        return Calibration(), {}
    if source.metrics() is None:
        raise DataError(f"--calibration: {source.folder}: not finished")
    ours, theirs = run.settings, source.settings
    if (ours.backbone, ours.size) != (theirs.backbone, theirs.size):
        raise UsageError(
            f"--calibration: {source.folder} is of {theirs.backbone} at {theirs.size} pixels, "
            f"{run.folder} of {ours.backbone} at {ours.size}: name a run of the same network"
        )
    targets, probabilities = source.read_predictions()
    if len(targets) < LEAST_IMAGES or len(set(targets)) == 1:
        if options.calibration:
            raise DataError(
                f"--calibration: {source.folder} has {len(targets)} held-back images; it takes "
                f"{LEAST_IMAGES}, of both classes"
            )
        return Calibration(), {}
    calibration = fit(targets, probabilities)
    return calibration, {
        **asdict(calibration),
        "run": source.folder.resolve().name,
        "images": len(targets),
        "before": quality(targets, probabilities),
        "after": quality(targets, calibration.apply(probabilities)),
    }


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


def _serving(model: Any, size: int) -> Any:
    """Put the contract's input before a network: uint8 in, logit out."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name=INPUT)
    return keras.Model(pixels, model(keras.layers.Rescaling(1.0)(pixels)))  # casts to float


def _convert(model: Any, info: ModelInfo) -> onnx.ModelProto:
    size = info.preprocessing.size
    signature = [tf.TensorSpec((None, size, size, 3), tf.uint8, name=INPUT)]
    try:
        proto, _ = tf2onnx.convert.from_keras(model, signature, opset=OPSET)
    except Exception as error:  # tf2onnx raises whatever an operator leads it to
        raise ExportError(f"tf2onnx cannot convert {info.backbone}: {error}") from error
    return network_of(proto)


def _logits(model: Any, pixels: NDArray[np.uint8], flip: bool) -> NDArray[np.float64]:
    """Return Keras' logits, float64 (N,); without `predict`, which would compile it first."""
    views = [pixels, pixels[:, :, ::-1]] if flip else [pixels]
    logits = [
        np.concatenate(
            [model(view[at : at + 16], training=False) for at in range(0, len(view), 16)]
        )
        for view in views
    ]
    return np.asarray(np.mean(logits, axis=0, dtype=np.float64)).ravel()


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
