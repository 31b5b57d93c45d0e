"""Weights and activations in 8 bits, except in the layers that lose too much."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    create_calibrator,
)

from maskspot.evaluation.calibration import Calibration
from maskspot.exporting.calibration_images import CalibrationImages
from maskspot.exporting.float16 import to_float16
from maskspot.exporting.graph import make_model, open_session, run
from maskspot.exporting.rounding import refine
from maskspot.model.info import INPUT

_WITH_WEIGHTS = ("Conv", "MatMul", "Gemm")
_BETWEEN = ("Add", "Clip", "Relu")
"""Operators between layers in 8 bits that cost nothing: activations become limits of outputs."""


@dataclass(frozen=True)
class Quantized:
    """A network in 8 bits, and the effect on its probabilities.

    Attributes:
        network: with the same inputs and outputs.
        layers: names of the layers with weights, in order.
        left_out: those of them that stay float.
        targets: of the held-back images, float64 (N,).
        before: their calibrated probabilities by the float network, float64 (N,).
        after: the same by `network`.
    """

    network: onnx.ModelProto
    layers: Sequence[str]
    left_out: Sequence[str]
    targets: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def quantize(
    network: onnx.ModelProto, images: CalibrationImages, calibration: Calibration
) -> Quantized:
    """Quantise a network: static QDQ, weights signed and per channel, activations unsigned.

    The last layer stays float, as 8 bits would give only 256 probabilities. So do the first ones:
    later layers enlarge their errors, and with few channels they are not faster in 8 bits. Their
    number is the one of `Quantizer.cuts` that changes the logits of training images least (mean
    squared error). A layer between others in 8 bits cannot stay float: onnxruntime would quantise
    its weights when it loads the file, with one scale for all channels.

    Args:
        network: uint8 (N, S, S, 3) `images` to float32 (N, 1) `logit`.
        images: to calibrate on, and to measure the result.
        calibration: of the logits.
    """
    quantizer = Quantizer(network, images.training)
    exact = run(network, images.training)

    def error(count: int) -> float:
        logits = run(quantizer.without_first(count), images.training)
        return float(np.mean((logits - exact) ** 2))

    def probabilities(proto: onnx.ModelProto) -> NDArray[np.float64]:
        return calibration.of_logits(run(proto, images.held_back))

    layers = quantizer.layers
    count = min(quantizer.cuts(), key=error)
    proto = quantizer.without_first(count)
    refine(quantizer.network, proto, layers[count:-1], images.training)
    proto = to_float16(proto)
    return Quantized(
        proto,
        layers,
        [*layers[:count], layers[-1]],
        images.targets,
        probabilities(network),
        probabilities(proto),
    )


class _Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._images = iter(pixels)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image[None]}


class Quantizer:
    """A network whose activations have been measured, so that any layers can be quantised.

    Attributes:
        network: float, simplified.
        layers: names of the layers with weights, in order.
    """

    def __init__(self, network: onnx.ModelProto, pixels: NDArray[np.uint8]) -> None:
        with tempfile.TemporaryDirectory(prefix="maskspot-") as folder:
            # Folds normalisation into convolutions, as what is left between them stays float.
            file = str(Path(folder, "folded.onnx"))
            open_session(network, optimized=file)
            folded = make_model(onnx.load(file).graph)
            self.network = onnx.shape_inference.infer_shapes(folded)
            onnx.save(self.network, file)
            calibrator = create_calibrator(
                file,
                [*_WITH_WEIGHTS, *_BETWEEN],
                augmented_model_path=str(Path(folder, "measured.onnx")),
                calibrate_method=CalibrationMethod.MinMax,
            )
            calibrator.collect_data(_Images(pixels))
            self._ranges: Any = calibrator.compute_data()
        graph = self.network.graph
        self._constants = {each.name: each for each in graph.initializer}
        self.layers = [
            node.name
            for node in graph.node
            if node.op_type in _WITH_WEIGHTS and self._constants.keys() & set(node.input)
        ]

    def cuts(self) -> list[int]:
        """Return numbers of first layers, up to a third of all, that pass few activations on.

        Converting activations to 8 bits takes time, and at the end of a block there are several
        times fewer than inside it.
        """
        shapes = {
            each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim[1:]]
            for each in self.network.graph.value_info
        }
        outputs = {node.name: node.output[0] for node in self.network.graph.node}
        sizes = [np.inf, *(np.prod(shapes.get(outputs[name], [0])) for name in self.layers)]
        counts = range(1, len(self.layers) // 3 + 1)
        return [at for at in counts if sizes[at - 1] >= sizes[at] < sizes[at + 1]] or [1]

    def without_first(self, count: int) -> onnx.ModelProto:
        """Return the network with all layers quantised except the first ones and the last."""
        layers = self.layers[count:-1]
        model = onnx.ModelProto()
        model.CopyFrom(self.network)
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            # 7 bits of weights: CPUs without VNNI add two products in 16 bits, which would
            # saturate, and give other results than other CPUs.
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[*layers, *self._between(layers)],
            nodes_to_exclude=[],
            op_types_to_quantize=[*_WITH_WEIGHTS, *_BETWEEN],
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        graph = quantizer.model.model.graph
        del graph.value_info[:]
        return make_model(graph)

    def _between(self, layers: Sequence[str]) -> list[str]:
        """Return the names of activations and sums whose inputs all come from these layers."""
        makers = {name: node.name for node in self.network.graph.node for name in node.output}
        inside = set(layers)
        for node in self.network.graph.node:
            values = [name for name in node.input if name and name not in self._constants]
            if node.op_type in _BETWEEN and all(makers.get(name) in inside for name in values):
                inside.add(node.name)
        return sorted(inside.difference(layers))
