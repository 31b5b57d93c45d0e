"""Where a graph turns its input from pixels with three channels into three planes."""

import onnx
from onnx import numpy_helper

from maskspot.modelfile import INPUT

_ELEMENTWISE = ("Cast", "Mul", "Add", "Sub", "Div")
_PLANES = "planes"


def transpose_first(graph: onnx.GraphProto) -> None:
    """Let the input become planes before it is normalised, where converters do so after it.

    onnxruntime applies a constant for each channel in runs as long as the last axis: that is a
    row of a plane, or three numbers. Every number stays what it was. A graph of another kind is
    left as it is.

    Args:
        graph: with the contract's input; changed in place.
    """
    constants = {each.name: each for each in graph.initializer}
    chain = _from_input(graph, set(constants))
    if len(chain) < 2 or list(chain[-1].attribute[0].ints) != [0, 3, 1, 2]:  # noqa: PLR2004
        return
    *steps, transpose = chain
    planes = transpose.output[0]
    for step in steps:
        for at, name in enumerate(step.input):
            if name in constants:
                values = numpy_helper.to_array(constants[name])
                step.input[at] = f"{name}/{_PLANES}"
                across = values.reshape(-1, 1, 1) if values.ndim else values
                graph.initializer.append(numpy_helper.from_array(across, step.input[at]))
    transpose.input[0], transpose.output[0] = INPUT, _PLANES
    steps[0].input[list(steps[0].input).index(INPUT)] = _PLANES
    steps[-1].output[0] = planes
    graph.node.remove(transpose)
    graph.node.insert(0, transpose)
    used = {name for node in graph.node for name in node.input}
    for name, constant in constants.items():
        if name not in used:
            graph.initializer.remove(constant)


def _from_input(graph: onnx.GraphProto, constants: set[str]) -> list[onnx.NodeProto]:
    """Return what is done to the input, number by number, and the transposition after it."""
    chain: list[onnx.NodeProto] = []
    value = INPUT
    while True:
        users = [node for node in graph.node if value in node.input]
        if len(users) != 1 or not set(users[0].input) <= {value, *constants}:
            return []
        chain += users
        if users[0].op_type == "Transpose":
            return chain
        if users[0].op_type not in _ELEMENTWISE:
            return []
        value = users[0].output[0]
