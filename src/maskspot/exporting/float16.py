"""Weights stored as float16, in half the bytes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from maskspot.exporting.graph import check

SHARES = (0.05, 0.1, 0.2, 0.3)
"""Shares of the weights that stay float32, tried in order until the error is small enough."""

_ROUNDING = 2.0**-11
"""Relative error of float16, for numbers in its normal range."""


def to_float16(proto: onnx.ModelProto, share: float = SHARES[0]) -> onnx.ModelProto:
    """Return the graph with its large float32 weights stored as float16.

    A `Cast` after each restores float32; onnxruntime does that once, when it loads the file, so
    it computes in float32 with rounded weights. The smallest tensors stay float32, and of equal
    ones the earliest: first layers, depthwise kernels, normalisation and biases, whose errors
    later layers enlarge, and which take few bytes. So does a tensor for which float16 loses more
    than its rounding: with values beyond 65504, or all below 0.00006.

    Args:
        proto: a checked graph, which is not changed.
        share: minimum share of all weights that stays float32.

    Raises:
        ExportError: the ONNX checker refuses the result.
    """
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graph = result.graph
    casts = []
    for tensor in _large(graph, share):
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not _holds(values, half):
            continue
        name = tensor.name
        casts.append(
            helper.make_node("Cast", [f"{name}/16"], [name], f"{name}/32", to=TensorProto.FLOAT)
        )
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}/16"))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    check(result)
    return result


def _large(graph: onnx.GraphProto, share: float) -> Iterator[Any]:
    """Yield float32 initializers, except the smallest that are a share of all together."""
    first_use: dict[str, int] = {}
    fixed = set()
    for at, node in enumerate(graph.node):
        for name in node.input:
            first_use.setdefault(name, at)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            fixed.update(node.input)  # scales of int8, which onnxruntime needs as constants
    tensors = [
        (int(np.prod(tensor.dims)), first_use.get(tensor.name, 0), tensor)
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in fixed
    ]
    tensors.sort(key=lambda each: each[:2])
    left = share * sum(size for size, _, _ in tensors)
    for size, _, tensor in tensors:
        left -= size
        if left < 0:
            yield tensor


def _holds(values: NDArray[np.float32], half: NDArray[np.float16]) -> bool:
    """Return whether the error is at most the rounding of the largest value in float16."""
    error = np.abs(values - half.astype(np.float32)).max()  # infinite after an overflow
    return bool(error <= _ROUNDING * np.abs(values).max())
