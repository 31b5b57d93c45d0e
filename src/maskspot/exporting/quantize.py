"""Weights and activations in 8 bits, but for the layers that cannot bear it."""

import tempfile
from collections.abc import Iterator, Sequence
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
from maskspot.evaluation.logistic import sigmoid
from maskspot.evaluation.metrics import log_loss
from maskspot.exporting.compress import to_float16
from maskspot.exporting.graph import make_model, open_session, run
from maskspot.exporting.samples import Samples
from maskspot.modelfile import INPUT

_OPERATORS = ["Conv", "MatMul", "Gemm"]
_PROBES = 32
"""Training images on which each layer's sensitivity is measured."""

_ENOUGH = 0.1
"""Share of the tolerance at which no more layers are left out."""


@dataclass(frozen=True)
class Quantized:
    """A network in 8 bits, and what that did to it.

    Attributes:
        network: its ends as before.
        layers: that have weights, by name.
        left_out: those of them that stay float.
        targets: of the held-back images, float64 (N,).
        before: the float network's calibrated probabilities of them, float64 (N,).
        after: those of `network`, float64 (N,).
    """

    network: onnx.ModelProto
    layers: Sequence[str]
    left_out: Sequence[str]
    targets: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]

    @property
    def rise(self) -> float:
        """By how much log loss on the held-back images rose."""
        return log_loss(self.targets, self.after) - log_loss(self.targets, self.before)


def quantize(
    network: onnx.ModelProto, samples: Samples, calibration: Calibration, tolerance: float
) -> Quantized:
    """Quantise a network: static QDQ, weights signed and per channel, activations unsigned.

    Each layer is first quantised alone, and the mean squared error of the logit that it causes on
    training images ranks it. Then all are quantised but the worst 0, 1, 2, 4, 8, ..., half, until
    log loss on the held-back images rises by no more than a tenth of the tolerance; where it
    never does, the least rise of these is taken, whatever it is.

    Args:
        network: uint8 (N, S, S, 3) `images` to float32 (N, 1) `logit`.
        samples: to calibrate on, and to judge by.
        calibration: of the logits.
        tolerance: the rise of log loss that will be accepted.
    """
    quantizer = _Quantizer(network, samples.training)
    probes = samples.training[:: max(len(samples.training) // _PROBES, 1)]
    exact = run(network, probes)

    def harm(layer: str) -> float:
        return float(np.mean((run(quantizer.only([layer]), probes) - exact) ** 2))

    ranked = sorted(quantizer.layers, key=harm, reverse=True)

    def probabilities(proto: onnx.ModelProto) -> NDArray[np.float64]:
        return sigmoid(calibration.scale * run(proto, samples.held_back) + calibration.bias)

    before = probabilities(network)
    best: Quantized | None = None
    for count in _counts(len(ranked)):
        proto = quantizer.only(ranked[count:])
        after = probabilities(proto)
        trial = Quantized(proto, ranked, ranked[:count], samples.targets, before, after)
        if best is None or trial.rise < best.rise:
            best = trial
        if best.rise <= _ENOUGH * tolerance:
            break
    assert best is not None
    return best


def _counts(layers: int) -> Iterator[int]:
    """Yield 0, 1, 2, 4, 8, ... up to half of the layers."""
    yield 0
    count = 1
    while count <= layers // 2:
        yield count
        count *= 2


class _Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._images = iter(pixels)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image[None]}


class _Quantizer:
    """A network whose activations have been measured: any of its layers can be quantised."""

    def __init__(self, network: onnx.ModelProto, pixels: NDArray[np.uint8]) -> None:
        with tempfile.TemporaryDirectory(prefix="maskspot-") as folder:
            # Norms folded into convolutions: what is left between would stay float.
            file = str(Path(folder, "folded.onnx"))
            open_session(network, optimized=file)
            folded = make_model(onnx.load(file).graph)
            self._network = onnx.shape_inference.infer_shapes(folded)
            onnx.save(self._network, file)
            calibrator = create_calibrator(
                file,
                _OPERATORS,
                augmented_model_path=str(Path(folder, "measured.onnx")),
                calibrate_method=CalibrationMethod.MinMax,
            )
            calibrator.collect_data(_Images(pixels))
            self._ranges: Any = calibrator.compute_data()
        constants = {each.name for each in self._network.graph.initializer}
        self.layers = [
            node.name
            for node in self._network.graph.node
            if node.op_type in _OPERATORS and constants & set(node.input)
        ]

    def only(self, layers: Sequence[str]) -> onnx.ModelProto:
        """Return the network with these layers quantised."""
        if not layers:
            return self._network
        model = onnx.ModelProto()
        model.CopyFrom(self._network)
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            # 7 bits of weights: CPUs without VNNI add two products in 16 bits, and would
            # saturate; so a file says the same on all.
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=list(layers),
            nodes_to_exclude=[],
            op_types_to_quantize=_OPERATORS,
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        graph = quantizer.model.model.graph
        del graph.value_info[:]
        return to_float16(make_model(graph))
