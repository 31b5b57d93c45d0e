"""The training of one network: epochs, checkpoints, results; it goes on from where it stood."""

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from maskspot.datasets.labels import Labelled
from maskspot.errors import DataError
from maskspot.evaluation.logistic import logistic_regression, sigmoid
from maskspot.evaluation.metrics import accuracy, log_loss, summary
from maskspot.files import replacing
from maskspot.training import network, schedule, warmstart
from maskspot.training.accelerators import devices
from maskspot.training.batches import Examples, Teacher, TrainingBatches, evaluation_batches
from maskspot.training.curves import draw_curves
from maskspot.training.losses import compiled
from maskspot.training.run import Row, Run
from maskspot.training.settings import Settings

HEAD_IMAGES = 2000
"""Images to which the last layer is fitted at the start, at most: a pass over them is short."""

Probabilities = NDArray[np.float64]


class Listener(Protocol):
    """Who is told how training goes."""

    def data(self, images: Sequence[Labelled]) -> None:
        """The labels are read; the images are about to be decoded."""

    def fold(self, number: int, folds: int) -> None:
        """Training of one of several networks begins."""

    def balanced(self, before: float, after: float) -> None:
        """How well files and facts predict the label, as AUC, and of images by their weights."""

    def decoded(self, count: int) -> None:
        """So many more images are decoded."""

    def skipped(self, item: Labelled, reason: str) -> None:
        """An image cannot be read; training goes on without it."""

    def step(self, epoch: int, step: int, steps: int, loss: float, speed: float) -> None:
        """A step is done: loss of its epoch so far, speed in images per second."""

    def epoch(self, row: Row, best: bool) -> None:
        """An epoch is done and saved."""


@dataclass(frozen=True)
class Task:
    """What one network learns from, and what it is judged by.

    Attributes:
        images: every image, by row.
        examples: their pixels and labels.
        training: rows to learn from.
        validation: rows held back.
        teacher: to learn from, beside the labels.
    """

    images: Sequence[Labelled]
    examples: Examples
    training: NDArray[np.intp]
    validation: NDArray[np.intp]
    teacher: Teacher | None = None


def fit(run: Run, task: Task, listener: Listener) -> dict[str, Any]:
    """Train a run's network from where it stands to its end, and return its metrics.

    Raises:
        DataError: the loss is no longer a number, or the checkpoint is not this run's.
    """
    if (finished := run.metrics()) is not None:
        return finished
    settings = run.settings
    keras.utils.set_random_seed(settings.seed)
    batches = TrainingBatches(task.examples, task.training, settings, task.teacher)
    model, history = _start_or_resume(run, task, batches.steps)
    if not schedule.should_stop(settings, [row["val_loss"] for row in history]):
        model.fit(
            batches.dataset(first_epoch=len(history)),
            initial_epoch=len(history),
            epochs=settings.epochs,
            steps_per_epoch=batches.steps,
            shuffle=False,  # they are, by epoch
            callbacks=[_Epochs(run, task, batches, history, listener)],
            verbose=0,
        )
    return _finish(run, history)


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """What happens around the steps of training: rates before them, results after each epoch.

    Keras' own callbacks forget what they knew when a run stops. This one knows nothing but the
    history, which is in the run.
    """

    def __init__(
        self,
        run: Run,
        task: Task,
        batches: TrainingBatches,
        history: list[Row],
        listener: Listener,
    ) -> None:
        super().__init__()
        self.run, self.task, self.batches = run, task, batches
        self.history, self.listener = history, listener
        self.losses = [row["val_loss"] for row in history]
        self.judged = network.judged(run.settings)
        self.started = self.rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        _seed_dropout(self.model, self.run.settings.seed, epoch)
        self.started = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        epochs = len(self.losses) + batch / self.batches.steps
        self.rate = schedule.learning_rate(self.run.settings, self.losses, epochs)
        self.model.optimizer.learning_rate.assign(self.rate)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss, epoch = _of_labels(logs)["loss"], len(self.losses) + 1
        if not math.isfinite(loss):
            raise DataError(
                f"training diverged in epoch {epoch} (its loss is no longer a number): start "
                f"again with a --learning-rate below {self.run.settings.learning_rate:g}"
            )
        self.listener.step(epoch, batch + 1, self.batches.steps, loss, self._speed(batch + 1))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        settings = self.run.settings
        row = {
            "epoch": epoch + 1,
            "learning_rate": self.rate,
            **_of_labels(logs),
            "images_per_second": self._speed(self.batches.steps),
        }
        with averaged(self.model, settings):
            self.judged.set_weights(self._with_start(self.model.get_weights()))
        self._judge(row)
        # Last of all: until it is in place, a resume repeats the epoch.
        _save(self.model, self.run.checkpoint)
        self.listener.epoch(row, schedule.best_epoch(self.losses) == epoch)
        self.model.stop_training = schedule.should_stop(settings, self.losses)

    def _with_start(self, weights: list[Any]) -> list[Any]:
        """Average weights with those that training started from.

        Features of the start that training has no use for help on images of other kinds (Wortsman
        et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
        """
        if not (share := self.run.settings.keep_start):
            return weights
        start = network.load(self.run.start).get_weights()
        return [share * a + (1 - share) * b for a, b in zip(start, weights, strict=True)]

    def _judge(self, row: Row) -> None:
        """Write what the epoch's network says of the validation set, and the network."""
        run, task = self.run, self.task
        probabilities = predict(self.judged, task.examples.pixels, task.validation)
        _save(self.judged, run.folder / "last.keras")
        targets = task.examples.targets[task.validation]
        row["val_loss"] = log_loss(targets, probabilities)
        row["val_accuracy"] = accuracy(targets, probabilities)
        self.history.append(row)
        self.losses.append(row["val_loss"])
        best = schedule.best_epoch(self.losses) == len(self.losses) - 1
        if best:
            with replacing(run.folder / "best.keras") as beside:
                shutil.copyfile(run.folder / "last.keras", beside)
        if best or run.settings.keep == "last":
            run.write_predictions([task.images[at] for at in task.validation], probabilities)
        run.write_history(self.history)
        draw_curves(run.folder, self.history, schedule.best_epoch(self.losses))

    def _speed(self, steps: int) -> float:
        """Return images per second since the epoch began."""
        return self.batches.images(steps) / (time.perf_counter() - self.started)


