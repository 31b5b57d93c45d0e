"""Integer weights chosen by what layers give."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs maskspot[train]")
import onnx
from onnx import TensorProto, helper, numpy_helper

from maskspot.exporting.graph import LOGIT, make_model, run
from maskspot.exporting.quantize import Quantizer
from maskspot.exporting.rounding import refine, round_columns
from maskspot.model.info import INPUT

pytestmark = pytest.mark.train

SIZE, WIDTH = 24, 16
SIX = np.array(6)


def scenes(count: int, seed: int) -> np.ndarray:
    """Smooth pictures, whose neighbouring pixels say much the same, as photos' do."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, SIZE // 4, SIZE // 4, 3)).astype(np.float32)
    fine = coarse.repeat(4, 1).repeat(4, 2) + random.normal(0, 8, (count, SIZE, SIZE, 3))
    return fine.clip(0, 255).astype(np.uint8)


def made_of(**kind: Any) -> onnx.ModelProto:
    """A network of four layers with random weights, the second a convolution of this kind."""
    random = np.random.default_rng(1)
    nodes, constants = [], []

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def add(operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{len(nodes)}-{operator}"
        nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def convolution(name: str, value: str, inputs: int, width: int, **kind: Any) -> str:
        height, breadth = kind["kernel_shape"]
        shape = (width, inputs // kind.get("group", 1), height, breadth)
        weights = random.normal(0, 1.5 / np.sqrt(np.prod(shape[1:])), shape)
        bias = random.normal(0, 0.5, width)
        names = constant(f"{name}/w", weights), constant(f"{name}/b", bias)
        value = add("Conv", value, *names, **kind)
        return add("Clip", value, constant(f"{name}/0", np.array(0)), constant(f"{name}/6", SIX))

    value = add("Cast", add("Transpose", INPUT, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    value = add("Mul", value, constant("scale", np.array(1 / 60)))
    value = convolution("first", value, 3, WIDTH, kernel_shape=[3, 3])
    value = convolution("second", value, WIDTH, WIDTH, **kind)
    value = convolution("third", value, WIDTH, 4 * WIDTH, kernel_shape=[1, 1])
    value = add("Flatten", add("GlobalAveragePool", value))
    dense = constant("dense", random.normal(0, 1, (4 * WIDTH, 1))), constant("end", np.zeros(1))
    nodes.append(helper.make_node("Gemm", [value, *dense], [LOGIT], "end"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(LOGIT, TensorProto.FLOAT, ["N", 1])],
        constants,
    )
    return make_model(graph)


def integers(proto: onnx.ModelProto) -> dict[str, bytes]:
    """The 8-bit tensors of a graph."""
    return {
        each.name: numpy_helper.to_array(each).tobytes()
        for each in proto.graph.initializer
        if each.data_type == TensorProto.INT8 and each.dims
    }


@pytest.mark.parametrize(
    "kind",
    [
        {"kernel_shape": [1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]},
        {"kernel_shape": [5, 3], "strides": [1, 2], "pads": [2, 1, 2, 1], "group": WIDTH},
        {"kernel_shape": [3, 3], "group": 4},
    ],
    ids=["pointwise", "strided", "depthwise", "grouped"],
)
def test_refined_integers_bring_the_logits_nearer_to_the_float_networks(
    kind: dict[str, Any],
) -> None:
    quantizer = Quantizer(made_of(**kind), scenes(48, 0))
    proto = quantizer.without_first(1)
    others = scenes(64, 7)
    exact, before = run(quantizer.network, others), run(proto, others)
    old = integers(proto)
    refine(quantizer.network, proto, quantizer.layers[1:-1], scenes(48, 0))
    after = run(proto, others)
    assert np.mean((after - exact) ** 2) < 0.5 * np.mean((before - exact) ** 2)
    assert {name for name, values in integers(proto).items() if values != old[name]} == {
        f"{name}_quantized" for name in ("second/w", "third/w")
    }


def test_a_layer_of_another_kind_keeps_its_integers() -> None:
    quantizer = Quantizer(made_of(kernel_shape=[3, 3], dilations=[2, 2]), scenes(8, 0))
    proto = quantizer.without_first(1)
    old = integers(proto)
    refine(quantizer.network, proto, quantizer.layers[1:2], scenes(8, 0))
    assert integers(proto) == old


@pytest.mark.parametrize(
    ("sizes", "cuts"),
    [([8, 4, 8, 16, 2, 4, 2, 8, 1, 8, 8, 8, 8, 8, 8], [2, 5]), ([4] * 9, [1]), ([2, 4, 4], [1])],
)
def test_8_bits_begin_in_the_first_third_where_fewest_numbers_are_handed_on(
    sizes: list[int], cuts: list[int]
) -> None:
    quantizer = object.__new__(Quantizer)  # which would measure images first
    quantizer.layers = [f"layer-{at}" for at in range(len(sizes))]
    nodes = [helper.make_node("Relu", ["x"], [f"{name}/y"], name) for name in quantizer.layers]
    values = [
        helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, ["N", size, 3])
        for node, size in zip(nodes, sizes, strict=True)
    ]
    quantizer.network = make_model(helper.make_graph(nodes, "g", [], [], value_info=values))
    assert quantizer.cuts() == cuts


@pytest.mark.parametrize("seed", range(5))
def test_columns_that_hand_on_their_errors_lose_less_than_rounded_ones(seed: int) -> None:
    random = np.random.default_rng(seed)
    seen = random.normal(size=(3, 200, 12)) @ random.normal(size=(3, 12, 12))
    spread = seen.transpose(0, 2, 1) @ seen / 200
    weights = random.normal(size=(3, 8, 12))
    scales = np.abs(weights).max(2) / 64 * 8  # coarse
    chosen = round_columns(weights, spread, scales)

    def loss(whole: np.ndarray) -> np.ndarray:
        error = weights - whole * scales[..., None]
        return np.einsum("gck,gkl,gcl->g", error, spread, error)

    assert (chosen == np.rint(chosen)).all()
    assert (np.abs(chosen) <= 64).all()
    assert (loss(chosen) < 0.8 * loss(np.rint(weights / scales[..., None]))).all()
