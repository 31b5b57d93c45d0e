"""The class activation map as an output of the graph: what each cell of an image adds to the logit.

Behind global average pooling and one dense unit the map is exact (Zhou et al. 2016, "Learning Deep
Features for Discriminative Localization"): the logit is the dense unit's bias and the sum, over
the cells, of a cell's features times the unit's weights by the number of cells.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from maskspot.evaluation.calibration import Calibration
from maskspot.modelfile import HEATMAP

_FLATTENING = ("Squeeze", "Reshape", "Flatten")


class Heatmap:
    """Nodes that give a map, in the making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node, and return its output's name."""
        name = output or f"{HEATMAP}/{len(self.nodes)}-{operator}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, values: Any, dtype: Any) -> str:
        """Add a constant, and return its name."""
        name = f"{HEATMAP}/constant-{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name


def add_heatmap(
    graph: onnx.GraphProto, logits: Sequence[str], calibration: Calibration, flip: bool
) -> bool:
    """Give a graph the output `heatmap`: float32 (N, h, w), logits that add up to its own.

    Their sum is the logit of the probability less a constant, which is the same for all images.

    Args:
        graph: of one or more networks; changed in place.
        logits: the networks' outputs, (N, 1) each; their mean is the graph's logit.
        calibration: of that mean.
        flip: each network sees all images and then all mirror images.

    Returns:
        False where a network does not end in global average pooling and one dense unit: then
        nothing has changed.
    """
    new = Heatmap()
    maps = [_map(new, graph, logit) for logit in logits]
    if None in maps:
        return False
    last = new.add("Mean", *(each for each in maps if each is not None))
    if flip:
        last = _unflip(new, last)
    new.add("Mul", last, new.constant(calibration.scale, np.float32), output=HEATMAP)
    graph.node.extend(new.nodes)
    graph.initializer.extend(new.constants)
    shape = ["N", "height", "width"]
    graph.output.append(helper.make_tensor_value_info(HEATMAP, onnx.TensorProto.FLOAT, shape))
    return True


def _map(new: Heatmap, graph: onnx.GraphProto, logit: str) -> str | None:
    """Add what each cell adds to a network's logit, (N, h, w); None where that is not known."""
    makers = {name: node for node in graph.node for name in node.output}

    def maker(names: Sequence[str], *kinds: str) -> onnx.NodeProto | None:
        found = [makers[name] for name in names if name in makers]
        return next((node for node in found if node.op_type in kinds), None)

    biased = maker([logit], "Add", "Gemm")
    dense = maker(biased.input, "MatMul") if biased and biased.op_type == "Add" else biased
    below = maker(dense.input[:1], "GlobalAveragePool", *_FLATTENING) if dense else None
    while below is not None and below.op_type in _FLATTENING:
        below = maker(below.input[:1], "GlobalAveragePool", *_FLATTENING)
    if dense is None or below is None:
        return None
    # A convolution of single cells, as a product and a sum would take as long as a layer.
    weights = new.add("Reshape", dense.input[1], new.constant([1, -1, 1, 1], np.int64))
    maps = new.add("Conv", below.input[0], weights)
    total = new.add("Squeeze", maps, new.constant([1], np.int64))
    shape = new.add(
        "Slice", new.add("Shape", total), *(new.constant([n], np.int64) for n in (1, 3))
    )
    cells = new.add("Cast", new.add("ReduceProd", shape, keepdims=0), to=onnx.TensorProto.FLOAT)
    return new.add("Div", total, cells)


def _unflip(new: Heatmap, maps: str) -> str:
    """Average the maps of images with those of their mirror images, turned back."""
    zero, one, two = (new.constant(number, np.int64) for number in (0, 1, [2]))
    height_width = new.add(
        "Slice", new.add("Shape", maps), new.constant([1], np.int64), new.constant([3], np.int64)
    )
    shape = new.add("Concat", two, new.constant([-1], np.int64), height_width, axis=0)
    halves = new.add("Reshape", maps, shape)
    back = (new.constant([n], np.int64) for n in (-1, -(2**31), 2, -1))
    mirrored = new.add("Slice", new.add("Gather", halves, one, axis=0), *back)
    return new.add("Mean", new.add("Gather", halves, zero, axis=0), mirrored)
