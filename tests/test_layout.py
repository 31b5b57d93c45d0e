"""The input becomes planes before it is normalised, and no number changes by it."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs maskspot[train]")
import onnx
from onnx import TensorProto, helper, numpy_helper

from maskspot.exporting.graph import make_model, open_session
from maskspot.exporting.layout import transpose_first
from maskspot.modelfile import INPUT
from maskspot.models import find_model

pytestmark = pytest.mark.train

MEAN = np.array([0.1, 0.2, 0.3], np.float32)


def graph(
    order: list[int], mean_shape: tuple[int, ...] = (3,), *more: onnx.NodeProto
) -> onnx.GraphProto:
    """Normalise and transpose, as converters write it."""
    nodes = [
        helper.make_node("Cast", [INPUT], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "mean"], ["normal"]),
        helper.make_node("Transpose", ["normal"], ["out"], perm=order),
        *more,
    ]
    constants = [
        numpy_helper.from_array(np.float32(1 / 255), "scale"),
        numpy_helper.from_array(MEAN.reshape(mean_shape), "mean"),
    ]
    return helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 6, 4, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", "A", "B", "C"])],
        constants,
    )


def output(of: onnx.GraphProto) -> np.ndarray:
    proto = make_model(of)
    onnx.checker.check_model(proto, full_check=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 4, 3), np.uint8)
    return np.asarray(open_session(proto).run(["out"], {INPUT: pixels})[0])


@pytest.mark.parametrize("shape", [(3,), (1, 1, 1, 3)])
def test_pixels_become_planes_first_and_every_number_stays(shape: tuple[int, ...]) -> None:
    before, after = graph([0, 3, 1, 2], shape), graph([0, 3, 1, 2], shape)
    transpose_first(after)
    assert [node.op_type for node in after.node] == ["Transpose", "Cast", "Mul", "Sub"]
    assert output(after).shape == (2, 3, 6, 4)
    assert np.array_equal(output(before), output(after))


@pytest.mark.parametrize(
    "other",
    [
        graph([0, 2, 1, 3]),
        graph([0, 3, 1, 2], (3,), helper.make_node("Identity", ["float"], ["also"])),
        helper.make_graph([helper.make_node("Relu", [INPUT], ["out"])], "g", [], []),
    ],
)
def test_a_graph_of_another_kind_is_left_as_it_is(other: onnx.GraphProto) -> None:
    before = other.SerializeToString()
    transpose_first(other)
    assert other.SerializeToString() == before


@pytest.mark.parametrize("name", ["default", "fast"])
def test_the_shipped_models_have_it(name: str) -> None:
    nodes = onnx.load(Path(find_model(name))).graph.node
    assert next(node for node in nodes if INPUT in node.input).op_type == "Transpose"
