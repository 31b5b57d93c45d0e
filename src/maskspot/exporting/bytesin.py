"""A normalisation of the input as the scale and zero point of the bytes that come in."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from maskspot.exporting.layout import drop_unused
from maskspot.modelfile import INPUT


@dataclass(frozen=True)
class BytesIn:
    """What a network does to its bytes before its first layer: `scale * (byte - zero_point)`.

    Attributes:
        source: the value that holds bytes.
        result: the value that holds the normalised numbers.
        scale: of a byte.
        zero_point: the byte that stands for 0, to the nearest.
    """

    source: str
    result: str
    scale: float
    zero_point: int

    @property
    def lowest_highest(self) -> tuple[np.float32, np.float32]:
        """The numbers that 0 and 255 stand for."""
        low, high = -self.zero_point * self.scale, (255 - self.zero_point) * self.scale
        return np.float32(low), np.float32(high)

    def skip(self, graph: onnx.GraphProto) -> None:
        """Take the bytes for what they are, where they were normalised and quantised again."""
        quantized = {
            node.output[0]
            for node in graph.node
            if node.op_type == "QuantizeLinear" and node.input[0] == self.result
        }
        for node in graph.node:
            node.input[:] = [self.source if name in quantized else name for name in node.input]
        drop_unused(graph)


def bytes_in(graph: onnx.GraphProto) -> BytesIn | None:
    """Find the normalisation; None where it is not the same for all channels, or of another kind.

    Args:
        graph: with the contract's input, simplified.
    """
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    value, source, scale, bias = INPUT, "", 1.0, 0.0
    while True:
        users = [node for node in graph.node if value in node.input]
        if len(users) != 1:
            return None
        node = users[0]
        if node.op_type == "Cast":
            source = source or value
        elif node.op_type in ("Mul", "Add"):
            numbers = [constants[name] for name in node.input if name in constants]
            if len(numbers) != 1 or np.ptp(numbers[0]):
                return None
            number = float(numbers[0].flat[0])
            scale, bias = (
                (scale * number, bias * number) if node.op_type == "Mul" else (scale, bias + number)
            )
        elif node.op_type != "Transpose":
            break
        value = node.output[0]
    zero_point = round(-bias / scale) if scale > 0 else -1
    if not source or not 0 <= zero_point <= 255:  # noqa: PLR2004
        return None
    return BytesIn(source, value, scale, zero_point)
