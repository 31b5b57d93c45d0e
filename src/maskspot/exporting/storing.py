"""Graphs written as model files: verified, and with weights stored in fewer bits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from maskspot.errors import ExportError, MaskspotError
from maskspot.evaluation.calibration import Calibration
from maskspot.evaluation.metrics import log_loss
from maskspot.exporting.calibration_images import read_calibration_images
from maskspot.exporting.float16 import SHARES, to_float16
from maskspot.exporting.quantize import Quantized, quantize
from maskspot.model.predictor import Predictor
from maskspot.training.run import Run

TOLERANCE = 1e-4
"""Maximum difference of a probability in onnxruntime from that in Keras, in float32."""

HALF_TOLERANCE = 1e-3
"""Maximum change of a probability when weights are stored as float16."""

FLOAT32 = {"weights": "float32"}
"""Metadata of a file whose weights are stored in full precision."""

Probabilities = NDArray[np.float64]


def write_and_predict(
    proto: onnx.ModelProto, file: Path, pixels: NDArray[np.uint8]
) -> Probabilities:
    """Write a graph as a model file, and return the probabilities of a predictor that loads it.

    Raises:
        ExportError: onnxruntime cannot load the graph.
    """
    file.write_bytes(proto.SerializeToString())
    try:
        return Predictor(file).probabilities(pixels)
    except MaskspotError as error:
        raise ExportError(f"onnxruntime refuses the exported graph: {error}") from error


def verify(expected: Probabilities, actual: Probabilities) -> float:
    """Return the largest difference of probabilities in onnxruntime from those in Keras.

    Raises:
        ExportError: it is larger than `TOLERANCE`.
    """
    difference = float(np.abs(expected - actual).max())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"Keras and onnxruntime differ by {difference:.1e} on {len(actual)} images, "
            f"more than {TOLERANCE:g}: nothing was written"
        )
    return difference


def store_as_float16(
    exact: onnx.ModelProto, file: Path, pixels: NDArray[np.uint8], expected: Probabilities
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Store as many weights in float16 as change no probability by more than `HALF_TOLERANCE`.

    Args:
        exact: the graph in float32.
        file: scratch file.
        pixels: check images, uint8 (N, S, S, 3).
        expected: probabilities of the graph in float32, (N,).

    Returns:
        The graph, which is the one in float32 if all choices change too much, and its metadata.
    """
    change = np.inf
    for share in SHARES:
        proto = to_float16(exact, share)
        change = float(np.abs(write_and_predict(proto, file, pixels) - expected).max())
        if change <= HALF_TOLERANCE:
            return proto, {"weights": "float16", "float32_share": share, "difference": change}
    return exact, {**FLOAT32, "float16_difference": change}


def quantize_all(
    runs: Sequence[Run],
    networks: Sequence[onnx.ModelProto],
    calibration: Calibration,
    tolerance: float,
) -> tuple[list[onnx.ModelProto], dict[str, Any]]:
    """Quantise the network of each run, and measure it on images that it never saw.

    Returns:
        The networks in 8 bits, and the metadata of the file.

    Raises:
        ExportError: together they raise the log loss by more than the tolerance.
        DataError: the images of a run are missing.
    """
    results = [
        quantize(proto, read_calibration_images(run), calibration)
        for run, proto in zip(runs, networks, strict=True)
    ]
    facts = _int8_facts(results)
    rise = facts["after"] - facts["before"]
    if not rise <= tolerance:
        raise ExportError(
            f"int8 raises log loss on {facts['images']} held-back images by {rise:.4f}, more than "
            f"`int8_tolerance={tolerance:g}`: nothing was written; export without `int8`"
        )
    return [each.network for each in results], facts


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
