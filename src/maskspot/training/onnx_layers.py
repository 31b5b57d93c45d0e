"""The weights of the graph of a model file, layer by layer, in the layout of Keras."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from maskspot.model.info import HEATMAP

Array = NDArray[Any]


@dataclass(frozen=True)
class LinearLayer:
    """A layer of a graph, with the multiplications and additions of constants after it.

    Attributes:
        kernel: in the order of axes of Keras: (H, W, in, out); of a depthwise layer
            (H, W, in, 1), of a dense one (in, out).
        bias: (out,).
        output: name of its result in the graph.
    """

    kernel: Array
    bias: Array
    output: str


def linear_layers(graph: onnx.GraphProto) -> Iterator[LinearLayer]:
    """Yield a graph's convolutions and products by constant matrices, in order.

    Their order in the graph is that of the layers, as each depends on the one before. Constants
    that are multiplied with a layer's result or added to it become part of the layer. The
    convolution of the heatmap, which repeats the weights of the last layer, is left out.
    """
    constants = _constants(graph)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.node:
        if node.op_type not in ("Conv", "MatMul", "Gemm") or node.input[1] not in constants:
            continue
        if node.output[0].startswith(HEATMAP):
            continue
        linear = _linear(node, constants)
        while len(after := readers.get(linear.output, [])) == 1:
            taken = _merge(linear, after[0], constants)
            if taken is None:
                break
            linear = taken
        yield linear


def _constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """Return the constants of a graph by name, and the results of nodes with constant inputs.

    Among these are weights that are stored as float16 and cast to float32.
    """
    known: dict[str, Array] = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
    }
    for node in graph.node:
        if all(name in known for name in node.input if name):
            feeds = {name: known[name] for name in node.input if name}
            values = ReferenceEvaluator(node).run(None, feeds)
            known |= dict(zip(node.output, values, strict=True))
    return known


def _linear(node: onnx.NodeProto, constants: dict[str, Array]) -> LinearLayer:
    kernel = constants[node.input[1]]
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "Conv":
        out = len(kernel)
        depthwise = attributes.get("group", 1) > 1
        kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    else:
        kernel = kernel.T if attributes.get("transB") else kernel
        out = kernel.shape[-1]
    named = len(node.input) > 2 and node.input[2]  # noqa: PLR2004
    bias = constants[node.input[2]] if named else np.zeros(out, np.float32)
    return LinearLayer(kernel, bias.reshape(out), node.output[0])


def _merge(
    linear: LinearLayer, node: onnx.NodeProto, constants: dict[str, Array]
) -> LinearLayer | None:
    """Return a layer with the multiplication or addition after it; None if the node is neither."""
    values = [constants[name] for name in node.input if name in constants]
    if node.op_type not in ("Mul", "Add") or len(values) != 1:
        return None
    if values[0].size not in (1, len(linear.bias)):
        return None
    value, output = values[0].ravel(), node.output[0]
    if node.op_type == "Add":
        return replace(linear, bias=linear.bias + value, output=output)
    kernel = linear.kernel
    by_channel = value if kernel.shape[-1] == len(linear.bias) else value[:, None]  # depthwise
    return LinearLayer(kernel * by_channel, linear.bias * value, output)
