"""What an export does to a run's networks: calibration, folds, mirror, fewer bits."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs maskspot[train]")
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from maskspot import Predictor
from maskspot.datasets.labels import read_folders
from maskspot.errors import DataError, ModelFileError, UsageError
from maskspot.evaluation.calibration import Calibration, bounds_for, fit, quality
from maskspot.evaluation.logistic import sigmoid
from maskspot.evaluation.metrics import log_loss, summary
from maskspot.exporting import build, float16, graph, storing
from maskspot.exporting.calibrating import LEAST_IMAGES, fit_calibration
from maskspot.exporting.calibration_images import CalibrationImages, read_calibration_images
from maskspot.exporting.convert import convert
from maskspot.exporting.export import export
from maskspot.exporting.options import ExportOptions
from maskspot.exporting.quantize import Quantized, Quantizer, quantize
from maskspot.images import Preprocessing
from maskspot.model.info import KEY, ModelInfo, read_info
from maskspot.training import network
from maskspot.training.presets import resolve
from maskspot.training.run import Run
from tests.runs import HELD_BACK, SIZE, SMALL, eager, finish

pytestmark = pytest.mark.train

Cli = Callable[..., object]

SHOWN = Preprocessing(SIZE, reduce=2, srgb=True)
INFO = ModelInfo("m", SHOWN, "mobilenet-0.25")


@pytest.fixture(scope="module")
def pixels(demo_data: Path) -> np.ndarray:
    """All demo pictures, in the order of their labels."""
    items = read_folders([demo_data])
    return np.stack([SHOWN.read(item.path) for item in items])


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory, demo_data: Path, pixels: np.ndarray) -> Run:
    """A run of two folds that looks finished; its networks are random, but have an opinion."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    run = Run.create(folder, resolve(options=SMALL | {"folds": 2}), [demo_data])
    for at, fold in enumerate((1, 2)):
        finish(run.fold(fold), pixels, demo_data, seed=at)
    rows = [
        line.split(",")
        for fold in run.fold_runs()
        for line in (fold.folder / "validation.csv").read_text().splitlines()[1:]
    ]
    run.write_csv("oof.csv", ["image", "target", "probability"], rows)
    run.write_json("metrics.json", {"validation": dict(summary(*run.read_predictions()))})
    return run


@pytest.fixture(scope="module")
def plain(folds: Run) -> Run:
    """A run without folds, finished."""
    return folds.fold_runs()[0]


def fitted(run: Run) -> Calibration:
    """What an export fits to a run's predictions."""
    targets, probabilities = run.read_predictions()
    return fit(targets, probabilities, 0.5, bounds_for(len(targets)))


@pytest.fixture(scope="module")
def models(folds: Run) -> list[Any]:
    """The folds' networks in Keras."""
    return [network.load(run.kept()) for run in folds.fold_runs()]


@pytest.fixture(scope="module")
def networks(models: list[Any]) -> list[onnx.ModelProto]:
    """The folds' networks, converted: that takes seconds."""
    return [convert(model, SIZE, INFO) for model in models]


