"""How many parameters a model file has, read from its bytes: the base install has no `onnx`."""

from collections.abc import Iterator
from math import prod

_GRAPH, _INITIALIZER, _DIMS, _TYPE = 7, 5, 1, 2
"""Numbers of the fields `ModelProto.graph`, `GraphProto.initializer`, `TensorProto.dims` and
`TensorProto.data_type` in onnx.proto, which never change."""

_INT64, _BOOL = 7, 9
"""Types of tensors that are no weights but shapes, axes and places."""

_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}
"""Kinds of protobuf fields, the last with their lengths:
https://protobuf.dev/programming-guides/encoding/."""

_MORE = 0x80
"""The bit of a byte after which a number goes on."""


def count_parameters(content: bytes) -> int:
    """Return how many numbers the initializers of an ONNX graph hold, whatever their precision.

    Those of int64 and bool, which are no weights, are left out. Batch normalisation counts as the
    graph has it: what the converter folded into a convolution is not there to be counted. Of a
    file that averages several networks, it is all of them.

    Args:
        content: of an ONNX file that can be loaded.
    """
    total = 0
    for graph in _messages(memoryview(content), _GRAPH):
        for tensor in _messages(graph, _INITIALIZER):
            if not {*_numbers(tensor, _TYPE)} & {_INT64, _BOOL}:
                total += prod([*_numbers(tensor, _DIMS)])
    return total


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the messages that one of a message's fields holds."""
    for field, value in _fields(message):
        if field == number and isinstance(value, memoryview):
            yield value


def _numbers(message: memoryview, number: int) -> Iterator[int]:
    """Yield the whole numbers that one of a message's fields holds, packed or one by one."""
    for field, value in _fields(message):
        if field == number and isinstance(value, int):
            yield value
        elif field == number and isinstance(value, memoryview):
            at = 0
            while at < len(value):
                each, at = _varint(value, at)
                yield each


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of each of a message's fields."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        length, at = _varint(message, at) if kind == _BYTES else (_FIXED[kind], at)
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that starts at a place, seven bits a byte, and where it ends."""
    value = shift = 0
    while message[at] >= _MORE:
        value |= (message[at] - _MORE) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1
