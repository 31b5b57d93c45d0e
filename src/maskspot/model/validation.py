"""Checks of an untrusted model file, before onnxruntime opens it.

The file is a protobuf message (onnx.proto). Its fields are walked without a copy, and weights are
skipped. What cannot be parsed is refused.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from maskspot.errors import ModelFileError

LARGEST, NODES, DEEPEST, METADATA = 2**31 - 1, 200_000, 8, 2**20
"""Limits: bytes of a file (protobuf's own), nodes of all graphs together, nesting of graphs, and
bytes of all metadata."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_DOMAINS = (b"", b"ai.onnx")


class _Field(NamedTuple):
    number: int
    kind: int
    value: int  # of a number; for bytes, where they begin
    end: int


def read_model(file: Path, trusted: bool = False) -> bytes:
    """Return the bytes of a model file, checked as `check_model` says.

    Args:
        file: to read.
        trusted: skip the check, as the file ships with maskspot.

    Raises:
        ModelFileError: it cannot be read, or is refused.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise ModelFileError(f"{file}: {error.strerror}") from None
    if not trusted:
        check_model(content, str(file))
    return content


def check_model(content: bytes, name: str) -> None:
    """Refuse a model that depends on more than its bytes, or that exceeds a limit.

    Args:
        content: of the file.
        name: of the file, for errors.

    Raises:
        ModelFileError: it is damaged, stores weights in other files, uses operators outside of
            ONNX's own domain, defines functions, or exceeds a limit.
    """
    if len(content) > LARGEST:
        raise ModelFileError(f"{name}: more than {LARGEST} bytes")
    try:
        _Check(content).model()
    except _RefusedError as refusal:
        raise ModelFileError(f"{name}: {refusal}") from None
    except (IndexError, UnicodeDecodeError):
        raise ModelFileError(f"{name}: not a model file, or damaged") from None


class _RefusedError(Exception):
    pass


class _Check:
    """The walk through one file, with its counts."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._nodes = self._metadata = 0

    def model(self) -> None:
        for field in self._fields(0, len(self._content)):
            if field.number == 7:  # noqa: PLR2004
                self._graph(field, 0)
            elif field.number in (20, 25):
                raise _RefusedError("functions or training graphs are not supported")
            elif field.number == 14:  # noqa: PLR2004
                self._metadata += field.end - field.value
                if self._metadata > METADATA:
                    raise _RefusedError(f"more than {METADATA} bytes of metadata")
                for each in self._fields_in(field):
                    self._bytes(each).decode()

    def _graph(self, graph: _Field, depth: int) -> None:
        if depth > DEEPEST:
            raise _RefusedError(f"graphs are nested more than {DEEPEST} deep")
        for field in self._fields_in(graph):
            if field.number == 1:
                self._node(field, depth)
            elif field.number == 5:  # noqa: PLR2004
                self._tensor(field)
            elif field.number == 15:  # noqa: PLR2004
                self._sparse(field)
            elif field.number in (11, 12):  # of inputs and outputs, the name
                for each in self._fields_in(field):
                    if each.number == 1:
                        self._bytes(each).decode()

    def _node(self, node: _Field, depth: int) -> None:
        self._nodes += 1
        if self._nodes > NODES:
            raise _RefusedError(f"more than {NODES} nodes")
        for field in self._fields_in(node):
            if field.number == 7 and self._bytes(field) not in _DOMAINS:  # noqa: PLR2004
                domain = self._bytes(field)[:80].decode("ascii", "backslashreplace")
                raise _RefusedError(
                    f"operators of {domain!r} are not supported, only those of ONNX itself"
                )
            if field.number == 5:  # noqa: PLR2004
                self._attribute(field, depth)

    def _attribute(self, attribute: _Field, depth: int) -> None:
        for field in self._fields_in(attribute):
            if field.number in (5, 10):
                self._tensor(field)
            elif field.number in (6, 11):
                self._graph(field, depth + 1)
            elif field.number in (22, 23):
                self._sparse(field)

    def _sparse(self, sparse: _Field) -> None:
        for field in self._fields_in(sparse):
            if field.number in (1, 2):
                self._tensor(field)

    def _tensor(self, tensor: _Field) -> None:
        for field in self._fields_in(tensor):
            if field.number == 13 or (field.number == 14 and (field.kind or field.value)):  # noqa: PLR2004
                raise _RefusedError("weights in another file are not supported")

    def _bytes(self, field: _Field) -> bytes:
        if field.kind != _BYTES:
            raise IndexError
        return self._content[field.value : field.end]

    def _fields_in(self, field: _Field) -> Iterator[_Field]:
        if field.kind != _BYTES:
            raise IndexError
        return self._fields(field.value, field.end)

    def _fields(self, at: int, end: int) -> Iterator[_Field]:
        while at < end:
            tag, at = self._varint(at, end)
            number, kind = tag >> 3, tag & 7
            if not 0 < number < 2**29:
                raise IndexError
            if kind == _VARINT:
                value, at = self._varint(at, end)
                yield _Field(number, kind, value, at)
                continue
            if kind == _BYTES:
                size, at = self._varint(at, end)
            else:
                size = {_FIXED64: 8, _FIXED32: 4}.get(kind, end + 1)
            if size > end - at:
                raise IndexError
            yield _Field(number, kind, at, at + size)
            at += size

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 7 * _LONGEST_VARINT, 7):
            if at >= end:
                raise IndexError
            byte = self._content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004
                return value, at
        raise IndexError
