"""A model file's weights, put into a network to train, leave it saying what the file says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow", reason="needs maskspot[train]")
import keras
import onnx

from maskspot import Predictor
from maskspot.errors import DataError, UsageError
from maskspot.evaluation.calibration import Calibration, logits
from maskspot.evaluation.logistic import sigmoid
from maskspot.evaluation.metrics import log_loss
from maskspot.exporting.convert import convert
from maskspot.exporting.float16 import to_float16
from maskspot.exporting.graph import compose
from maskspot.images import Preprocessing
from maskspot.model.info import ModelInfo
from maskspot.training import network, warmstart
from maskspot.training.presets import resolve
from maskspot.training.warmstart import load_model_file

pytestmark = [pytest.mark.train, pytest.mark.slow]

SIZE = 32
B0 = ModelInfo("b0", Preprocessing(SIZE), "efficientnet-b0")


def fresh(backbone: str, **options: object) -> Any:
    chosen = {"backbone": backbone, "weights": "none", "dropout": 0.0}
    return network.build(resolve(options=chosen | options))


def probabilities(model: Any, pixels: NDArray[np.uint8], training: bool = False) -> Any:
    outputs = model(pixels.astype(np.float32), training=training)
    logit = outputs[0] if isinstance(outputs, list) else outputs
    return sigmoid(np.asarray(logit)[:, 0])


@pytest.fixture(scope="module")
def scenes(demo_data: Path) -> NDArray[np.uint8]:
    """Drawn scenes, uint8 (48, 256, 256, 3)."""
    files = sorted((demo_data / "images").iterdir())[:48]
    return np.stack([Preprocessing(256).read(file) for file in files])


@pytest.fixture(scope="module")
def small(scenes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(scenes[:, ::8, ::8])


@pytest.fixture(scope="module")
def exported(
    small: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    """An EfficientNet-B0 whose every layer does something, and the file of its graph."""
    keras.utils.set_random_seed(1)
    model = fresh("efficientnet-b0")
    rng = np.random.default_rng(0)
    norms = [
        layer
        for layer in network.layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for norm in norms:
        norm.momentum = 0.0  # so that one batch makes its statistics
        norm.gamma.assign(rng.uniform(0.8, 1.2, norm.gamma.shape))
        norm.beta.assign(rng.normal(0, 1, norm.beta.shape))
    model(small.astype(np.float32), training=True)
    head = model.get_layer("logit")
    logits = np.asarray(model(small.astype(np.float32)))
    head.kernel.assign(head.kernel.numpy() / logits.std())
    head.bias.assign([-logits.mean() / logits.std()])
    file = tmp_path_factory.mktemp("b0") / "graph.onnx"
    onnx.save(convert(model, SIZE, B0), file)
    return model, file


@pytest.fixture(scope="module")
def target() -> Any:
    """An EfficientNet-B0 to put weights into; with a heatmap, so with a second output."""
    return fresh("efficientnet-b0", heatmap=1.0, boxes="boxes.csv")


def saved(proto: Any, folder: Path) -> Path:
    file = folder / "model.onnx"
    onnx.save(proto, file)
    return file


@pytest.mark.parametrize("every", [1, 2])
def test_training_starts_from_the_shipped_model_at_its_size_and_at_others(
    every: int, scenes: NDArray[np.uint8]
) -> None:
    model = fresh("mobilenet-0.25")
    load_model_file(model, "fast", scenes[:32, ::every, ::every])
    unseen = scenes[32:]
    shipped = Predictor("fast")
    put_on = shipped.info.calibration
    bound = put_on.get("bound", 0)
    theirs = logits((shipped.probabilities(unseen) - bound) / (1 - 2 * bound))
    theirs = sigmoid((theirs - put_on.get("bias", 0)) / put_on.get("scale", 1))
    np.testing.assert_allclose(probabilities(model, unseen), theirs, atol=5e-3)


@pytest.mark.parametrize(
    ("backbone", "name"), [("efficientnet-lite0", "default"), ("mobilenet-0.25", "fast")]
)
def test_of_the_shipped_models_training_starts_from_one_that_is_not_in_8_bits(
    backbone: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(warmstart, "load_model_file", lambda _, file, __: taken.append(file))
    settings = resolve(options={"backbone": backbone, "weights": "maskspot"})
    warmstart.assign_start(None, settings, np.zeros((1, 8, 8, 3), np.uint8))
    assert taken == [name]


def test_a_batch_in_training_has_about_the_loss_that_it_has_at_inference(
    scenes: NDArray[np.uint8],
) -> None:
    model = fresh("mobilenet-0.25")
    load_model_file(model, "fast", scenes)
    targets = np.arange(len(scenes)) % 2
    inference, training = (
        log_loss(targets, probabilities(model, scenes, training)) for training in (False, True)
    )
    assert training == pytest.approx(inference, rel=0.02)


def test_training_starts_from_an_exported_file(
    exported: tuple[Any, Path], target: Any, small: NDArray[np.uint8], tmp_path: Path
) -> None:
    source, graph = exported
    file = saved(compose([onnx.load(graph)], B0, Calibration(), flip=False), tmp_path)
    load_model_file(target, file, small[:40])
    wanted = probabilities(source, small)
    assert wanted.std() > 0.05
    np.testing.assert_allclose(probabilities(target, small), wanted, atol=1e-4)


def test_float16_weights_count_as_stored_and_calibration_and_mirror_do_not_count(
    exported: tuple[Any, Path], target: Any, small: NDArray[np.uint8], tmp_path: Path
) -> None:
    proto = onnx.load(exported[1])
    plain = to_float16(compose([proto], B0, Calibration(), flip=False))
    wanted = Predictor(saved(plain, tmp_path)).probabilities(small)
    fancy = to_float16(compose([proto], B0, Calibration(3, -2), flip=True))
    assert any(
        node.op_type == "Cast" and node.input[0].endswith("/16") for node in fancy.graph.node
    )
    load_model_file(target, saved(fancy, tmp_path), small)
    np.testing.assert_allclose(probabilities(target, small), wanted, atol=1e-4)


def test_files_that_training_cannot_start_from_are_refused_on_one_line(
    exported: tuple[Any, Path], target: Any, small: NDArray[np.uint8], tmp_path: Path
) -> None:
    proto = onnx.load(exported[1])
    folds = saved(compose([proto, proto], B0, Calibration(), flip=False), tmp_path)
    with pytest.raises(UsageError, match=r"model\.onnx: the mean of 2 networks \(efficientnet-b0"):
        load_model_file(target, folds, small)
    with pytest.raises(UsageError, match=r"fast: another kind of network \(mobilenet-0\.25\)"):
        load_model_file(target, "fast", small)
    with pytest.raises(DataError, match=r"fast: its logits differ .* another `normalisation`$"):
        load_model_file(fresh("mobilenet-0.25", normalisation="unit"), "fast", small)
