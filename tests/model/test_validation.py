"""A model file of a stranger's: what its bytes do not decide is refused, whatever else it is."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from maskspot import Predictor
from maskspot.errors import ModelFileError
from maskspot.model.shipped import find_model
from maskspot.model.validation import check_model

FAST = find_model("fast").read_bytes()


def varint(value: int) -> bytes:
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def graph(*parts: bytes) -> bytes:
    """A second `graph`: protobuf takes it and the first for one."""
    return FAST + field(7, b"".join(parts))


EXTERNAL = field(13, field(1, b"location") + field(2, b"/etc/passwd"))
NESTED = field(1, b"")
for _ in range(50):
    NESTED = field(1, field(5, field(6, NESTED)))


@pytest.mark.parametrize("model", ["default", "fast", "int8"])
def test_the_shipped_models_pass(model: str) -> None:
    check_model(find_model(model).read_bytes(), model)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (graph(field(5, EXTERNAL)), "weights in another file"),
        (graph(field(5, field(14, 1))), "weights in another file"),
        (graph(field(5, field(14, 2**32 + 1))), "weights in another file"),
        (graph(field(5, field(14, 0) + field(14, 1))), "weights in another file"),
        (graph(field(1, field(5, field(5, EXTERNAL)))), "weights in another file"),
        (graph(field(1, field(5, field(10, EXTERNAL)))), "weights in another file"),
        (graph(field(1, field(5, field(22, field(1, EXTERNAL))))), "weights in another"),
        (graph(field(15, field(2, EXTERNAL))), "weights in another file"),
        (graph(field(1, field(5, field(6, field(5, EXTERNAL))))), "weights in another"),
        (graph(field(1, field(7, b"com.evil\x1b"))), r"operators of 'com\.evil"),
        (graph(NESTED), "graphs are nested"),
        (graph(field(1, b"") * 200_001), "more than 200000 nodes"),
        (FAST + field(25, b""), "functions or training graphs"),
        (FAST + field(14, field(2, b"x" * 2**20)), "bytes of metadata"),
        (FAST + field(14, field(1, b"\xff")), "not a model file, or damaged"),
        (graph(field(12, field(1, b"\xff"))), "not a model file, or damaged"),
        (FAST[:-1], "not a model file, or damaged"),
        (b"\x3b", "not a model file, or damaged"),
        (b"\xff" * 99, "not a model file, or damaged"),
    ],
)
def test_what_a_strangers_model_must_not_have_is_named(
    tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match=words) as caught:
        Predictor(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert str(caught.value).isprintable()


def test_no_damage_has_another_outcome_than_an_error() -> None:
    rng = random.Random(0)
    for _ in range(300):
        bad = bytearray(FAST[: rng.choice([2000, len(FAST)])])
        for _ in range(rng.randint(1, 5)):
            bad[rng.randrange(2000)] = rng.randrange(256)
        with suppress(ModelFileError):
            check_model(bytes(bad), "x")
