"""The training loop: epochs, checkpoints, results; whatever stops it, `--resume` goes on."""

import hashlib
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from maskspot.datasets.labels import Labelled, read_folders
from maskspot.errors import DataError
from maskspot.evaluation.metrics import accuracy, log_loss, summary
from maskspot.files import replacing
from maskspot.images import Preprocessing
from maskspot.training import network, schedule
from maskspot.training.config import Settings
from maskspot.training.curves import draw_curves
from maskspot.training.pipeline import TrainingBatches, evaluation_batches, split
from maskspot.training.pixels import load_pixels
from maskspot.training.run import Row, Run

CHECK_IMAGES = 64
"""Images kept in a run, against which an export is checked: of the validation set, and of the
training set where that has fewer."""


Probabilities = NDArray[np.float64]


class Listener(Protocol):
    """Who is told how training goes."""

    def data(self, images: Sequence[Labelled]) -> None:
        """The labels are read; the images are about to be decoded."""

    def decoded(self, count: int) -> None:
        """So many more images are decoded."""

    def skipped(self, item: Labelled, reason: str) -> None:
        """An image cannot be read; training goes on without it."""

    def step(self, epoch: int, step: int, steps: int, loss: float, speed: float) -> None:
        """A step is done: loss of its epoch so far, speed in images per second."""

    def epoch(self, row: Row, best: bool) -> None:
        """An epoch is done and saved."""


def train(run: Run, listener: Listener) -> dict[str, Any]:
    """Train a run from where it stands to its end, and return its metrics.

    Raises:
        DataError: the data cannot be used, or the loss is no longer a number.
    """
    if (finished := run.metrics()) is not None:
        return finished
    settings = run.settings
    keras.utils.set_random_seed(settings.seed)
    images, pixels, targets = _load(run, settings, listener)
    training, validation = split(targets, settings.validation, settings.seed)
    _keep_check_pixels(run, pixels[np.concatenate([validation, training])[:CHECK_IMAGES]])
    batches = TrainingBatches(pixels, targets, training, settings)
    model, history = _start_or_resume(run, settings, batches.steps)
    stream = iter(batches.dataset(first_epoch=len(history)))
    losses = [row["val_loss"] for row in history]
    while not schedule.should_stop(settings, losses):
        row = _epoch(model, stream, batches, losses, listener)
        with averaged(model, settings):
            probabilities = predict(model, pixels, validation)
            # A network of its own, uncompiled: without the optimizer's state.
            _save(keras.Model(model.input, model.output), run.folder / "last.keras")
        row["val_loss"] = log_loss(targets[validation], probabilities)
        row["val_accuracy"] = accuracy(targets[validation], probabilities)
        history.append(row)
        losses.append(row["val_loss"])
        best = schedule.best_epoch(losses) == len(losses) - 1
        if best:
            with replacing(run.folder / "best.keras") as beside:
                shutil.copyfile(run.folder / "last.keras", beside)
        if best or settings.keep == "last":
            run.write_predictions([images[at] for at in validation], probabilities)
        run.write_history(history)
        draw_curves(run.folder, history, schedule.best_epoch(losses))
        # Last of all: until it is in place, a resume repeats the epoch.
        _save(model, run.checkpoint)
        listener.epoch(row, best)
    return _finish(run, history)


def predict(model: Any, pixels: NDArray[np.uint8], rows: NDArray[np.intp]) -> Probabilities:
    """Return the network's probabilities, float64 (N,), for rows of pixels."""
    logits = model.predict(evaluation_batches(pixels, rows), verbose=0)
    return np.asarray(1 / (1 + np.exp(-logits.ravel().astype(np.float64))))


@contextmanager
def averaged(model: Any, settings: Settings) -> Iterator[None]:
    """Put the moving average of the weights in place of the weights, where one is kept."""
    if not settings.ema:
        yield
        return
    raw = [variable.numpy() for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, raw, strict=True):
            variable.assign(value)


def _load(
    run: Run, settings: Settings, listener: Listener
) -> tuple[list[Labelled], NDArray[np.uint8], NDArray[np.float32]]:
    """Return images, pixels and targets, row by row; the target of an unreadable image is NaN."""
    images = read_folders(run.data, settings.layout)
    listener.data(images)
    pixels = load_pixels(
        [item.path for item in images],
        Preprocessing(settings.size, settings.fit, settings.filter),
        run.folder.parent / ".cache",
        listener.decoded,
    )
    targets = np.array([item.target for item in images], dtype=np.float32)
    run.pin_data(hashlib.sha256(pixels.key.encode() + targets.tobytes()).hexdigest())
    skipped = []
    for at, reason in sorted(pixels.errors.items()):
        targets[at] = np.nan
        skipped.append((images[at].name, reason))
        listener.skipped(images[at], reason)
    run.write_csv("skipped.csv", ["image", "reason"], skipped)
    for target, word in ((1, "with"), (0, "without")):
        if np.count_nonzero(targets == target) < 2:  # noqa: PLR2004
            raise DataError(f"{run.data[0]}: fewer than two readable images {word} a mask")
    return images, pixels.array, targets