@pytest.fixture
def _converted(
    models: list[Any], networks: list[onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spare the conversion: a network is told by its last bias."""

    def bias(model: Any) -> float:
        return float(model.get_weights()[-1][0])

    known = dict(zip(map(bias, models), networks, strict=True))
    monkeypatch.setattr(build, "convert", lambda model, size, info: known[bias(model)])


@pytest.fixture(scope="module")
def logits(models: list[Any], pixels: np.ndarray) -> np.ndarray:
    """What Keras says of all pictures and of their mirror images, (2 folds, 2 views, N)."""
    return np.array(
        [[eager(model, view) for view in (pixels, pixels[:, :, ::-1])] for model in models]
    )


@pytest.fixture(scope="module")
def exact(networks: list[onnx.ModelProto]) -> onnx.ModelProto:
    """The plain run's model file in full precision, not calibrated."""
    return graph.compose(networks[:1], INFO, Calibration(), flip=False)


@pytest.fixture(scope="module")
def read(plain: Run) -> CalibrationImages:
    """The plain run's images, read again."""
    return read_calibration_images(plain)


@pytest.fixture(scope="module")
def quantized(networks: list[onnx.ModelProto], read: CalibrationImages) -> Quantized:
    """The plain run's network in 8 bits."""
    return quantize(networks[0], replace(read, training=read.training[:8]), Calibration())


@pytest.mark.usefixtures("_converted")
def test_the_calibration_is_in_the_graph_and_what_it_did_in_the_file(
    plain: Run, logits: np.ndarray, pixels: np.ndarray, tmp_path: Path
) -> None:
    info = export(plain, tmp_path / "m.onnx", ExportOptions(float32=True)).info
    targets, probabilities = plain.read_predictions()
    found = fitted(plain)
    assert abs(found.scale - 1) > 0.1
    predictor = Predictor(tmp_path / "m.onnx")
    expected = found.of_logits(logits[0, 0])
    np.testing.assert_allclose(predictor.probabilities(pixels), expected, atol=1e-4)
    assert predictor.info == info
    assert info.calibration == {
        "scale": found.scale,
        "bias": found.bias,
        "bound": found.bound,
        "prior": 0.5,
        "run": "fold-1",
        "images": HELD_BACK,
        "before": quality(targets, probabilities),
        "after": quality(targets, found.apply(probabilities)),
    }
    assert info.calibration["after"]["log_loss"] < info.calibration["before"]["log_loss"]
    assert info.metrics["log_loss"] == info.calibration["after"]["log_loss"]


@pytest.mark.usefixtures("_converted")
def test_without_calibration_the_file_says_what_the_network_says(
    plain: Run, logits: np.ndarray, pixels: np.ndarray, tmp_path: Path
) -> None:
    options = ExportOptions(calibrate=False, float32=True)
    info = export(plain, tmp_path / "m.onnx", options).info
    ours = Predictor(tmp_path / "m.onnx").probabilities(pixels)
    np.testing.assert_allclose(ours, sigmoid(logits[0, 0]), atol=1e-4)
    assert np.ptp(ours) > 0.5
    assert (info.calibration, info.passes, info.storage) == ({}, 1, {"weights": "float32"})
    assert info.metrics == plain.read_json("metrics.json")["validation"]


def test_too_few_images_or_one_class_calibrate_nothing(plain: Run, tmp_path: Path) -> None:
    shutil.copytree(plain.folder, tmp_path / "few")
    run = Run(tmp_path / "few")
    header, *rows = (run.folder / "validation.csv").read_text().splitlines()
    one_class = [",".join([*row.split(",")[:1], "1", *row.split(",")[2:]]) for row in rows]
    for lines in (rows[: LEAST_IMAGES - 1], one_class):
        (run.folder / "validation.csv").write_text("\n".join([header, *lines]))
        fitted = fit_calibration(run, ExportOptions())
        assert (fitted.calibration, fitted.facts) == (Calibration(), {})
        with pytest.raises(DataError, match=r"calibration: .*few has .* held-back images"):
            fit_calibration(plain, ExportOptions(calibration=run.folder))


def test_another_runs_images_calibrate_if_it_is_of_the_same_network(
    plain: Run, folds: Run, tmp_path: Path
) -> None:
    found = fit_calibration(plain, ExportOptions(calibration=folds.folder))
    assert found.calibration == fitted(folds)
    assert (found.facts["run"], found.facts["images"]) == ("two", 2 * HELD_BACK)
    shutil.copytree(plain.folder, tmp_path / "other")
    other = Run(tmp_path / "other")
    larger = resolve(options=SMALL | {"size": 64})
    (other.folder / "settings.json").write_text(larger.to_json())
    with pytest.raises(UsageError, match=r"other is of mobilenet-0\.25 at 64 pixels"):
        fit_calibration(plain, ExportOptions(calibration=other.folder))
    (other.folder / "metrics.json").unlink()
    with pytest.raises(DataError, match="other: not finished"):
        fit_calibration(plain, ExportOptions(calibration=other.folder))


@pytest.mark.usefixtures("_converted")
def test_a_file_of_folds_averages_their_logits_and_those_of_the_mirror_image(
    folds: Run, logits: np.ndarray, pixels: np.ndarray, tmp_path: Path, cli: Cli
) -> None:
    result = cli("export", folds.folder, "-o", tmp_path / "m.onnx", "--flip", "--float32")
    assert result.code == 0
    assert "2 networks x 2 for the mirror image: 4 passes per image" in result.err
    assert f"calibrated on {2 * HELD_BACK} held-back images of two" in result.err
    predictor = Predictor(tmp_path / "m.onnx")
    expected = fitted(folds).of_logits(logits.mean(axis=(0, 1)))
    np.testing.assert_allclose(predictor.probabilities(pixels), expected, atol=1e-4)
    mirrored = predictor.probabilities(np.ascontiguousarray(pixels[:, :, ::-1]))
    np.testing.assert_allclose(mirrored, expected, atol=1e-4)
    assert predictor.info.passes == 4


def test_a_converted_network_has_a_heatmap_that_adds_up_to_the_logit(
    networks: list[onnx.ModelProto], pixels: np.ndarray
) -> None:
    proto = graph.compose(networks, INFO, Calibration(1.7, -0.3), flip=True)
    found, maps = graph.open_session(proto).run(["probability", "heatmap"], {"images": pixels[:20]})
    assert maps.shape == (20, 1, 1)
    constants = (np.log(found) - np.log1p(-found)).ravel() - maps.sum((1, 2), np.float64)
    assert np.ptp(constants) < 1e-4


def test_a_network_in_8_bits_has_that_heatmap_too(quantized: Quantized, pixels: np.ndarray) -> None:
    proto = graph.compose([quantized.network], INFO, Calibration(), flip=False)
    found, maps = graph.open_session(proto).run(["probability", "heatmap"], {"images": pixels[:20]})
    constants = (np.log(found) - np.log1p(-found)).ravel() - maps.sum((1, 2), np.float64)
    assert np.ptp(constants) < 1e-4


def test_each_network_and_each_view_counts_alike(
    networks: list[onnx.ModelProto], logits: np.ndarray, pixels: np.ndarray
) -> None:
    assert np.abs(logits[0] - logits[1]).max() > 0.5
    assert np.abs(logits[:, 0] - logits[:, 1]).max() > 0.05
    for flip, views in ((False, 1), (True, 2)):
        proto = graph.compose(networks, INFO, Calibration(2.0, 0.5), flip)
        expected = sigmoid(2 * logits[:, :views].mean(axis=(0, 1)) + 0.5)
        np.testing.assert_allclose(graph.run(proto, pixels, "probability"), expected, atol=1e-4)


def test_the_mirror_stores_no_weight_twice_and_takes_any_batch(
    networks: list[onnx.ModelProto], exact: onnx.ModelProto, pixels: np.ndarray
) -> None:
    both = graph.compose(networks[:1], INFO, Calibration(), flip=True)
    assert len(both.SerializeToString()) < len(exact.SerializeToString()) + 2000
    (batch,) = graph.open_session(both).run(["probability"], {"images": pixels[:5]})
    assert batch.shape == (5, 1)
    np.testing.assert_allclose(batch[:, 0], graph.run(both, pixels[:5], "probability"), atol=1e-5)


def optimized(proto: onnx.ModelProto, file: Path) -> onnx.ModelProto:
    """What onnxruntime makes of a graph when it loads it."""
    graph.open_session(proto, str(file))
    return onnx.load(file)


def test_float16_halves_the_file_and_onnxruntime_undoes_it_once(
    exact: onnx.ModelProto, pixels: np.ndarray, tmp_path: Path
) -> None:
    half = float16.to_float16(exact)
    assert len(half.SerializeToString()) < 0.6 * len(exact.SerializeToString())
    ours, theirs = (graph.run(each, pixels[:40], "probability") for each in (half, exact))
    assert 0 < np.abs(ours - theirs).max() < 0.01
    loaded, plain = (
        optimized(each, tmp_path / f"{at}.onnx") for at, each in enumerate((half, exact))
    )
    assert [node.op_type for node in loaded.graph.node] == [
        node.op_type for node in plain.graph.node
    ]
    assert all(tensor.data_type != TensorProto.FLOAT16 for tensor in loaded.graph.initializer)


def test_float16_keeps_what_it_cannot_hold_and_the_smallest_tensors() -> None:
    rng = np.random.default_rng(0)
    weights = {
        "usual": rng.normal(0, 1, (40, 40)),
        "zero": np.zeros((40, 40)),
        "huge": np.full((40, 40), 1e5),
        "tiny": rng.normal(0, 1e-7, (40, 40)),
        "nan": np.full((40, 40), np.nan),
        "small": np.ones((4, 40)),
    }
    nodes = [helper.make_node("MatMul", ["x", name], [f"y/{name}"]) for name in weights]
    proto = graph.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 40])],
            [
                helper.make_tensor_value_info(f"y/{name}", TensorProto.FLOAT, ["N", 40])
                for name in weights
                if name != "small"
            ],
            [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
        )
    )
    proto.graph.node[-1].input[:] = ["small", "usual"]
    half = float16.to_float16(proto)
    stored = {t.name for t in half.graph.initializer if t.data_type == TensorProto.FLOAT16}
    assert stored == {"usual/16", "zero/16"}


