"""The class activation map as an output of the graph: what each cell adds to the logit.

Behind global average pooling and one dense unit the map is exact (Zhou et al. 2016, "Learning Deep
Features for Discriminative Localization"): the logit is the dense unit's bias and the sum, over
the cells, of a cell's features times the unit's weights by the number of cells.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from maskspot.evaluation.calibration import Calibration
from maskspot.exporting.nodes import Nodes
from maskspot.model.info import HEATMAP

_FLATTENING = ("Squeeze", "Reshape", "Flatten")


CELLS = "cells"
"""Logits of cells, float32 (N, h, w), in graphs that compute them; their mean is the logit."""


def add_heatmap(
    graph: onnx.GraphProto, logits: Sequence[str], calibration: Calibration, flip: bool
) -> bool:
    """Add the output `heatmap` to a graph: float32 (N, h, w), what each cell adds to the logit.

    The sum is the logit of the probability minus a constant, which is the same for all images.

    Args:
        graph: of one or more networks; changed in place.
        logits: outputs of the networks, (N, 1) each; their mean is the logit of the graph.
        calibration: of that mean.
        flip: whether each network sees all images and then all mirror images.

    Returns:
        False if a network does not end in global average pooling and one dense unit; nothing is
        changed then.
    """
    new = Nodes(HEATMAP)
    maps = [_map(new, graph, logit) for logit in logits]
    if None in maps:
        return False
    last = new.add("Mean", *(each for each in maps if each is not None))
    if flip:
        last = _unflip(new, last)
    new.add("Mul", last, new.constant(calibration.scale, np.float32), output=HEATMAP)
    new.append_to(graph)
    shape = ["N", "height", "width"]
    graph.output.append(helper.make_tensor_value_info(HEATMAP, onnx.TensorProto.FLOAT, shape))
    return True


def add_cells(new: Nodes, graph: onnx.GraphProto, logit: str) -> bool:
    """Add the logit of each cell, (N, h, w) `cells`; False if the network ends otherwise."""
    end = _end_of(graph, logit)
    if end is None:
        return False
    features, weights, bias = end
    new.add("Add", _totals(new, features, weights), bias, output=CELLS)
    return True


def _map(new: Nodes, graph: onnx.GraphProto, logit: str) -> str | None:
    """Add what each cell adds to a network's logit, (N, h, w); None if that is not known."""
    cells = logit.removesuffix("logit") + CELLS
    if any(cells in node.output for node in graph.node):
        totals = cells
    elif (end := _end_of(graph, logit)) is not None:
        totals = _totals(new, *end[:2])
    else:
        return None
    shape = new.add(
        "Slice", new.add("Shape", totals), *(new.constant([n], np.int64) for n in (1, 3))
    )
    count = new.add("Cast", new.add("ReduceProd", shape, keepdims=0), to=onnx.TensorProto.FLOAT)
    return new.add("Div", totals, count)


def _totals(new: Nodes, features: str, weights: str) -> str:
    """Add the features of each cell times the weights of the last layer, (N, h, w)."""
    # A convolution with a 1 x 1 kernel, as a product and a sum would be much slower.
    kernel = new.add("Reshape", weights, new.constant([1, -1, 1, 1], np.int64))
    return new.add("Squeeze", new.add("Conv", features, kernel), new.constant([1], np.int64))


def _end_of(graph: onnx.GraphProto, logit: str) -> tuple[str, str, str] | None:
    """Return the names of the last features, and of the last layer's weights and bias."""
    makers = {name: node for node in graph.node for name in node.output}

    def maker(names: Sequence[str], *kinds: str) -> onnx.NodeProto | None:
        found = [makers[name] for name in names if name in makers]
        return next((node for node in found if node.op_type in kinds), None)

    biased = maker([logit], "Add", "Gemm")
    if biased is None:
        return None
    dense = biased if biased.op_type == "Gemm" else maker(biased.input, "MatMul")
    below = maker(dense.input[:1], "GlobalAveragePool", *_FLATTENING) if dense else None
    while below is not None and below.op_type in _FLATTENING:
        below = maker(below.input[:1], "GlobalAveragePool", *_FLATTENING)
    if dense is None or below is None:
        return None
    added = (name for name in biased.input if name not in dense.output)
    bias = biased.input[2] if biased.op_type == "Gemm" else next(added)
    return below.input[0], dense.input[1], bias


def _unflip(new: Nodes, maps: str) -> str:
    """Average the maps of images with the mirrored maps of their mirror images."""
    zero, one, two = (new.constant(number, np.int64) for number in (0, 1, [2]))
    height_width = new.add(
        "Slice", new.add("Shape", maps), new.constant([1], np.int64), new.constant([3], np.int64)
    )
    shape = new.add("Concat", two, new.constant([-1], np.int64), height_width, axis=0)
    halves = new.add("Reshape", maps, shape)
    back = (new.constant([n], np.int64) for n in (-1, -(2**31), 2, -1))
    mirrored = new.add("Slice", new.add("Gather", halves, one, axis=0), *back)
    return new.add("Mean", new.add("Gather", halves, zero, axis=0), mirrored)
