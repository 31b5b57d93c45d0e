"""What is done to graphs of ours: planes first, and a heatmap; no probability changes by it."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs maskspot[train]")
import onnx
from onnx import TensorProto, helper, numpy_helper

from maskspot.evaluation.calibration import Calibration
from maskspot.exporting.graph import compose, make_model, open_session
from maskspot.exporting.simplify import drop_idle_reshapes, transpose_first
from maskspot.images import Preprocessing
from maskspot.model.info import INPUT, ModelInfo
from maskspot.model.shipped import find_model

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


def squeeze_and_excite(shape: list[int]) -> onnx.GraphProto:
    """Pool, squeeze, bring back to planes, convolve, reshape for nothing, multiply."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Squeeze", ["mean", "axes"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["planes"]),
        helper.make_node("Conv", ["planes", "kernel"], ["inner"]),
        helper.make_node("Reshape", ["inner", "shape"], ["again"]),
        helper.make_node("Sigmoid", ["again"], ["gate"]),
        helper.make_node("Mul", ["x", "gate"], ["out"]),
    ]
    kernel = np.random.default_rng(0).normal(size=(4, 4, 1, 1)).astype(np.float32)
    constants = {"axes": np.array([2, 3]), "shape": np.array(shape), "kernel": kernel}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4, 5, 5]) for name in "xy"]
    ends[1].name = "out"
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)


def test_reshapes_that_change_nothing_are_left_out() -> None:
    before, after = squeeze_and_excite([-1, 4, 1, 1]), squeeze_and_excite([-1, 4, 1, 1])
    drop_idle_reshapes(after)
    kinds = [node.op_type for node in after.node]
    assert kinds == ["GlobalAveragePool", "Conv", "Sigmoid", "Mul"]
    assert [constant.name for constant in after.initializer] == ["kernel"]
    x = np.random.default_rng(1).normal(size=(3, 4, 5, 5)).astype(np.float32)
    one, other = (open_session(make_model(g)).run(["out"], {"x": x})[0] for g in (before, after))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_reshapes_that_change_something_stay() -> None:
    other = squeeze_and_excite([-1, 2, 2, 1])
    before = other.SerializeToString()
    drop_idle_reshapes(other)
    assert other.SerializeToString() == before


@pytest.mark.parametrize("name", ["default", "fast"])
def test_the_shipped_models_have_it(name: str) -> None:
    nodes = onnx.load(Path(find_model(name))).graph.node
    assert next(node for node in nodes if INPUT in node.input).op_type == "Transpose"


def small_network(seed: int, pool: str = "GlobalAveragePool") -> onnx.ModelProto:
    """One convolution, pooled, and a dense unit: from (N, 32, 32, 3) by 5 x 8 x 8 features."""
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Transpose", [INPUT], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "kernel"], ["features"], strides=[4, 4]),
        helper.make_node(pool, ["features"], ["pooled"]),
        helper.make_node("Squeeze", ["pooled", "axes"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
    ]
    for node in nodes:
        node.name = node.output[0]
    constants = {
        "kernel": rng.normal(0, 0.001, (5, 3, 4, 4)).astype(np.float32),
        "axes": np.array([2, 3]),
        "weights": rng.normal(0, 3, (5, 1)).astype(np.float32),
        "bias": np.array([0.3], np.float32),
    }
    return make_model(
        helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 32, 32, 3])],
            [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N", 1])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
    )


INFO = ModelInfo("small", Preprocessing(32), "none")
PIXELS = np.random.default_rng(1).integers(0, 256, (7, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_the_heatmap_adds_up_to_the_logit_also_of_several_networks(flip: bool, count: int) -> None:
    networks = [small_network(seed) for seed in range(count)]
    proto = compose(networks, INFO, Calibration(1.7, -0.3), flip)
    found, maps = open_session(proto).run(["probability", "heatmap"], {INPUT: PIXELS})
    assert maps.shape == (7, 8, 8)
    constants = (np.log(found) - np.log1p(-found)).ravel() - maps.sum((1, 2), np.float64)
    assert constants == pytest.approx(1.7 * 0.3 - 0.3, abs=1e-4)


def test_the_heatmap_is_where_the_image_is_and_turns_with_it() -> None:
    """What changes in one corner of the image changes the map there alone."""
    proto = compose([small_network(0)], INFO, Calibration(), flip=False)
    session = open_session(proto)
    dark, light = PIXELS[:1].copy(), PIXELS[:1].copy()
    dark[:, :4, 28:], light[:, :4, 28:] = 0, 255
    (one,), (other,) = (session.run(["heatmap"], {INPUT: each})[0] for each in (dark, light))
    assert np.argwhere(np.abs(one - other) > 1e-6).tolist() == [[0, 7]]
    both = open_session(compose([small_network(0)], INFO, Calibration(), flip=True))
    maps = both.run(["heatmap"], {INPUT: np.concatenate([PIXELS, PIXELS[:, :, ::-1]])})[0]
    np.testing.assert_allclose(maps[7:], maps[:7, :, ::-1], atol=1e-5)


def test_a_network_of_another_end_has_no_heatmap() -> None:
    proto = compose([small_network(0, "GlobalMaxPool")], INFO, Calibration(), flip=True)
    assert [output.name for output in proto.graph.output] == ["probability"]