def _start_or_resume(run: Run, settings: Settings, steps: int) -> tuple[Any, list[Row]]:
    """Return the network, compiled, and the history up to where it stands."""
    resumed = network.load(run.checkpoint) if run.checkpoint.is_file() else None
    model = network.build(replace(settings, weights="none") if resumed else settings)
    model.compile(
        optimizer=_optimizer(settings),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)],
        jit_compile=False,  # XLA runs at a fraction of the speed on a CPU
    )
    model.optimizer.build(model.trainable_variables)
    if resumed is None:
        return model, []
    # Into a network of our own making: Keras does not restore which weights do not decay.
    try:
        model.set_weights(resumed.get_weights())
        for ours, saved in zip(model.optimizer.variables, resumed.optimizer.variables, strict=True):
            ours.assign(saved)
    except (AttributeError, ValueError):
        raise DataError(f"{run.checkpoint}: not this run's checkpoint") from None
    epochs = int(model.optimizer.iterations.numpy()) // steps
    history = run.history()[:epochs]
    if len(history) < epochs:
        raise DataError(f"{run.folder / 'history.csv'}: fewer epochs than its checkpoint has")
    return model, history


def _optimizer(settings: Settings) -> Any:
    average = {"use_ema": True, "ema_momentum": settings.ema} if settings.ema else {}
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(amsgrad=settings.amsgrad, **average)
    optimizer = keras.optimizers.AdamW(
        weight_decay=settings.weight_decay, amsgrad=settings.amsgrad, **average
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


def _seed_dropout(model: Any, seed: int, epoch: int) -> None:
    """Make an epoch's dropout depend on the seed and the epoch alone, as its batches do."""
    for at, layer in enumerate(network.layers(model)):
        if hasattr(layer, "seed_generator"):
            layer.seed_generator.state.assign([seed + at, epoch])


def _epoch(
    model: Any,
    stream: Iterator[Any],
    batches: TrainingBatches,
    losses: Sequence[float],
    listener: Listener,
) -> Row:
    """Train for an epoch and return its first figures."""
    epoch, started, rate, seen = len(losses), time.perf_counter(), 0.0, 0
    sums = {"loss": 0.0, "accuracy": 0.0}
    _seed_dropout(model, batches.settings.seed, epoch)
    for step in range(batches.steps):
        rate = schedule.learning_rate(batches.settings, losses, epoch + step / batches.steps)
        model.optimizer.learning_rate.assign(rate)
        images, targets = next(stream)
        logs = model.train_on_batch(images, targets, return_dict=True)  # of this batch alone
        sums = {name: total + float(logs[name]) * len(images) for name, total in sums.items()}
        seen += len(images)
        if not math.isfinite(sums["loss"]):
            raise DataError(
                f"training diverged in epoch {epoch + 1} (its loss is no longer a number): "
                f"start again with a --learning-rate below {batches.settings.learning_rate:g}"
            )
        speed = seen / (time.perf_counter() - started)
        listener.step(epoch + 1, step + 1, batches.steps, sums["loss"] / seen, speed)
    return {
        "epoch": epoch + 1,
        "learning_rate": rate,
        **{name: total / seen for name, total in sums.items()},
        "images_per_second": seen / (time.perf_counter() - started),
    }


def _finish(run: Run, history: Sequence[Row]) -> dict[str, Any]:
    """Write the metrics, which say that the run is finished."""
    best = schedule.best_epoch([row["val_loss"] for row in history])
    metrics = {
        "kept_epoch": len(history) if run.settings.keep == "last" else best + 1,
        "best_epoch": best + 1,
        "epochs": len(history),
        "validation": dict(summary(*run.read_predictions())),
    }
    run.write_json("metrics.json", metrics)
    return metrics


def _keep_check_pixels(run: Run, pixels: NDArray[np.uint8]) -> None:
    with replacing(run.folder / "check_pixels.npy") as beside, beside.open("wb") as stream:
        np.save(stream, pixels)


def _save(model: Any, file: Path) -> None:
    with replacing(file) as beside:
        model.save(beside)
