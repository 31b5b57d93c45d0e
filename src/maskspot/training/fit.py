"""The training of one network: epochs, checkpoints and results; it can be resumed."""

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from maskspot.errors import DataError
from maskspot.evaluation.logistic import logistic_regression, sigmoid
from maskspot.evaluation.metrics import accuracy, log_loss, summary
from maskspot.files import replacing
from maskspot.progress import Progress, Step
from maskspot.training import network, schedule, warmstart
from maskspot.training.accelerators import on_devices
from maskspot.training.batches import Teacher, TrainingBatches, evaluation_batches
from maskspot.training.curves import draw_curves
from maskspot.training.examples import Examples
from maskspot.training.losses import compile_network
from maskspot.training.run import Row, Run
from maskspot.training.settings import Settings

HEAD_IMAGES = 2000
"""Maximum number of images to which the last layer is fitted at the start."""

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """What one network learns from, and what it is measured on.

    Attributes:
        examples: every image.
        training: rows to learn from.
        validation: rows held back.
        teacher: to learn from, beside the labels.
    """

    examples: Examples
    training: NDArray[np.intp]
    validation: NDArray[np.intp]
    teacher: Teacher | None = None

    def with_repeats(self, run: str | None) -> "Task":
        """Repeat the training images that are false positives, out of fold, of another run."""
        if run is None:
            return self
        names, images = Run.open(run).false_positives(), self.examples.images
        hard = [row for row in self.training if images[row].name in names]
        return replace(self, training=np.concatenate([self.training, np.array(hard, np.intp)]))


