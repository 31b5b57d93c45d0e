"""The weights of a model file's graph, layer by layer, as Keras would hold them."""

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
class Linear:
    """A layer of a graph with all that is constant after it.

    Attributes:
        kernel: in Keras' order of axes: (H, W, in, out), depthwise (H, W, in, 1), dense (in, out).
        bias: (out,).
        output: the name of its result in the graph.
    """

    kernel: Array
    bias: Array
    output: str


def linears(graph: onnx.GraphProto) -> Iterator[Linear]:
    """Yield a graph's convolutions and products by constant matrices, in order.

    The graph's order is that of the layers, since each layer's input hangs on the one before.
    What multiplies or adds constants to a layer's result is taken into the layer. The heatmap's
    convolution, which has the last layer's weights again, is left out.
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
            taken = _take(linear, after[0], constants)
            if taken is None:
                break
            linear = taken
        yield linear


def _constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """Return the graph's constants by name, and what its nodes make of constants alone.

    Among these are the casts of weights that are stored as float16.
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


def _linear(node: onnx.NodeProto, constants: dict[str, Array]) -> Linear:
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
    return Linear(kernel, bias.reshape(out), node.output[0])


def _take(linear: Linear, node: onnx.NodeProto, constants: dict[str, Array]) -> Linear | None:
    """Return a layer with the multiplication or addition after it; None if it is no such thing."""
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
    return Linear(kernel * by_channel, linear.bias * value, output)
