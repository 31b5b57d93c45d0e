"""A run's network to one ONNX file, written only once it is shown to be the same network."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from maskspot.errors import DataError, ExportError, MaskspotError
from maskspot.files import replacing
from maskspot.images import Preprocessing
from maskspot.modelfile import INPUT, KEY, OUTPUT, ModelInfo
from maskspot.predictor import Predictor
from maskspot.training import network
from maskspot.training.run import Run

TOLERANCE = 1e-4
"""How far onnxruntime's probability of a check image may be from Keras'."""

_OPSET = 17


def export(run: Run, output: Path, name: str | None = None) -> tuple[ModelInfo, float]:
    """Write a run's network as a model file.

    Args:
        run: a finished run.
        output: the file to write.
        name: of the model; the file's own without its ending if None.

    Returns:
        What the file says of itself, and the largest difference of its probabilities from
        Keras' on the run's check images.

    Raises:
        DataError: the run is not finished.
        ExportError: the file would not be the same network; nothing was written.
    """
    metrics = run.metrics()
    if metrics is None:
        raise DataError(f"{run.folder}: not finished; go on with train --resume {run.folder}")
    info = _info(run, metrics, name or output.stem)
    pixels = run.check_pixels()
    model = _serving(network.load(run.kept()), info.preprocessing.size)
    proto = _convert(model, info)
    with replacing(output) as beside:
        beside.write_bytes(proto.SerializeToString())
        return info, verify(model, beside, pixels)


def verify(model: Any, file: Path, pixels: NDArray[np.uint8]) -> float:
    """Return the largest difference between Keras' and the file's probabilities.

    Args:
        model: the Keras network, uint8 (N, S, S, 3) to probabilities (N, 1).
        file: the model file.
        pixels: uint8 (N, S, S, 3), real images.

    Raises:
        ExportError: it is above `TOLERANCE`, or the file cannot be loaded.
    """
    try:
        ours = Predictor(file).probabilities(pixels)
    except MaskspotError as error:
        raise ExportError(f"onnxruntime refuses the exported graph: {error}") from error
    difference = float(np.abs(model.predict(pixels, verbose=0)[:, 0] - ours).max())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"Keras and onnxruntime differ by {difference:.1e} on {len(pixels)} images, "
            f"more than {TOLERANCE:g}: nothing was written"
        )
    return difference


def _info(run: Run, metrics: dict[str, Any], name: str) -> ModelInfo:
    settings = run.settings
    return ModelInfo(
        name=name,
        preprocessing=Preprocessing(settings.size, settings.fit, settings.filter),
        backbone=settings.backbone,
        metrics=metrics["validation"],
        training={
            "weights": Path(settings.weights).name,
            "data": [path.name for path in run.data],
            "epoch": metrics.get("kept_epoch"),
            "settings": run.read_json("settings.json") | {"weights": Path(settings.weights).name},
        },
    )


def _serving(model: Any, size: int) -> Any:
    """Put the contract's ends on a network: uint8 in, probability out."""
    pixels = keras.Input((size, size, 3), dtype="uint8", name=INPUT)
    x = keras.layers.Rescaling(1.0)(pixels)  # casts to float
    # In float64: in float32 a sigmoid is 0 or 1 beyond a logit of 17, an infinite log loss.
    sigmoid = keras.layers.Activation("sigmoid", name=OUTPUT, dtype="float64")
    return keras.Model(pixels, sigmoid(model(x)))


def _convert(model: Any, info: ModelInfo) -> onnx.ModelProto:
    size = info.preprocessing.size
    signature = [tf.TensorSpec((None, size, size, 3), tf.uint8, name=INPUT)]
    try:
        proto, _ = tf2onnx.convert.from_keras(model, signature, opset=_OPSET)
    except Exception as error:  # tf2onnx raises whatever an operator leads it to
        raise ExportError(f"tf2onnx cannot convert {info.backbone}: {error}") from error
    graph = proto.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise ExportError(
            f"the graph has {len(graph.input)} inputs and {len(graph.output)} outputs, not one each"
        )
    _rename(graph, graph.input[0].name, INPUT)
    _rename(graph, graph.output[0].name, OUTPUT)
    proto.producer_name, proto.producer_version = "maskspot", info.maskspot
    graph.name, graph.doc_string = "maskspot", info.question
    onnx.helper.set_model_props(proto, {KEY: info.to_json()})
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the ONNX checker refuses the graph: {error}") from error
    return proto


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename an input or output wherever the graph names it: converters' own names vary."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*graph.input, *graph.output):
        if value.name == old:
            value.name = new
            value.type.tensor_type.shape.dim[0].dim_param = "N"
