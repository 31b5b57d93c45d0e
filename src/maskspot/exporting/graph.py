"""ONNX graphs: networks side by side, between the input and the outputs of a model file."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from maskspot.errors import ExportError
from maskspot.evaluation.calibration import Calibration
from maskspot.exporting.heatmap import CELLS, add_heatmap
from maskspot.exporting.nodes import Nodes
from maskspot.exporting.simplify import drop_idle_reshapes, transpose_first
from maskspot.model.info import INPUT, KEY, OUTPUT, ModelInfo

OPSET = 17
_IR_VERSION = 8  # the one of opset 17, as onnxruntime refuses versions later than its own

LOGIT = "logit"
"""The output of a network: float32 (N, 1). Its input is that of a model file."""

_MIRRORED = "images-and-mirror-images"


def compose(
    networks: Sequence[onnx.ModelProto], info: ModelInfo, calibration: Calibration, flip: bool
) -> onnx.ModelProto:
    """Return the graph of a model file: the probability of the calibrated mean of logits.

    Args:
        networks: uint8 (N, S, S, 3) `images` to float32 (N, 1) `logit`, each.
        info: the metadata of the file.
        calibration: of the mean logit.
        flip: also average over each image and its mirror image.

    Raises:
        ExportError: the ONNX checker refuses it.
    """
    source = _MIRRORED if flip else INPUT
    start = _mirror() if flip else Nodes("mirror")
    nodes, constants, logits = start.nodes, start.constants, []
    for number, network in enumerate(networks, 1):
        prefix = f"{number}/" if len(networks) > 1 else ""
        ends = {INPUT: source, LOGIT: f"{prefix}{LOGIT}", CELLS: f"{prefix}{CELLS}"}
        graph = prefixed(network.graph, prefix, ends)
        nodes += graph.node
        constants += graph.initializer
        logits.append(f"{prefix}{LOGIT}")
    size = info.preprocessing.size
    graph = helper.make_graph(
        nodes,
        "maskspot",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, ["N", 1])],
        constants,
        doc_string=info.question,
    )
    _end(logits, calibration, flip).append_to(graph)
    add_heatmap(graph, logits, calibration, flip)
    proto = make_model(graph)
    proto.producer_name, proto.producer_version = "maskspot", info.maskspot
    set_info(proto, info)
    check(proto)
    return proto


def make_model(graph: onnx.GraphProto) -> onnx.ModelProto:
    """Return a model of standard operators that old versions of onnxruntime load too."""
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION
    )


def set_info(proto: onnx.ModelProto, info: ModelInfo) -> None:
    """Set the metadata of a model file."""
    helper.set_model_props(proto, {KEY: info.to_json()})


def check(proto: onnx.ModelProto) -> None:
    """Run the ONNX checker; raises `ExportError`."""
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        text = " ".join(str(error).split())
        raise ExportError(f"the ONNX checker refuses the graph: {text}") from error


def count_parameters(graph: onnx.GraphProto) -> int:
    """Return the number of weights in a graph, in whatever precision.

    Those of int64 and bool are shapes and positions. What the converter folded into a convolution
    is not counted again.
    """
    others = (TensorProto.INT64, TensorProto.BOOL)
    return sum(prod(each.dims) for each in graph.initializer if each.data_type not in others)


def normalise_ends(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a converted graph with the names of input and output that `compose` expects.

    Raises:
        ExportError: it does not have one input and one output.
    """
    graph = proto.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise ExportError(
            f"the graph has {len(graph.input)} inputs and {len(graph.output)} outputs, not one each"
        )
    names = {graph.input[0].name: INPUT, graph.output[0].name: LOGIT}
    graph = prefixed(graph, "", names)
    transpose_first(graph)
    drop_idle_reshapes(graph)
    return make_model(graph)


def run(
    proto: onnx.ModelProto, pixels: NDArray[np.uint8], output: str = LOGIT
) -> NDArray[np.float64]:
    """Return an output of a graph for images, float64 (N,); one by one, on all cores.

    Args:
        proto: with the input of a model file.
        pixels: uint8 (N, S, S, 3).
        output: name of the output, (N, 1).
    """
    session = open_session(proto)

    def one(image: NDArray[np.uint8]) -> float:
        return float(session.run([output], {INPUT: image[None]})[0].item())

    with ThreadPoolExecutor() as pool:
        return np.fromiter(pool.map(one, pixels), np.float64, len(pixels))


def open_session(proto: onnx.ModelProto, optimized: str | None = None) -> Any:
    """Open a graph in onnxruntime, on one thread for each image.

    Args:
        proto: the graph.
        optimized: a file to write the graph to, simplified with standard operators only.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    if optimized is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = optimized
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def share_constants(graph: onnx.GraphProto) -> None:
    """Remove duplicates of constants, so that networks with the same weights store them once."""
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for tensor in list(graph.initializer):
        name, tensor.name = tensor.name, ""
        kept = first.setdefault(tensor.SerializeToString(), name)
        tensor.name = name
        if kept != name:
            same[name] = kept
            graph.initializer.remove(tensor)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]


def prefixed(graph: onnx.GraphProto, prefix: str, ends: dict[str, str]) -> onnx.GraphProto:
    """Return a copy whose names start with `prefix`, except those that `ends` renames.

    Values are numbered, as the long names of converters take much of a small file. Nodes keep
    their names, which identify layers.
    """
    names = dict(ends)

    def rename(name: str) -> str:
        # A missing optional input has no name.
        return names.setdefault(name, f"{prefix}{len(names)}") if name else name

    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    del copy.value_info[:]
    for node in copy.node:
        node.name = prefix + node.name
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]
    for value in (*copy.input, *copy.output, *copy.initializer):
        value.name = rename(value.name)
    return copy


def _mirror() -> Nodes:
    """Append the mirror images to the images: (N, S, S, 3) to (2 N, S, S, 3).

    One batch instead of two branches of the network takes the same time, and nothing is stored or
    optimised twice.
    """
    new = Nodes("mirror")
    back = (new.constant([n], np.int64) for n in (-1, -(2**31), 2, -1))
    new.add("Concat", INPUT, new.add("Slice", INPUT, *back), output=_MIRRORED, axis=0)
    return new


def _end(logits: Sequence[str], calibration: Calibration, flip: bool) -> Nodes:
    """Return nodes from logits to the probability.

    They compute in float64: in float32 a sigmoid is 1 beyond a logit of 17, an infinite log loss.
    """
    new, double = Nodes("end"), np.float64
    last = new.add("Concat", *logits, axis=1) if len(logits) > 1 else logits[0]
    last = new.add("Cast", last, to=TensorProto.DOUBLE)
    if len(logits) > 1:
        last = new.add("ReduceMean", last, axes=[1], keepdims=1)
    if flip:
        last = new.add("Reshape", last, new.constant([2, -1], np.int64))
        last = new.add("ReduceMean", last, axes=[0], keepdims=0)
        last = new.add("Reshape", last, new.constant([-1, 1], np.int64))
    if (calibration.scale, calibration.bias) != (1, 0):
        last = new.add("Mul", last, new.constant(calibration.scale, double))
        last = new.add("Add", last, new.constant(calibration.bias, double))
    if calibration.bound:
        last = new.add(
            "Mul", new.add("Sigmoid", last), new.constant(1 - 2 * calibration.bound, double)
        )
        new.add("Add", last, new.constant(calibration.bound, double), output=OUTPUT)
    else:
        new.add("Sigmoid", last, output=OUTPUT)
    return new
