"""Runs of real training, small: on drawings, at 32 pixels, from scratch."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow", reason="needs maskspot[train]")
import keras

from maskspot import Predictor
from maskspot.datasets.labels import read_folders
from maskspot.errors import DataError, ExportError, ImageError
from maskspot.evaluation.metrics import log_loss
from maskspot.exporting import build
from maskspot.exporting.export import export
from maskspot.exporting.options import ExportOptions
from maskspot.exporting.storing import TOLERANCE
from maskspot.images import Preprocessing
from maskspot.model.info import ModelInfo
from maskspot.training import network
from maskspot.training.batches import TrainingBatches
from maskspot.training.examples import Examples, split
from maskspot.training.fit import Task, averaged, fit_head, predict
from maskspot.training.losses import build_optimizer
from maskspot.training.pixel_cache import load_pixels
from maskspot.training.presets import PRESETS, resolve
from maskspot.training.run import Run
from maskspot.training.train import TrainingStopped, resume, train
from tests.helpers import Recorder, tiny_mobilenet

pytestmark = pytest.mark.train

SHOWN = Preprocessing(32, reduce=2, srgb=True)

Cli = Callable[..., object]

SMALL = {
    "backbone": "mobilenet-0.25", "weights": "none", "size": 32, "epochs": 3, "batch_size": 16,
    "ema": 0.9, "seed": 3, "crop": 0.6, "colour": 0.2, "blur": 0.3, "jpeg": 0.3, "cutout": 0.2,
    "mixup": 0.2, "clip_norm": 1.0, "head_first": True, "class_balance": True,
    "label_smoothing": 0.01,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def small_network() -> Iterator[None]:
    with tiny_mobilenet():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, demo_data: Path) -> Run:
    """A run of three epochs on the demo data."""
    run = Run.create(tmp_path_factory.mktemp("runs") / "small", resolve(options=SMALL), [demo_data])
    resume(run)
    return run


def copy(run: Run, folder: Path) -> Run:
    shutil.copytree(run.folder, folder)
    return Run(folder)


def test_a_run_leaves_all_that_it_promises(finished: Run) -> None:
    assert {path.name for path in finished.folder.iterdir()} == {
        "settings.json", "run.json", "history.csv", "train_loss.png", "train_accuracy.png",
        "validation.csv", "metrics.json", "skipped.csv", "best.keras", "last.keras",
        "checkpoint.keras", "check_pixels.npy",
    }  # fmt: skip
    assert [row["epoch"] for row in finished.history()] == [1, 2, 3]
    assert finished.settings == resolve(options=SMALL)
    for name in ("train_loss.png", "train_accuracy.png"):
        with Image.open(finished.folder / name) as plot:
            assert plot.size == (840, 504)


def test_its_metrics_are_those_of_its_validation_predictions(
    finished: Run, demo_data: Path
) -> None:
    lines = (finished.folder / "validation.csv").read_text().splitlines()[1:]
    table = {name: (int(t), float(p)) for name, t, p in (line.split(",") for line in lines)}
    truth = {item.name: item.target for item in read_folders([demo_data])}
    assert len(table) == 32
    assert sum(target for target, _ in table.values()) == 16
    assert all(truth[name] == target for name, (target, _) in table.items())
    items = {item.name: item for item in read_folders([demo_data])}
    pixels = np.stack([SHOWN.read(items[name].path) for name in table])
    kept = predict(network.load(finished.kept()), pixels, np.arange(len(table)))
    np.testing.assert_allclose([p for _, p in table.values()], kept, atol=1e-6)
    loss = log_loss(*zip(*table.values(), strict=True))
    assert finished.read_json("metrics.json")["validation"]["log_loss"] == pytest.approx(loss)
    assert finished.history()[-1]["val_loss"] == pytest.approx(loss, abs=1e-6)


def test_a_stopped_run_ends_as_an_unstopped_one(
    finished: Run, demo_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at its worst: the second epoch is in the history, and not yet in the checkpoint."""
    run = Run.create(finished.folder.parent / "stopped", resolve(options=SMALL), [demo_data])
    save = network.save

    def stop_at_second_checkpoint(model: object, file: Path) -> None:
        if file == run.checkpoint and len(run.history()) == 2:
            raise KeyboardInterrupt
        save(model, file)

    monkeypatch.setattr(network, "save", stop_at_second_checkpoint)
    with pytest.raises(KeyboardInterrupt):
        resume(run)
    assert len(run.history()) == 2
    monkeypatch.undo()
    resume(run)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        ours, theirs = ([row[name] for row in each.history()] for each in (run, finished))
        assert ours == pytest.approx(theirs, rel=1e-5), name
    for ours, theirs in zip(
        network.load(run.kept()).get_weights(),
        network.load(finished.kept()).get_weights(),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_run_whose_data_have_changed_does_not_go_on(
    finished: Run, tmp_path: Path, demo_data: Path
) -> None:
    shutil.copytree(demo_data, tmp_path / "data")
    shutil.copytree(finished.folder.parent, tmp_path / "runs")
    run = Run(tmp_path / "runs" / finished.folder.name)
    run.write_json("run.json", run.read_json("run.json") | {"data": [str(tmp_path / "data")]})
    (run.folder / "metrics.json").unlink()
    resume(run)
    (run.folder / "metrics.json").unlink()
    labels = tmp_path / "data" / "train_labels.csv"
    header, first, *rest = labels.read_text().splitlines()
    flipped = first[:-1] + str(1 - int(first[-1]))
    labels.write_text("\n".join([header, flipped, *rest]))
    with pytest.raises(DataError, match="have changed since it was started"):
        resume(run)


def test_boxes_that_have_changed_do_not_go_on(finished: Run, tmp_path: Path) -> None:
    run = copy(finished, tmp_path / "run")
    run.pin("boxes", b"one", b"two")
    Run(run.folder).pin("boxes", b"one", b"two")
    with pytest.raises(DataError, match="its boxes have changed since it was started"):
        Run(run.folder).pin("boxes", b"one", b"three")


def test_an_unfinished_run_of_an_older_version_does_not_go_on_with_todays_defaults(
    finished: Run, tmp_path: Path, cli: Cli
) -> None:
    run = copy(finished, tmp_path / "run")
    settings = json.loads((run.folder / "settings.json").read_text())
    del settings["mixup"]
    (run.folder / "settings.json").write_text(json.dumps(settings))
    assert Run.open(run.folder).metrics() is not None  # a finished one is exported as before
    (run.folder / "metrics.json").unlink()
    result = cli("train", "-q", "--resume", run.folder)
    assert result.code == 3
    assert (
        "started by a version of maskspot without the setting mixup; start a new run" in result.err
    )


@pytest.mark.parametrize(("clip_norm", "length"), [(0.5, 0.5), (0.0, 20.0)])
def test_gradients_are_clipped_to_the_norm_that_is_set(clip_norm: float, length: float) -> None:
    optimizer = build_optimizer(replace(PRESETS["default"], clip_norm=clip_norm))
    clipped = optimizer._clip_gradients([np.full(4, 10.0, np.float32)])
    assert np.linalg.norm(np.asarray(clipped[0])) == pytest.approx(length)


def test_a_finished_run_is_not_trained_again(finished: Run) -> None:
    before = finished.checkpoint.stat().st_mtime_ns
    assert resume(finished) == finished
    assert finished.checkpoint.stat().st_mtime_ns == before


def test_the_moving_average_is_what_is_kept_and_the_weights_go_on(
    finished: Run, demo_data: Path
) -> None:
    raw, kept = network.load(finished.checkpoint), network.load(finished.kept())
    before = raw.get_weights()
    with averaged(raw, finished.settings):
        for ours, theirs in zip(raw.get_weights(), kept.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    after = raw.get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert any((a != b).any() for a, b in zip(before, kept.get_weights(), strict=True))


def test_the_exported_graph_is_the_kept_network(
    finished: Run, tmp_path: Path, demo_data: Path
) -> None:
    run = copy(finished, tmp_path / "run")
    model = network.load(run.kept())
    paths = sorted((demo_data / "images").iterdir())[:50]
    pixels = np.stack([SHOWN.read(path) for path in paths])
    wake(model, pixels)
    model.save(run.kept())
    options = ExportOptions(name="mine \udce9", float32=True)
    result = export(run, tmp_path / "mine.onnx", options)
    info = result.info
    predictor = Predictor(tmp_path / "mine.onnx")
    keras_says = predict(model, pixels, np.arange(50))
    np.testing.assert_allclose(predictor.probabilities(pixels), keras_says, atol=TOLERANCE)
    assert np.ptp(keras_says) > 0.1
    assert 0 < result.difference <= TOLERANCE
    assert predictor.info == info
    assert info.preprocessing == SHOWN
    assert info.name == "mine \udce9"
    assert info.metrics["log_loss"] == finished.read_json("metrics.json")["validation"]["log_loss"]
    assert info.training["settings"]["seed"] == 3
    assert str(tmp_path) not in info.to_json()


def test_the_surest_network_never_says_exactly_1(finished: Run, tmp_path: Path) -> None:
    run = copy(finished, tmp_path / "run")
    model = network.load(run.kept())
    kernel, _ = model.get_layer("logit").get_weights()
    model.get_layer("logit").set_weights([kernel, np.array([30.0], np.float32)])
    model.save(run.kept())
    export(run, tmp_path / "sure.onnx")
    probabilities = Predictor(tmp_path / "sure.onnx").probabilities(run.check_pixels())
    assert (probabilities > 1 - 1e-9).all()
    assert (probabilities < 1).all()


def wake(model: Any, pixels: np.ndarray) -> None:
    """Calibrate batch normalisation: a network that hardly learned answers 0.5 to everything."""
    for layer in network.layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(pixels.astype(np.float32), training=True)
    head = model.get_layer("logit")
    head.set_weights([head.get_weights()[0] * 3, head.get_weights()[1]])


def test_a_graph_that_differs_is_not_written(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = build.convert

    def convert_another(model: Any, size: int, info: ModelInfo) -> Any:
        twin = keras.models.clone_model(model)
        twin.set_weights([weight + 0.01 for weight in model.get_weights()])
        return convert(twin, size, info)

    monkeypatch.setattr(build, "convert", convert_another)
    (tmp_path / "m.onnx").write_bytes(b"what was there")
    with pytest.raises(ExportError, match=r"differ by .* nothing was written"):
        export(finished, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == b"what was there"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unfinished_run_is_not_exported(finished: Run, tmp_path: Path) -> None:
    run = copy(finished, tmp_path / "run")
    (run.folder / "metrics.json").unlink()
    with pytest.raises(DataError, match="not finished; resume its training first"):
        export(run, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", "{"),
        ("metrics.json", '{"validation": {}}'),
        ("check_pixels.npy", "nothing"),
        ("settings.json", '{"epochs": "many"}'),
        ("run.json", '{"data": 3}'),
        ("last.keras", "nothing"),
    ],
)
def test_a_damaged_run_is_one_line_and_exports_nothing(
    finished: Run, tmp_path: Path, cli: Cli, name: str, content: str
) -> None:
    run = copy(finished, tmp_path / "run")
    (run.folder / name).write_text(content)
    result = cli("export", run.folder, "-o", tmp_path / "m.onnx")
    assert result.code == 3
    assert f"{name}: " in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("history.csv", "epoch\nx\n"), ("history.csv", None), ("checkpoint.keras", "nothing")],
)
def test_a_damaged_run_does_not_go_on_and_is_kept(
    finished: Run, cli: Cli, name: str, content: str | None
) -> None:
    run = copy(finished, finished.folder.parent / f"damaged-{name}-{content is None}")
    (run.folder / "metrics.json").unlink()
    (run.folder / name).unlink()
    if content is not None:
        (run.folder / name).write_text(content)
    result = cli("train", "-q", "--resume", run.folder)
    assert result.code == 3
    assert name in result.err
    assert result.err.count("\n") == 1
    assert (run.folder / "best.keras").exists()


def test_what_resume_cannot_use_is_never_deleted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "run.json").write_text('{"data": ["gone"]}')
    assert cli("train", "--resume", tmp_path).code == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_an_export_is_named_as_a_model_and_replaces_nothing_else(finished: Run, cli: Cli) -> None:
    before = finished.kept().read_bytes()
    assert cli("export", finished.folder, "-o", finished.kept()).code == 2
    assert finished.kept().read_bytes() == before


@pytest.mark.parametrize("name", ["best.keras", "last.keras"])
def test_a_damaged_checkpoint_is_one_line(finished: Run, tmp_path: Path, name: str) -> None:
    run = copy(finished, tmp_path / "run")
    (run.folder / name).write_bytes(b"PK\3\4 no zip")
    with pytest.raises(DataError, match=rf"{name}: damaged checkpoint") as error:
        network.load(run.folder / name)
    assert "\n" not in str(error.value)


def test_the_split_is_stratified_seeded_and_disjoint() -> None:
    targets = np.array([1] * 70 + [0] * 30 + [np.nan] * 5, np.float32)
    training, validation = split(targets, 0.2, seed=1)
    assert np.nansum(targets[validation]) == 14
    assert len(validation) == 20
    assert sorted([*training, *validation]) == list(range(100))
    assert (split(targets, 0.2, seed=1)[1] == validation).all()
    assert (split(targets, 0.2, seed=2)[1] != validation).any()
    tiny = split(np.array([0, 1, 1, 0], np.float32), 0.01, seed=0)
    assert [len(part) for part in tiny] == [2, 2]


def test_an_epoch_shows_each_image_at_most_once_and_the_next_shuffles() -> None:
    pixels = np.arange(10, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 32, 32, 3), np.uint8)
    settings = resolve("seed", options={"batch_size": 3, "size": 32, "partial_batches": False})
    batches = TrainingBatches(
        Examples.from_pixels(pixels, np.zeros(10, np.float32)), np.arange(10), settings
    )
    assert batches.steps == 3
    epochs = [
        [int(image.mean()) for step in range(3) for image in batches.batch(epoch, step).images]
        for epoch in range(2)
    ]
    assert all(len(set(epoch)) == 9 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_partial_batches_show_every_image_once() -> None:
    pixels = np.zeros((10, 32, 32, 3), np.uint8)
    settings = resolve(options={"batch_size": 4, "size": 32, "epochs": 2, "partial_batches": True})
    batches = TrainingBatches(
        Examples.from_pixels(pixels, np.zeros(10, np.float32)), np.arange(10), settings
    )
    assert [len(x) for x, _, _ in batches.dataset()] == [4, 4, 2, 4, 4, 2]


def test_with_class_balance_both_classes_weigh_alike() -> None:
    pixels = np.zeros((8, 32, 32, 3), np.uint8)
    targets = np.array([1, 1, 1, 1, 1, 1, 0, 0], np.float32)
    settings = resolve(options={"batch_size": 8, "size": 32, "class_balance": True})
    batch = TrainingBatches(Examples.from_pixels(pixels, targets), np.arange(8), settings).batch(
        0, 0
    )
    weight = {label: batch.weights[batch.targets[:, 0] == label].sum() for label in (0, 1)}
    assert weight == {0: pytest.approx(4), 1: pytest.approx(4)}


def test_batches_from_an_epoch_on_are_those_of_a_whole_run() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    settings = resolve(options={"batch_size": 4, "size": 32, "epochs": 3})
    targets = np.array([0, 1] * 4, np.float32)
    batches = TrainingBatches(Examples.from_pixels(pixels, targets), np.arange(8), settings)
    whole = list(batches.dataset())[2 * batches.steps :]
    rest = list(batches.dataset(first_epoch=2))
    assert len(rest) == batches.steps
    for (x, y, _), (a, b, _) in zip(whole, rest, strict=True):
        assert (x.numpy() == a.numpy()).all()
        assert (y.numpy() == b.numpy()).all()
        assert x.dtype == np.float32


def test_images_are_decoded_once_and_again_when_they_change(pictures: Path, tmp_path: Path) -> None:
    paths = sorted(pictures.iterdir())
    progress = Recorder()
    first = load_pixels(paths, Preprocessing(32), tmp_path / "cache", progress)
    assert progress.updates["decoding"] == [1, 2, 3, 4, 5, 6]
    assert isinstance(first.array, np.memmap)
    expected = np.stack([Preprocessing(32).read(path) for path in paths])
    assert (first.array == expected).all()
    load_pixels(paths, Preprocessing(32), tmp_path / "cache", progress)
    assert len(progress.updates["decoding"]) == 6
    shutil.copyfile(paths[0], paths[1])
    load_pixels(paths, Preprocessing(32), tmp_path / "cache", progress)
    assert len(progress.updates["decoding"]) == 12
    load_pixels(paths, Preprocessing(32, "pad"), tmp_path / "cache", progress)
    assert len(progress.updates["decoding"]) == 18


def test_a_damaged_cache_is_made_again(pictures: Path, tmp_path: Path) -> None:
    paths = sorted(pictures.iterdir())
    first = load_pixels(paths, Preprocessing(32), tmp_path / "cache").array.copy()
    for damage in (b"", b"nothing", None):
        (file,) = (tmp_path / "cache").glob("*.npy")
        file.write_bytes(damage if damage is not None else file.read_bytes()[:500])
        assert (load_pixels(paths, Preprocessing(32), tmp_path / "cache").array == first).all()


def test_an_image_that_has_become_readable_is_read(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(pictures.iterdir())

    def refuse(*_: object) -> None:
        raise ImageError("its plug-in is missing")

    with monkeypatch.context() as without_plug_in:
        without_plug_in.setattr(Preprocessing, "read", refuse)
        assert len(load_pixels(paths, Preprocessing(32), tmp_path / "cache").errors) == 6
    assert not load_pixels(paths, Preprocessing(32), tmp_path / "cache").errors


def test_a_loss_that_is_no_number_ends_in_one_line(demo_data: Path, tmp_path: Path) -> None:
    options = SMALL | {"learning_rate": 1e6, "weight_decay": 1.0, "warmup": 0.0}
    run = Run.create(tmp_path / "run", resolve(options=options), [demo_data])
    with pytest.raises(DataError, match=r"diverged in epoch 1 .* `learning_rate` below 1e\+06"):
        resume(run)


@pytest.mark.slow
def test_the_commands_run_from_drawing_to_submission(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one unreadable photo among the training images, which is left out."""
    monkeypatch.chdir(tmp_path)
    assert cli("fetch", "--demo", "data").code == 0
    bad = read_folders([Path("data")])[0]
    bad.path.write_bytes(b"nothing")
    Path("my.toml").write_text("epochs = 5\nbatch_size = 32\nsize = 32\n")
    words = ["--backbone", "mobilenet-0.25", "--weights", "none", "--epochs", "1"]
    result = cli("train", "data", "--config", "my.toml", *words)
    assert (result.code, result.out) == (0, "runs/mobilenet-0.25-1\n")
    assert "160 images: 80 with a mask, 80 without" in result.err
    assert f"warning: {bad.path.resolve()}: not an image" in result.err
    assert "epoch 1: loss" in result.err
    run = Path("runs/mobilenet-0.25-1")
    assert bad.name in (run / "skipped.csv").read_text()
    assert bad.name not in (run / "validation.csv").read_text()
    settings = json.loads((run / "settings.json").read_text())
    assert (settings["epochs"], settings["batch_size"]) == (1, 32)
    result = cli("export", run, "-o", "model.onnx")
    assert result.code == 0
    assert "Keras and onnxruntime agree" in result.err
    sample = Path("data/sample_sub_v2.csv")
    words = ["-m", "model.onnx", "--sample", sample, "-o", "sub.csv"]
    assert cli("predict", "data/images", *words).code == 0
    lines = Path("sub.csv").read_bytes().split(b"\r\n")
    assert [line.split(b",")[0] for line in lines] == [
        line.split(b",")[0] for line in sample.read_bytes().split(b"\r\n")
    ]
    assert cli("train", "--resume", run).code == 0


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["none"], 3, "none: no such folder"),
        ([], 2, "name a folder"),
        (["data", "--epochs", "0"], 2, "epochs"),
        (["data", "--backbone", "vgg"], 2, "backbone"),
        (["data", "--config", "none.toml"], 2, "none.toml"),
        (["data", "--name", "../x"], 2, "--name"),
        (
            ["data", "--name", "taken"],
            2,
            "--name, or continue it with --resume runs/taken",
        ),
        (["data", "--weights", "none.h5"], 2, "--weights: none.h5 is not a file"),
        (["--resume", "data"], 3, "data: not a training run"),
        (["data", "--name", ""], 2, "--name"),
        (["--resume", "x", "--epochs", "3"], 2, "--resume keeps the settings of the run"),
    ],
)
def test_every_mistake_is_one_line_and_leaves_no_run(
    cli: Cli,
    demo_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").symlink_to(demo_data)
    Path("runs/taken").mkdir(parents=True)
    result = cli("train", "-q", *words)
    assert result.code == code
    assert expected in result.err
    assert result.err.count("\n") == 1
    assert [path for path in os.listdir("runs") if not path.startswith(".")] == ["taken"]


def test_the_last_layer_is_fitted_to_the_features_it_starts_with() -> None:
    rng = np.random.default_rng(0)
    targets = np.array([0, 1] * 16, np.float32)
    pixels = rng.integers(0, 120, (32, 32, 32, 3), dtype=np.uint8)
    pixels[targets == 1] += 120
    model = network.build(resolve(options=SMALL))
    for weight in model.weights:
        if weight.path.endswith("gamma"):  # else a random network's features hardly vary
            weight.assign(weight * 3)
    rows = np.arange(32)
    before = log_loss(targets, predict(model, pixels, rows))
    fit_head(model, Task(Examples.from_pixels(pixels, targets), rows, rows), seed=0)
    assert log_loss(targets, predict(model, pixels, rows)) < before / 2


def test_what_is_handed_on_may_keep_a_share_of_the_start(tmp_path: Path, demo_data: Path) -> None:
    """And so it does when the run was stopped and resumed."""
    settings = resolve(options=SMALL | {"epochs": 2, "keep_start": 0.25, "ema": 0.0})
    run = Run.create(tmp_path / "kept", settings, [demo_data])
    with pytest.raises(KeyboardInterrupt):
        resume(run, progress=Recorder(stop_in=2))
    resume(run)
    start, end, kept = (
        network.load(file).get_weights() for file in (run.start, run.checkpoint, run.kept())
    )
    for a, b, c in zip(start, end, kept, strict=True):
        np.testing.assert_allclose(c, 0.25 * a + 0.75 * b, rtol=1e-5, atol=1e-6)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(start, end, strict=True))


@pytest.mark.parametrize("begun", [True, False])
def test_a_new_run_of_folds_that_fails_is_kept_once_a_fold_has_finished_an_epoch(
    begun: bool, demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run, *_: object) -> None:
        if begun:
            run.fold(1).checkpoint.touch()
        raise DataError("not a number")

    monkeypatch.setattr("maskspot.training.train_run.train_run", fail)
    with pytest.raises(DataError):
        train([demo_data], name="run", runs=tmp_path)
    assert (tmp_path / "run").exists() == begun


def test_training_that_is_interrupted_names_its_run_and_what_continues_it(
    cli: Cli, demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(run: Run, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("maskspot.training.train_run.train_run", interrupt)
    with pytest.raises(TrainingStopped) as stopped:
        train([demo_data], resolve(options=SMALL), name="one")
    assert stopped.value.run == Run(Path("runs/one"))
    result = cli("train", "-q", demo_data, "--name", "two")
    assert result.code == 130
    assert "stopped; continue with: maskspot train --resume runs/two\n" in result.err


def test_training_reports_its_steps_and_epochs(demo_data: Path, tmp_path: Path) -> None:
    progress = Recorder()
    settings = resolve(options=SMALL | {"epochs": 2})
    run = train([demo_data], settings, name="run", runs=tmp_path, progress=progress)
    assert progress.steps == [
        *("loading TensorFlow", "reading images", "decoding", "preparing the network", "training"),
    ]
    assert progress.updates["training"] == [16 * step for step in range(1, 17)]
    assert progress.said[0] == "160 images: 80 with a mask, 80 without"
    assert [line.split(":")[0] for line in progress.said[1:]] == ["epoch 1", "epoch 2"]
    assert run.metrics()
