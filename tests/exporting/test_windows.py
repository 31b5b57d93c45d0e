"""Networks that look at windows of an image too, and the smaller copy that they make of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs maskspot[train]")
import onnx
from onnx import TensorProto, helper
from PIL import Image

from maskspot import Predictor
from maskspot.datasets.labels import Labelled
from maskspot.errors import DataError, ExportError, UsageError
from maskspot.evaluation.calibration import Calibration
from maskspot.exporting import calibrating, shrink
from maskspot.exporting.build import enlarge
from maskspot.exporting.convert import convert_views
from maskspot.exporting.export import export
from maskspot.exporting.graph import compose, make_model, open_session
from maskspot.exporting.options import ExportOptions
from maskspot.exporting.storing import TOLERANCE
from maskspot.exporting.windows import Windows, keras_logits, soft_maximum, views_of, windowed
from maskspot.images import Preprocessing
from maskspot.model.info import INPUT, ModelInfo
from maskspot.training import network, warmstart
from maskspot.training.run import Run
from tests.runs import finished_run

pytestmark = pytest.mark.train

SIZE = 64
INFO = ModelInfo("m", Preprocessing(SIZE), "mobilenet-0.25")
LOOK = Windows.of(SIZE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, demo_data: Path) -> Run:
    return finished_run(tmp_path_factory.mktemp("runs") / "one", demo_data, SIZE)


@pytest.fixture(scope="module")
def views(run: Run) -> onnx.ModelProto:
    return convert_views(network.load(run.kept()), INFO, LOOK.size)


@pytest.fixture(scope="module")
def pixels(run: Run) -> np.ndarray:
    return np.stack([enlarge(each, LOOK.size) for each in run.check_pixels()])


@pytest.mark.parametrize(("large", "small"), [(56, 32), (448, 256), (512, 256), (384, 256), (9, 5)])
def test_the_smaller_copy_has_the_weights_of_pillow(large: int, small: int) -> None:
    """But Pillow rounds to whole levels between rows and columns, too."""
    noise = np.random.default_rng(0).integers(0, 256, (large, large, 3), np.uint8)
    theirs = Image.fromarray(noise).resize((small, small), Image.Resampling.BILINEAR)
    ours = shrink.shrunk(noise[None], small)[0]
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


@pytest.mark.parametrize(("large", "small"), [(56, 32), (448, 256), (512, 256), (384, 256), (9, 5)])
def test_the_graph_shrinks_to_the_edges_as_numpy_does(large: int, small: int) -> None:
    new = shrink.shrink_nodes("in", "out", large, small)
    graph = helper.make_graph(
        new.nodes,
        "g",
        [helper.make_tensor_value_info("in", TensorProto.UINT8, ["N", large, large, 3])],
        [helper.make_tensor_value_info("out", TensorProto.UINT8, ["N", small, small, 3])],
        new.constants,
    )
    noise = np.random.default_rng(1).integers(0, 256, (2, large, large, 3), np.uint8)
    noise[:, 0] = noise[:, :, -1] = 255
    ours = open_session(make_model(graph)).run(["out"], {"in": noise})[0]
    change = np.abs(ours.astype(int) - shrink.shrunk(noise, small))
    assert change.max() <= 1  # where a value lies halfway, in float32
    assert (change > 0).mean() < 1e-3


def test_a_soft_maximum_lies_between_the_mean_and_the_maximum() -> None:
    values = np.random.default_rng(0).normal(0, 500, (9, 16))
    for temperature in (1e-3, 1.0, 50.0):
        found = soft_maximum(values, temperature)
        assert (found <= values.max(1) + 1e-9).all()
        assert (found >= values.mean(1) - 1e-9).all()
    np.testing.assert_allclose(soft_maximum(values, 1e-3), values.max(1), atol=0.01)
    np.testing.assert_allclose(soft_maximum(values, 1e7), values.mean(1), atol=0.1)


@pytest.mark.parametrize(("share", "temperature"), [(0.0, 1.0), (1.0, 0.25), (0.4, 2.0)])
def test_the_graph_says_what_keras_says(
    run: Run, views: onnx.ModelProto, pixels: np.ndarray, share: float, temperature: float
) -> None:
    look = replace(LOOK, share=share, temperature=temperature)
    session = open_session(windowed(views, look))
    logits = session.run(["logit"], {INPUT: pixels})[0].ravel()
    expected = keras_logits(network.load(run.kept()), pixels, look, SIZE)
    np.testing.assert_allclose(logits, expected, atol=2e-4, rtol=1e-4)


def test_both_passes_share_their_weights(views: onnx.ModelProto) -> None:
    constants = [each.SerializeToString().partition(b"B")[0] for each in views.graph.initializer]
    large = [each for each in constants if len(each) > 500]
    assert len(large) == len(set(large))
    whole = compose([windowed(views, LOOK)], INFO, Calibration(), flip=False)
    assert whole.ByteSize() < 1.2 * views.ByteSize()


def test_a_network_without_average_pooling_has_no_windows() -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", [INPUT], ["logit"], to=TensorProto.FLOAT)],
        "g",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N", 1])],
    )
    with pytest.raises(ExportError, match="average pooling"):
        views_of(make_model(graph), make_model(graph))


@pytest.mark.slow
@pytest.mark.parametrize("flip", [False, True])
def test_a_file_with_windows_is_verified_calibrated_and_shows_a_finer_heatmap(
    run: Run, tmp_path: Path, flip: bool
) -> None:
    file = tmp_path / "windows.onnx"
    result = export(run, file, ExportOptions(windows=True, flip=flip))
    assert result.difference < TOLERANCE
    info = result.info
    assert info.preprocessing.size == LOOK.size == 112
    assert info.windows["share"] in np.clip([info.windows["share"]], 0, 1)
    assert info.passes == 4 * (1 + flip)
    assert {"scale", "bias", "bound", "prior"} <= info.calibration.keys()
    predictor = Predictor(file)
    image = np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)
    score = predictor.predict(image, heatmap=True)
    assert score.heatmap.shape == (3, 3)  # of the network alone it would be 2 x 2
    assert info.calibration["bound"] <= score.probability <= 1 - info.calibration["bound"]


def test_what_is_fitted_finds_masks_in_windows_alone() -> None:
    """Where the whole image says nothing, the windows get all of the weight, and are small."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 800).astype(float)
    cells = rng.normal(-3, 1, (800, 14, 14))
    for row in np.flatnonzero(targets):
        top, left = rng.integers(0, 11, 2)
        cells[row, top : top + 4, left : left + 4] += 6
    whole = rng.normal(0, 1, 800)
    found = calibrating.fit_windows(256, targets, whole, cells, 0.5)
    assert found.share > 0.9
    assert found.cells == 4
    turned = calibrating.fit_windows(256, targets, 4 * targets - 2 + whole, cells * 0, 0.5)
    assert turned.share < 0.2