@pytest.mark.usefixtures("_converted")
def test_weights_stay_float32_where_float16_moves_a_probability_too_far(
    plain: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = export(plain, tmp_path / "m.onnx").info
    assert info.storage["weights"] == "float16"
    assert 0 < info.storage["difference"] <= storing.HALF_TOLERANCE
    monkeypatch.setattr(storing, "HALF_TOLERANCE", 1e-12)
    info = export(plain, tmp_path / "m.onnx").info
    assert info.storage["weights"] == "float32"
    assert info.storage["float16_difference"] > 1e-12
    types = {t.data_type for t in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert TensorProto.FLOAT16 not in types


def test_more_weights_stay_float32_where_float16_moves_too_much(
    exact: onnx.ModelProto, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = dict(zip(float16.SHARES, (0.1, 0.002, 0.0009, 0.0), strict=True))
    shares = []

    def store(proto: onnx.ModelProto, share: float) -> onnx.ModelProto:
        shares.append(share)
        return proto

    monkeypatch.setattr(storing, "to_float16", store)
    monkeypatch.setattr(storing, "write_and_predict", lambda *_: np.array([says[shares[-1]]]))
    _, facts = storing.store_as_float16(exact, tmp_path / "m.onnx", pixels, np.zeros(1))
    assert facts == {"weights": "float16", "float32_share": 0.2, "difference": 0.0009}


def test_a_runs_images_are_read_again_apart(
    read: CalibrationImages, pixels: np.ndarray, demo_data: Path
) -> None:
    assert (read.held_back == pixels[:HELD_BACK]).all()
    assert (read.training == pixels[HELD_BACK:]).all()
    assert list(read.targets) == [item.target for item in read_folders([demo_data])][:HELD_BACK]


@pytest.mark.usefixtures("_converted")
def test_images_that_have_gone_are_one_line(plain: Run, tmp_path: Path, cli: Cli) -> None:
    shutil.copytree(plain.folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.write_json("run.json", {"data": [str(tmp_path / "gone")]})
    result = cli("export", run.folder, "-o", tmp_path / "m.onnx", "--int8")
    assert result.code == 3
    gone = tmp_path / "gone"
    assert result.err == (
        f"error: --int8 needs the images of the run: {gone}: no such folder of images\n"
    )
    assert not (tmp_path / "m.onnx").exists()


def test_int8_leaves_out_the_first_layers_and_the_last(
    quantized: Quantized, exact: onnx.ModelProto, read: CalibrationImages
) -> None:
    assert len(set(quantized.layers)) == 28
    *first, last = quantized.left_out
    assert first == quantized.layers[: len(first)]
    assert last == quantized.layers[-1]
    assert len(first) <= 14
    kinds = [tensor.data_type for tensor in quantized.network.graph.initializer]
    assert kinds.count(TensorProto.INT8) >= 28 - len(quantized.left_out)
    assert len(quantized.network.SerializeToString()) < 0.5 * len(exact.SerializeToString())
    assert len(set(quantized.after)) == len(quantized.after)  # and not one of 256


def test_int8_between_the_first_layer_and_the_last_is_all_integers(
    networks: list[onnx.ModelProto], read: CalibrationImages, tmp_path: Path
) -> None:
    proto = Quantizer(networks[0], read.training[:16]).without_first(1)
    file = str(tmp_path / "optimized.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = file
    options.log_severity_level = 3
    onnxruntime.InferenceSession(proto.SerializeToString(), options)
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    assert kinds.count("QLinearConv") == 26
    assert kinds.count("QuantizeLinear") == 1
    assert kinds.count("DequantizeLinear") == 1
    assert kinds.count("Conv") == 1
    assert not {"Clip", "FusedConv", "QLinearAdd"} & set(kinds)


@pytest.mark.slow
@pytest.mark.usefixtures("_converted")
def test_int8_is_written_within_the_tolerance_and_refused_beyond(
    plain: Run, quantized: Quantized, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["export", plain.folder, "-o", tmp_path / "m.onnx", "--int8", "--flip"]
    wrong = replace(quantized, after=(1 - quantized.targets).clip(0.001, 0.999))
    monkeypatch.setattr(storing, "quantize", lambda *_: wrong)
    refused = cli(*words)
    assert refused.code == 3
    assert "int8 raises log loss on 110 held-back images by" in refused.err
    assert "more than --int8-tolerance 0.01: nothing was written" in refused.err
    assert refused.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(storing, "quantize", lambda *_: quantized)
    done = cli(*words, "--int8-tolerance", "1")
    assert done.code == 0
    assert f"int8, except {len(quantized.left_out)} of 28 layers" in done.err
    info = Predictor(tmp_path / "m.onnx").info
    assert info.storage["weights"] == "int8"
    assert info.storage["images"] == HELD_BACK
    assert info.storage["left_out"] == list(quantized.left_out)
    assert info.storage["after"] == log_loss(quantized.targets, quantized.after)
    assert info.passes == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--float32", "--int8"], "use --float32 or --int8, not both"),
        (["--no-calibrate", "--calibration", "x"], "use --calibration or --no-calibrate, not both"),
    ],
)
def test_options_that_contradict_each_other_are_one_line(
    plain: Run, tmp_path: Path, cli: Cli, words: list[str], expected: str
) -> None:
    result = cli("export", plain.folder, "-o", tmp_path / "m.onnx", *words)
    assert result.code == 2
    assert expected in result.err
    assert result.err.count("\n") == 1


def test_files_of_before_calibration_are_still_read() -> None:
    values = json.loads(INFO.to_json())
    for name in ("passes", "calibration", "storage"):
        del values[name]
    assert read_info({KEY: json.dumps(values)}, "m.onnx") == INFO
    with pytest.raises(ModelFileError, match=r"m\.onnx: its metadata are damaged"):
        read_info({KEY: json.dumps(values | {"passes": "many"})}, "m.onnx")


def test_the_file_names_no_folder_of_the_machine(plain: Run, tmp_path: Path) -> None:
    settings = plain.read_json("settings.json")
    shutil.copytree(plain.folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.write_json("settings.json", settings | {"boxes": "/home/me/boxes.csv"})
    info = build.model_info(run, "m")
    assert info.training["settings"]["boxes"] == "boxes.csv"
    assert "/" not in info.to_json()