def _of_labels(logs: Any) -> dict[str, float]:
    """Return loss and accuracy on the labels, the mean over an epoch's images so far."""
    prefix = "logit_" if "logit_loss" in logs else ""
    return {
        "loss": float(logs[f"{prefix}loss"]),
        "accuracy": float(logs[f"{prefix}agreement"]),
    }


def predict(model: Any, pixels: NDArray[np.uint8], rows: NDArray[np.intp]) -> Probabilities:
    """Return the network's probabilities, float64 (N,), for rows of pixels."""
    logits = model.predict(evaluation_batches(pixels, rows), verbose=0)
    return sigmoid(logits.ravel())


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


def _start_or_resume(run: Run, task: Task, steps: int) -> tuple[Any, list[Row]]:
    """Return the network, compiled, and the history up to where it stands."""
    settings = run.settings
    resumed = network.load(run.checkpoint) if run.checkpoint.is_file() else None
    with devices(settings):
        start = replace(settings, weights="none", init=None) if resumed else settings
        model = compiled(network.build(start), settings)
    if resumed is None:
        warmstart.start(model, settings, task.examples.pixels[task.training[: warmstart.MEASURED]])
        if settings.head_first and (settings.init or settings.weights != "none"):
            fit_head(model, task, settings.seed)
        if settings.keep_start:
            start = network.judged(settings)
            start.set_weights(model.get_weights())
            _save(start, run.start)
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


def fit_head(model: Any, task: Task, seed: int) -> None:
    """Set the last layer by logistic regression on the features of some images as they are."""
    rows = np.random.default_rng(seed).permutation(task.training)[:HEAD_IMAGES]
    outputs = network.features(model).predict(
        evaluation_batches(task.examples.pixels, rows), verbose=0
    )
    weights, bias = logistic_regression(outputs.astype(np.float64), task.examples.targets[rows])
    model.get_layer("logit").set_weights([weights[:, None], np.array([bias])])


def _seed_dropout(model: Any, seed: int, epoch: int) -> None:
    """Make an epoch's dropout depend on the seed and the epoch alone, as its batches do."""
    for at, layer in enumerate(network.layers(model)):
        if hasattr(layer, "seed_generator"):
            layer.seed_generator.state.assign([seed + at, epoch])


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


def _save(model: Any, file: Path) -> None:
    with replacing(file) as beside:
        model.save(beside)
