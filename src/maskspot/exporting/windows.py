"""A network that looks twice: at the whole image, and in one larger pass at windows of it.

A small mask in a large scene is a few pixels of the network's input. In a pass over a larger copy
of the image, the class activation map (Zhou et al. 2016) holds a logit for each cell; its mean
over a window of cells is the logit of that part of the image alone. The log-mean-exp of all
windows, a soft maximum, is averaged with the logit of the whole image.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import helper

from maskspot.errors import ExportError
from maskspot.exporting.graph import LOGIT, make_model, prefixed, share_constants
from maskspot.exporting.heatmap import CELLS, add_cells
from maskspot.exporting.nodes import Nodes
from maskspot.exporting.shrink import shrink_nodes, shrunk
from maskspot.model.info import INPUT

ENLARGED = 7 / 4
"""Ratio of the side of the larger pass to that of the network's input, such as 448 to 256."""

STRIDE = 32
"""Pixels per cell of the last features, along each side."""

SIDES = (2 / 7, 3 / 7, 4 / 7, 5 / 7)
"""Sides of windows that `exporting.calibrating` chooses from, as shares of the side of the map."""

TEMPERATURES = (0.25, 0.5, 1.0, 2.0)
"""Temperatures of the log-mean-exp that it chooses from."""

WHOLE = "whole"
"""Output of `views_of`, beside `CELLS`: the logit of the whole image, float32 (N, 1)."""


@dataclass(frozen=True)
class Windows:
    """How a network looks twice.

    Attributes:
        size: side of the model's input, in pixels.
        cells: side of a window, in cells of the map.
        step: distance from one window to the next, in cells.
        share: weight of the windows in the logit; the rest is the weight of the whole image.
        temperature: of the log-mean-exp; near 0 it is the maximum.
    """

    size: int
    cells: int
    step: int
    share: float = 0.5
    temperature: float = 1.0

    @classmethod
    def of(cls, size: int, side: float = 4 / 7, temperature: float = 1.0) -> "Windows":
        """Return windows for the input size of a network; they overlap by three quarters."""
        large = round(size * ENLARGED)
        cells = max(1, round(side * -(-large // STRIDE)))
        return cls(large, cells, max(1, cells // 4), temperature=temperature)

    @classmethod
    def choices(cls, size: int) -> list["Windows"]:
        """Return the windows that can be chosen for the input size of a network."""
        return [cls.of(size, side, each) for side in SIDES for each in TEMPERATURES]

    def passes(self, size: int) -> int:
        """Return the cost, in passes of a network with an input size."""
        return round(1 + (self.size / size) ** 2)

    def maximum(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the soft maximum over the windows, (N,), of the logits of cells, (N, h, w)."""
        seen = sliding_window_view(cells, (self.cells, self.cells), axis=(1, 2))
        means = seen[:, :: self.step, :: self.step].mean((-1, -2))
        return soft_maximum(means.reshape(len(cells), -1), self.temperature)

    def combine(
        self, whole: NDArray[np.float64], cells: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the combined logit, (N,), of whole images, (N,), and cells, (N, h, w)."""
        return (1 - self.share) * whole + self.share * self.maximum(cells)


def soft_maximum(values: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return T log(mean(exp(v / T))) along the last axis."""
    scaled = values / temperature
    peak = scaled.max(-1)
    return np.asarray(temperature * (peak + np.log(np.exp(scaled - peak[..., None]).mean(-1))))


def views_of(whole: onnx.ModelProto, fine: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph from the larger input to the logits of the whole image and of cells.

    Args:
        whole: a network, uint8 (N, S, S, 3) `images` to float32 (N, 1) `logit`.
        fine: the same network for the larger input, uint8 (N, L, L, 3).

    Raises:
        ExportError: the network does not end in global average pooling and one dense unit.
    """
    small, large = (
        each.graph.input[0].type.tensor_type.shape.dim[1].dim_value for each in (whole, fine)
    )
    smaller = shrink_nodes(INPUT, "small", large, small)
    first = prefixed(whole.graph, "whole/", {INPUT: "small", LOGIT: WHOLE})
    second = prefixed(fine.graph, "fine/", {INPUT: INPUT, LOGIT: "fine/logit"})
    graph = helper.make_graph(
        [*smaller.nodes, *first.node, *second.node],
        "views",
        list(fine.graph.input),
        [
            helper.make_tensor_value_info(WHOLE, onnx.TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info(CELLS, onnx.TensorProto.FLOAT, ["N", "h", "w"]),
        ],
        [*smaller.constants, *first.initializer, *second.initializer],
    )
    new = Nodes("cells")
    if not add_cells(new, graph, "fine/logit"):
        raise ExportError("windows need a network that ends in average pooling and one dense unit")
    new.append_to(graph)
    share_constants(graph)
    return make_model(graph)


def windowed(views: onnx.ModelProto, windows: Windows) -> onnx.ModelProto:
    """Return a network, `images` to `logit`, that combines the views of `views_of`."""
    graph = onnx.GraphProto()
    graph.CopyFrom(views.graph)
    new = Nodes("windows")
    one, two = (new.constant([number], np.int64) for number in (1, 2))
    means = new.add(
        "AveragePool",
        new.add("Unsqueeze", CELLS, one),
        kernel_shape=[windows.cells] * 2,
        strides=[windows.step] * 2,
    )
    parts = new.add("Flatten", means, axis=1)
    scaled = new.add("Div", parts, new.constant(windows.temperature, np.float32))
    total = new.add("ReduceLogSumExp", scaled, axes=[1], keepdims=1)
    count = new.add("Slice", new.add("Shape", parts), one, two)
    mean = new.add("Log", new.add("Cast", count, to=onnx.TensorProto.FLOAT))
    soft = new.add("Sub", total, mean)
    weighted = (
        new.add("Mul", WHOLE, new.constant(1 - windows.share, np.float32)),
        new.add("Mul", soft, new.constant(windows.share * windows.temperature, np.float32)),
    )
    new.add("Add", *weighted, output=LOGIT)
    new.append_to(graph)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(LOGIT, onnx.TensorProto.FLOAT, ["N", 1]))
    return make_model(graph)


def keras_logits(
    model: Any, pixels: NDArray[np.uint8], windows: Windows, size: int
) -> NDArray[np.float64]:
    """Return the logits of a Keras network that looks twice, (N,).

    Args:
        model: of `training.network`.
        pixels: uint8 (N, L, L, 3).
        windows: how it looks at windows.
        size: side of the network's own input.
    """
    pooled = model.get_layer("pool")
    features = keras.Model(model.input, pooled.input)(pixels.astype(np.float32), training=False)
    weights, bias = model.get_layer("logit").get_weights()
    cells = np.asarray(features, np.float64) @ weights[:, 0] + bias[0]
    whole = model(shrunk(pixels, size).astype(np.float32), training=False)
    return windows.combine(np.asarray(whole, np.float64).ravel(), cells)