def test_int8_and_windows_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="use `windows` or `int8`, not both"):
        ExportOptions(windows=True, int8=True)


def test_probabilities_of_an_export_keep_their_distance_from_0_and_1(
    run: Run, tmp_path: Path
) -> None:
    info = export(run, tmp_path / "m.onnx").info
    bound = info.calibration["bound"]
    assert bound >= 1e-4
    wild = np.random.default_rng(0).integers(0, 2, (40, SIZE, SIZE, 3), np.uint8) * 255
    probabilities = Predictor(tmp_path / "m.onnx").probabilities(wild)
    assert ((probabilities >= bound) & (probabilities <= 1 - bound)).all()
    far = Calibration(1.0, 0.0, bound).of_logits([-900, 900])
    np.testing.assert_allclose(far, [bound, 1 - bound], rtol=1e-12)


@pytest.mark.slow
def test_training_does_not_start_from_a_file_with_windows(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "windows.onnx"
    export(run, file, ExportOptions(windows=True))
    with pytest.raises(UsageError, match="for its windows"):
        warmstart.load_model_file(network.build(run.settings), file, run.check_pixels())


def test_windows_need_images_that_can_be_read(views: onnx.ModelProto, tmp_path: Path) -> None:
    (tmp_path / "damaged.jpg").write_bytes(b"none")
    item = Labelled("damaged.jpg", tmp_path / "damaged.jpg", 1)
    with pytest.raises(DataError, match="no held-back image"):
        calibrating.view_logits(views, [item], Preprocessing(LOOK.size))