def fit(run: Run, task: Task, progress: Progress) -> dict[str, Any]:
    """Train the network of a run from its last finished epoch to its end, and return its metrics.

    Raises:
        DataError: the loss is not a number, or the checkpoint is not this run's.
    """
    if (finished := run.metrics()) is not None:
        return finished
    settings = run.settings
    keras.utils.set_random_seed(settings.seed)
    batches = TrainingBatches(task.examples, task.training, settings, task.teacher)
    with progress.step("preparing the network"):
        model, history = _start_or_resume(run, task, batches.steps)
    first = len(history)
    if not schedule.should_stop(settings, [row["val_loss"] for row in history]):
        images = batches.images(batches.steps) * (settings.epochs - first)
        with progress.step("training", "images", images) as step:
            model.fit(
                batches.dataset(first_epoch=first),
                initial_epoch=first,
                epochs=settings.epochs,
                steps_per_epoch=batches.steps,
                shuffle=False,  # each epoch is shuffled already
                callbacks=[
                    _Epochs(run, task, batches, history),
                    _Report(progress, step, batches, history),
                ],
                verbose=0,
            )
    return _finish(run, history)


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """What happens around the steps of training: rates before them, results after each epoch.

    The callbacks of Keras lose their state when a run stops. This one has none but the history,
    which is in the run.
    """

    def __init__(self, run: Run, task: Task, batches: TrainingBatches, history: list[Row]) -> None:
        super().__init__()
        self.run, self.task, self.batches, self.history = run, task, batches, history
        self.losses = [row["val_loss"] for row in history]
        self.evaluated = network.build_for_inference(run.settings)
        self.started = self.rate = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        _seed_dropout(self.model, self.run.settings.seed, epoch)
        self.started = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        epochs = len(self.losses) + batch / self.batches.steps
        self.rate = schedule.learning_rate(self.run.settings, self.losses, epochs)
        self.model.optimizer.learning_rate.assign(self.rate)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not math.isfinite(_label_metrics(logs)["loss"]):
            raise DataError(
                f"training diverged in epoch {len(self.losses) + 1} (its loss is not a number): "
                f"start again with a `learning_rate` below {self.run.settings.learning_rate:g}"
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        settings = self.run.settings
        seconds = time.perf_counter() - self.started
        row = {
            "epoch": epoch + 1,
            "learning_rate": self.rate,
            **_label_metrics(logs),
            "images_per_second": self.batches.images(self.batches.steps) / seconds,
        }
        with averaged(self.model, settings):
            self.evaluated.set_weights(self._with_start(self.model.get_weights()))
        self._evaluate(row)
        # Last of all: until it is in place, a resume repeats the epoch.
        network.save(self.model, self.run.checkpoint)
        self.model.stop_training = schedule.should_stop(settings, self.losses)

    def _with_start(self, weights: list[Any]) -> list[Any]:
        """Average weights with those that training started from.

        Features of the start that training does not use help on images of other kinds (Wortsman
        et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
        """
        if not (share := self.run.settings.keep_start):
            return weights
        start = network.load(self.run.start).get_weights()
        return [share * a + (1 - share) * b for a, b in zip(start, weights, strict=True)]

    def _evaluate(self, row: Row) -> None:
        """Write the network of the epoch, and its results on the validation images."""
        run, task = self.run, self.task
        probabilities = predict(self.evaluated, task.examples.pixels, task.validation)
        network.save(self.evaluated, run.folder / "last.keras")
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
            images = [task.examples.images[row] for row in task.validation]
            run.write_predictions(images, probabilities)
        run.write_history(self.history)
        draw_curves(run.folder, self.history, schedule.best_epoch(self.losses))


class _Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports each step, and each epoch after `_Epochs` has evaluated it."""

    def __init__(
        self, progress: Progress, step: Step, batches: TrainingBatches, history: list[Row]
    ) -> None:
        super().__init__()
        self.progress, self.step, self.batches, self.history = progress, step, batches, history
        self.done = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        epoch, epochs = len(self.history) + 1, self.batches.settings.epochs
        note = f"epoch {epoch}/{epochs}, loss {_label_metrics(logs)['loss']:.4f}"
        self.step.update(self.done + self.batches.images(batch + 1), note=note)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.done += self.batches.images(self.batches.steps)
        row = self.history[-1]
        best = schedule.best_epoch([each["val_loss"] for each in self.history]) == epoch
        self.progress.say(
            f"epoch {row['epoch']:g}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}; "
            f"validation loss {row['val_loss']:.4f}, accuracy {row['val_accuracy']:.4f}"
            f"{' (best)' if best else ''}; {row['images_per_second']:.0f} images/s"
        )


def _label_metrics(logs: Any) -> dict[str, float]:
    """Return loss and accuracy on the labels, the mean over the images of an epoch so far."""
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
    """Replace the weights by their moving average, if the settings ask for one."""
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
    """Return the compiled network, and the finished epochs."""
    settings = run.settings
    resumed = network.load(run.checkpoint) if run.checkpoint.is_file() else None
    with on_devices(settings):
        start = replace(settings, weights="none", init=None) if resumed else settings
        model = compile_network(network.build(start), settings)
    if resumed is None:
        warmstart.assign_start(
            model, settings, task.examples.pixels[task.training[: warmstart.MEASURED]]
        )
        if settings.head_first and (settings.init or settings.weights != "none"):
            fit_head(model, task, settings.seed)
        if settings.keep_start:
            first = network.build_for_inference(settings)
            first.set_weights(model.get_weights())
            network.save(first, run.start)
        return model, []
    # Into a network built here, as Keras does not restore which weights do not decay.
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
    """Set the last layer by logistic regression on the features of some images, not augmented."""
    rows = np.random.default_rng(seed).permutation(task.training)[:HEAD_IMAGES]
    outputs = network.features(model).predict(
        evaluation_batches(task.examples.pixels, rows), verbose=0
    )
    weights, bias = logistic_regression(outputs.astype(np.float64), task.examples.targets[rows])
    model.get_layer("logit").set_weights([weights[:, None], np.array([bias])])


def _seed_dropout(model: Any, seed: int, epoch: int) -> None:
    """Make the dropout of an epoch depend on the seed and the epoch alone, as its batches do."""
    for at, layer in enumerate(network.layers(model)):
        if hasattr(layer, "seed_generator"):
            layer.seed_generator.state.assign([seed + at, epoch])


def _finish(run: Run, history: Sequence[Row]) -> dict[str, Any]:
    """Write the metrics, which mark the run as finished."""
    best = schedule.best_epoch([row["val_loss"] for row in history])
    metrics = {
        "kept_epoch": len(history) if run.settings.keep == "last" else best + 1,
        "best_epoch": best + 1,
        "epochs": len(history),
        "validation": dict(summary(*run.read_predictions())),
    }
    run.write_json("metrics.json", metrics)
    return metrics
