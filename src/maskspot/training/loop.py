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
from maskspot.training.curves import draw_curves
from maskspot.training.devices import devices
from maskspot.training.pipeline import Examples, Teacher, TrainingBatches, evaluation_batches
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
    settings, validation = run.settings, task.validation
    pixels, targets = task.examples.pixels, task.examples.targets
    keras.utils.set_random_seed(settings.seed)
    batches = TrainingBatches(task.examples, task.training, settings, task.teacher)
    model, history = _start_or_resume(run, task, batches.steps)
    judged = network.judged(settings)
    weights = _class_weights(targets[task.training]) if settings.class_balance else None
    stream = iter(batches.dataset(first_epoch=len(history)))
    losses = [row["val_loss"] for row in history]
    while not schedule.should_stop(settings, losses):
        row = _epoch(model, stream, batches, losses, listener, weights)
        with averaged(model, settings):
            judged.set_weights(model.get_weights())
        probabilities = predict(judged, pixels, validation)
        _save(judged, run.folder / "last.keras")
        row["val_loss"] = log_loss(targets[validation], probabilities)
        row["val_accuracy"] = accuracy(targets[validation], probabilities)
        history.append(row)
        losses.append(row["val_loss"])
        best = schedule.best_epoch(losses) == len(losses) - 1
        if best:
            with replacing(run.folder / "best.keras") as beside:
                shutil.copyfile(run.folder / "last.keras", beside)
        if best or settings.keep == "last":
            run.write_predictions([task.images[at] for at in validation], probabilities)
        run.write_history(history)
        draw_curves(run.folder, history, schedule.best_epoch(losses))
        # Last of all: until it is in place, a resume repeats the epoch.
        _save(model, run.checkpoint)
        listener.epoch(row, best)
    return _finish(run, history)


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


def map_loss(grid: Any, heatmap: Any) -> Any:
    """Return the cross-entropy between where the masks are and where the map is hottest, (N,).

    Both are (N, G, G, 1); the map goes through a softmax over its cells. It is 0 where the grid
    is, so that images without boxes say nothing.
    """
    ops = keras.ops
    cells = ops.log_softmax(ops.reshape(heatmap, (ops.shape(heatmap)[0], -1)), axis=-1)
    return -ops.sum(ops.reshape(grid, ops.shape(cells)) * cells, axis=-1)


def _agreement(targets: Any, logits: Any) -> Any:
    """Return whether logits fall on the targets' side of one half; targets may be soft."""
    return keras.ops.equal(targets > 0.5, logits > 0)  # noqa: PLR2004


def compiled(model: Any, settings: Settings) -> Any:
    """Give a network the optimizer and the losses of the settings, and return it."""
    of_labels = keras.losses.BinaryCrossentropy(
        from_logits=True, label_smoothing=settings.label_smoothing
    )
    both = bool(settings.heatmap)
    model.compile(
        optimizer=_optimizer(settings),
        loss=[of_labels, map_loss] if both else of_labels,
        loss_weights=[1.0, settings.heatmap] if both else None,
        metrics=[[_agreement], []] if both else [_agreement],
        jit_compile=False,  # XLA runs at a fraction of the speed on a CPU
    )
    model.optimizer.build(model.trainable_variables)
    return model


# A checkpoint names them.
for _each in (map_loss, _agreement):
    keras.saving.register_keras_serializable("maskspot")(_each)


def fit_head(model: Any, task: Task, seed: int) -> None:
    """Set the last layer by logistic regression on the features of some images as they are."""
    rows = np.random.default_rng(seed).permutation(task.training)[:HEAD_IMAGES]
    outputs = network.features(model).predict(
        evaluation_batches(task.examples.pixels, rows), verbose=0
    )
    weights, bias = logistic_regression(outputs.astype(np.float64), task.examples.targets[rows])
    model.get_layer("logit").set_weights([weights[:, None], np.array([bias])])


def _class_weights(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weights of the labels 0 and 1 under which both classes count alike."""
    share = float(np.mean(targets))
    return np.array([0.5 / (1 - share), 0.5 / share], dtype=np.float32)


def _optimizer(settings: Settings) -> Any:
    common: dict[str, Any] = {"amsgrad": settings.amsgrad}
    if settings.clip_norm:
        common["global_clipnorm"] = settings.clip_norm
    if settings.ema:
        common |= {"use_ema": True, "ema_momentum": settings.ema}
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(**common)
    optimizer = keras.optimizers.AdamW(weight_decay=settings.weight_decay, **common)
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
    class_weights: NDArray[np.float32] | None,
) -> Row:
    """Train for an epoch and return its first figures."""
    epoch, started, rate, seen = len(losses), time.perf_counter(), 0.0, 0
    sums = {"loss": 0.0, "accuracy": 0.0}
    _seed_dropout(model, batches.settings.seed, epoch)
    for step in range(batches.steps):
        rate = schedule.learning_rate(batches.settings, losses, epoch + step / batches.steps)
        model.optimizer.learning_rate.assign(rate)
        images, targets, grids = next(stream)
        logs = train_step(model, images, targets, grids, class_weights)
        sums = {name: total + logs[name] * len(images) for name, total in sums.items()}
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


def train_step(
    model: Any, images: Any, targets: Any, grids: Any, class_weights: NDArray[np.float32] | None
) -> dict[str, float]:
    """Train on one batch and return its loss and accuracy."""
    weights = None
    if class_weights is not None:  # soft labels weigh in between
        weights = class_weights[0] + targets[:, 0] * (class_weights[1] - class_weights[0])
    if len(model.outputs) == 1:
        logs = model.train_on_batch(images, targets, weights, return_dict=True)
        return {"loss": float(logs["loss"]), "accuracy": float(logs["_agreement"])}
    logs = model.train_on_batch(images, [targets, grids], [weights, None], return_dict=True)
    return {"loss": float(logs["logit_loss"]), "accuracy": float(logs["logit__agreement"])}


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
