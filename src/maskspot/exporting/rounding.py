"""Integer weights chosen by the outputs of a layer, not by its float weights.

Layer by layer, from the first: least squares of the outputs of the float layer from the inputs of
the 8-bit layer, so that a layer compensates for those before it; then rounding column by column,
where the error of each is passed on to those that follow (GPTQ: Frantar et al. 2022,
arXiv:2210.17323).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from maskspot.exporting.graph import open_session
from maskspot.model.info import INPUT

_Array = NDArray[np.float64]

_POSITIONS = 64
"""Positions of an image that a layer is fitted on, as neighbours are much the same."""

_DAMPING = 0.01
"""Share of the mean variance of inputs that is added to each, as in GPTQ."""

_MOST = 64
"""Largest absolute value of a weight of 7 bits in the quantiser of onnxruntime."""


def refine(
    network: onnx.ModelProto,
    quantized: onnx.ModelProto,
    layers: Sequence[str],
    pixels: NDArray[np.uint8],
) -> None:
    """Replace the integers of 8-bit convolutions by better ones.

    Args:
        network: the float network.
        quantized: the same in 8 bits (QDQ), with the same names of nodes; changed in place.
        layers: names of the layers in 8 bits, in order.
        pixels: uint8 (N, S, S, 3), images to fit on.
    """
    nodes = {node.name: node for node in network.graph.node}
    for name in layers:
        layer = _Layer.find(quantized, name)
        if layer is not None:
            moments = _measure(network, nodes[name].output[0], quantized, layer, pixels)
            layer.fit(moments, _array(network, nodes[name].input[1]))


@dataclass(frozen=True)
class _Moments:
    """Means and covariances of the inputs of a layer, x (G, K), and its outputs, y (G, C)."""

    x: _Array
    y: _Array
    xx: _Array
    yx: _Array


@dataclass(frozen=True)
class _Layer:
    """A convolution in 8 bits, with G groups of channels, each from K numbers to C.

    Attributes:
        node: whose inputs are the dequantised input, weights and bias.
        groups: G.
        weights: inputs of DequantizeLinear: int8 (G C, D, H, W), and scales (G C,).
        bias: the same for the bias, int32 (G C,).
        stride: vertical, horizontal.
        pads: top, left, bottom, right.
    """

    node: onnx.NodeProto
    groups: int
    weights: Sequence[onnx.TensorProto]
    bias: Sequence[onnx.TensorProto]
    stride: Sequence[int]
    pads: Sequence[int]

    @classmethod
    def find(cls, quantized: onnx.ModelProto, name: str) -> "_Layer | None":
        """Return the layer of this name; None if it is of another kind."""
        node = next(node for node in quantized.graph.node if node.name == name)
        facts = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        plain = set(facts.get("dilations", [1])) == {1}
        plain &= facts.get("auto_pad", b"NOTSET") == b"NOTSET"
        if node.op_type != "Conv" or len(node.input) != 3 or not plain:  # noqa: PLR2004
            return None
        makers = {value: each for each in quantized.graph.node for value in each.output}
        constants = {each.name: each for each in quantized.graph.initializer}
        weights, bias = (
            [constants[value] for value in makers[value].input[:2]] for value in node.input[1:]
        )
        stride, pads = facts.get("strides", [1, 1]), facts.get("pads", [0, 0, 0, 0])
        return cls(node, facts.get("group", 1), weights, bias, stride, pads)

    def windows(self, values: NDArray[np.float32], rows: Any, columns: Any) -> NDArray[np.float32]:
        """Return the inputs of the kernel at P positions of the output, (G, P, K), for an image."""
        top, left, bottom, right = self.pads
        height, width = self.weights[0].dims[2:]
        padded = np.pad(values, ((0, 0), (top, bottom), (left, right)))
        views = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2))
        seen = views[:, rows * self.stride[0], columns * self.stride[1]]
        split = seen.reshape(self.groups, -1, *seen.shape[1:])
        return split.transpose(0, 2, 1, 3, 4).reshape(self.groups, len(rows), -1)

    def fit(self, moments: _Moments, weights: _Array) -> None:
        """Choose weights and bias that reproduce the float layer, whose weights are given."""
        scales = numpy_helper.to_array(self.weights[1]).astype(np.float64).reshape(self.groups, -1)
        flat = weights.reshape(*scales.shape, -1)
        width = flat.shape[2]
        variance = np.trace(moments.xx, axis1=1, axis2=2) / width
        spread = moments.xx + np.eye(width) * (_DAMPING * variance + 1e-12)[:, None, None]
        error = moments.yx - flat @ moments.xx
        flat = flat + np.linalg.solve(spread, error.transpose(0, 2, 1)).transpose(0, 2, 1)
        chosen = round_columns(flat, spread, scales)
        offsets = moments.y - (chosen * scales[..., None] @ moments.x[..., None])[..., 0]
        limit = np.iinfo(np.int32)
        whole = np.rint(offsets.ravel() / numpy_helper.to_array(self.bias[1]))
        _set(self.weights[0], chosen.astype(np.int8))
        _set(self.bias[0], whole.clip(limit.min, limit.max).astype(np.int32))


def round_columns(weights: _Array, spread: _Array, scales: _Array) -> _Array:
    """Return integers of 7 bits, (G, C, K), which times their scales are near the weights.

    Args:
        weights: (G, C, K).
        spread: covariance of their inputs, (G, K, K), positive definite.
        scales: (G, C).
    """
    # What matters most comes first, while many weights can still be adjusted.
    order = np.argsort(-np.diagonal(spread, axis1=1, axis2=2), axis=1)
    left = np.take_along_axis(weights, order[:, None], 2)
    sorted_spread = np.take_along_axis(spread, order[:, :, None], 1)
    sorted_spread = np.take_along_axis(sorted_spread, order[:, None], 2)
    factors = np.linalg.cholesky(np.linalg.inv(sorted_spread)).transpose(0, 2, 1)
    chosen = np.empty_like(left)
    for at in range(left.shape[2]):
        column, rows = left[:, :, at], factors[:, at, None]
        chosen[:, :, at] = np.rint(column / scales).clip(-_MOST, _MOST)
        error = (column - chosen[:, :, at] * scales) / rows[:, :, at]
        left[:, :, at + 1 :] -= error[..., None] * rows[:, :, at + 1 :]
    return np.take_along_axis(chosen, np.argsort(order, axis=1)[:, None], 2)


def _measure(
    network: onnx.ModelProto,
    output: str,
    quantized: onnx.ModelProto,
    layer: _Layer,
    pixels: NDArray[np.uint8],
) -> _Moments:
    """Return moments of inputs in 8 bits and of float outputs, at positions of images."""
    gets = open_session(_ending(quantized, layer.node.input[0]))
    gives = open_session(_ending(network, output))

    def look(number: int) -> Sequence[Any]:
        image = {INPUT: pixels[number][None]}
        y = gives.run(None, image)[0][0]
        places = np.random.default_rng(number).permutation(y[0].size)[:_POSITIONS]
        rows, columns = np.unravel_index(places, y.shape[1:])
        x = layer.windows(gets.run(None, image)[0][0], rows, columns)
        y = y[:, rows, columns].reshape(layer.groups, -1, len(rows))
        return x.mean(1), y.mean(2), x.transpose(0, 2, 1) @ x / len(rows), y @ x / len(rows)

    with ThreadPoolExecutor() as pool:
        x, y, xx, yx = _means(pool.map(look, range(len(pixels))), len(pixels))
    return _Moments(x, y, xx - x[:, :, None] * x[:, None], yx - y[:, :, None] * x[:, None])


def _means(each: Iterator[Sequence[Any]], count: int) -> Sequence[_Array]:
    totals: Sequence[Any] = [0.0] * 4
    for values in each:
        totals = [
            total + value.astype(np.float64) for total, value in zip(totals, values, strict=True)
        ]
    return [total / count for total in totals]


def _ending(model: onnx.ModelProto, value: str) -> onnx.ModelProto:
    """Return a copy whose only output is this value."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.append(helper.make_empty_tensor_value_info(value))
    return copy


def _array(model: onnx.ModelProto, name: str) -> _Array:
    tensor = next(each for each in model.graph.initializer if each.name == name)
    return np.asarray(numpy_helper.to_array(tensor), np.float64)


def _set(tensor: onnx.TensorProto, values: NDArray[Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values.reshape(tensor.dims), tensor.name))
