"""A smaller copy of the input inside the graph, with the weights of Pillow's bilinear filter.

The antialiased `Resize` of ONNX needs opset 18 and is slow in onnxruntime. If the sizes are in the
ratio p to q, every p rows of the larger image become q rows of the smaller one by the same
weights, which is a convolution with stride p and q channels.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from maskspot.exporting.nodes import Nodes

_NUDGE = 2.0**-10
"""Added before rounding: with simple fractions as weights, many values lie halfway between levels,
where the last bit of a sum would decide."""


def filter_weights(large: int, small: int) -> NDArray[np.float64]:
    """Return the weights of each pixel of a line in each pixel of a shorter one, (small, large).

    They are those of Pillow's `Image.Resampling.BILINEAR`: a triangle as wide as two pixels of
    the shorter line, cut off at the ends.
    """
    scale = large / small
    centres = (np.arange(small) + 0.5) * scale
    distances = np.abs(np.arange(large) + 0.5 - centres[:, None]) / scale
    weights = np.maximum(0, 1 - distances)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def shrunk(pixels: NDArray[np.uint8], small: int) -> NDArray[np.uint8]:
    """Return images at a smaller size, uint8 (N, small, small, 3), as `shrink_nodes` compute them.

    Args:
        pixels: uint8 (N, S, S, 3).
        small: the side.
    """
    weights = filter_weights(pixels.shape[1], small)
    rows = np.einsum("ih,nhwc->niwc", weights, pixels)
    return np.asarray(np.rint(np.einsum("jw,niwc->nijc", weights, rows) + _NUDGE), np.uint8)


@dataclass(frozen=True)
class _Phases:
    """The weights of a line as a convolution.

    Attributes:
        kernel: float32 (q, K).
        stride: p.
        pads: pixels before and after the line.
        ends: what each output must be multiplied with, as weights beyond the ends are lost, (S,).
    """

    kernel: NDArray[np.float32]
    stride: int
    pads: tuple[int, int]
    ends: NDArray[np.float32]


def _phases(large: int, small: int) -> _Phases:
    common = gcd(large, small)
    stride, count = large // common, small // common
    scale = large / small
    reach = int(np.ceil(scale))
    at = np.arange(-reach, stride + reach)
    centres = (np.arange(count) + 0.5) * scale
    kernel = np.maximum(0, 1 - np.abs(at + 0.5 - centres[:, None]) / scale)
    kernel /= kernel.sum(1, keepdims=True)
    inside = (at >= -np.arange(common)[:, None] * stride) & (
        at < large - np.arange(common)[:, None] * stride
    )
    ends = 1 / np.einsum("qk,bk->bq", kernel, inside).ravel()
    return _Phases(kernel.astype(np.float32), stride, (reach, reach), ends.astype(np.float32))


def shrink_nodes(source: str, result: str, large: int, small: int) -> Nodes:
    """Return nodes from uint8 (N, L, L, 3) to uint8 (N, S, S, 3).

    Args:
        source: name of the larger images.
        result: name for the smaller ones.
        large: side L.
        small: side S, smaller than L.
    """
    phases = _phases(large, small)
    blocks = small // len(phases.kernel)
    new = Nodes("shrink")
    last = new.add("Cast", source, to=TensorProto.FLOAT)
    last = new.add("Transpose", last, perm=[0, 3, 1, 2])
    last = new.add("Reshape", last, new.constant([-1, 1, large, large], np.int64))
    down = new.constant(phases.kernel[:, None, :, None], np.float32)
    before, after = phases.pads
    last = new.add("Conv", last, down, strides=[phases.stride, 1], pads=[before, 0, after, 0])
    last = new.add("Transpose", last, perm=[0, 2, 1, 3])  # (N 3, blocks, q, L)
    last = new.add("Reshape", last, new.constant([-1, 1, small, large], np.int64))
    last = new.add("Mul", last, new.constant(phases.ends[:, None], np.float32))
    across = new.constant(phases.kernel[:, None, None, :], np.float32)
    last = new.add("Conv", last, across, strides=[1, phases.stride], pads=[0, before, 0, after])
    last = new.add("Transpose", last, perm=[0, 2, 3, 1])  # (N 3, S, blocks, q)
    last = new.add(
        "Reshape", last, new.constant([-1, 3, small, blocks * len(phases.kernel)], np.int64)
    )
    last = new.add("Mul", last, new.constant(phases.ends, np.float32))
    last = new.add("Round", new.add("Add", last, new.constant(_NUDGE, np.float32)))
    last = new.add("Transpose", last, perm=[0, 2, 3, 1])
    new.add("Cast", last, output=result, to=TensorProto.UINT8)
    return new
