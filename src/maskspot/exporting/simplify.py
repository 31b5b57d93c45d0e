"""Rewrites of converted graphs that onnxruntime would compute slowly."""

import onnx
from onnx import numpy_helper

from maskspot.model.info import INPUT

_ELEMENTWISE = ("Cast", "Mul", "Add", "Sub", "Div")
_PLANES = "planes"


def transpose_first(graph: onnx.GraphProto) -> None:
    """Move the transposition to planes before the normalisation of the input.

    onnxruntime applies constants per channel along the last axis, which is a row of a plane after
    the transposition, and only three numbers before it. All results stay the same. A graph of
    another kind is not changed.

    Args:
        graph: with the input of a model file; changed in place.
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
    drop_unused(graph)


def drop_idle_reshapes(graph: onnx.GraphProto) -> None:
    """Remove each `Reshape` to the shape that a value has, or had before it was squeezed.

    Converters write two for each squeeze-and-excitation, which force onnxruntime to reorder its
    blocks of channels and back.

    Args:
        graph: with shapes of its input and output; changed in place.
    """
    constants = {each.name: each for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    shapes = _shapes(graph)
    same: dict[str, str] = {}
    for node in [node for node in graph.node if node.op_type == "Reshape"]:
        before = same.get(node.input[0], node.input[0])
        if before in makers and makers[before].op_type == "Squeeze":
            before = makers[before].input[0]
        shape = constants.get(node.input[1])
        if shape and [None, *numpy_helper.to_array(shape)[1:]] == shapes.get(before):
            same[node.output[0]] = before
            graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    drop_unused(graph)


def _shapes(graph: onnx.GraphProto) -> dict[str, list[int | None]]:
    """Return the known shapes, with None for sizes that vary."""
    inferred = onnx.shape_inference.infer_shapes(onnx.helper.make_model(graph)).graph
    return {
        value.name: [
            each.dim_value if each.HasField("dim_value") else None
            for each in value.type.tensor_type.shape.dim
        ]
        for value in inferred.value_info
    }


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes and constants that no output depends on."""
    ends = {output.name for output in graph.output}
    while True:
        used = ends | {name for node in graph.node for name in node.input}
        idle = [node for node in graph.node if used.isdisjoint(node.output)]
        for node in idle:
            graph.node.remove(node)
        if not idle:
            break
    for constant in [each for each in graph.initializer if each.name not in used]:
        graph.initializer.remove(constant)


def _from_input(graph: onnx.GraphProto, constants: set[str]) -> list[onnx.NodeProto]:
    """Return the elementwise nodes after the input, and the transposition after them."""
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
