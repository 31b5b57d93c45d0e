"""A run from its data to its metrics: one network, or one for each fold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskspot.datasets.boxes import Boxes, read_boxes
from maskspot.datasets.facts import read_fact
from maskspot.datasets.folds import stratified_folds
from maskspot.datasets.labels import Labelled, read_folders
from maskspot.datasets.near_duplicates import groups, hashes
from maskspot.errors import DataError, UsageError
from maskspot.evaluation.metrics import summary
from maskspot.images import Preprocessing
from maskspot.training.balance import balance
from maskspot.training.batches import Examples, split
from maskspot.training.fit import Listener, Task, fit
from maskspot.training.pixel_cache import Pixels, load_pixels
from maskspot.training.run import Run
from maskspot.training.settings import Settings
from maskspot.training.teachers import load_teacher

CHECK_IMAGES = 64
"""Images kept in a run, against which an export is checked: of the validation set, and of the
training set where that has fewer."""


def train(run: Run, listener: Listener) -> dict[str, Any]:
    """Train a run from where it stands to its end, and return its metrics.

    Raises:
        DataError: the data cannot be used, or the loss is no longer a number.
        UsageError: the run is one fold of another.
    """
    if (finished := run.metrics()) is not None:
        return finished
    if run.parent is not None:
        raise UsageError(f"{run.folder}: one fold of a run; go on with --resume {run.parent}")
    settings = run.settings
    images, examples = load(run, listener)
    rows = np.flatnonzero(~np.isnan(examples.targets))
    teacher = load_teacher(settings.teacher, images, rows) if settings.teacher else None
    if settings.folds:
        return _train_folds(run, images, examples, teacher, listener)
    training, validation = split(examples.targets, settings.validation, settings.seed)
    training = _with_repeats(settings, images, training)
    return _fit(run, Task(images, examples, training, validation, teacher), listener)


def _with_repeats(
    settings: Settings, images: Sequence[Labelled], training: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Add again the images without a mask that another run's networks took for masks, unseen."""
    if not settings.repeat:
        return training
    alarms = Run.open(Path(settings.repeat)).false_alarms()
    hard = [at for at in training if images[at].name in alarms]
    return np.concatenate([training, np.array(hard, np.intp)])


def _fit(run: Run, task: Task, listener: Listener) -> dict[str, Any]:
    rows = np.concatenate([task.validation, task.training])[:CHECK_IMAGES]
    run.write_check_pixels(task.examples.pixels[rows])
    return fit(run, task, listener)


def _train_folds(
    run: Run, images: Sequence[Labelled], examples: Examples, teacher: Any, listener: Listener
) -> dict[str, Any]:
    """Train a network for each fold, on the others; each image is judged by the one without it."""
    settings, targets = run.settings, examples.targets
    alike = groups(hashes(examples.pixels))
    folds = _folds(run, images, examples, alike)
    probabilities = np.full(len(images), np.nan)
    metrics = []
    for number in range(settings.folds):
        listener.fold(number + 1, settings.folds)
        validation = np.flatnonzero(folds == number)
        # Two sources may share a photo: its near-duplicates elsewhere are not learned from.
        seen = np.isin(alike, alike[validation])
        training = np.flatnonzero((folds != number) & (folds >= 0) & ~seen)
        training = _with_repeats(settings, images, training)
        fold = run.fold(number + 1)
        metrics.append(_fit(fold, Task(images, examples, training, validation, teacher), listener))
        probabilities[validation] = fold.read_predictions()[1]
    known = [int(at) for at in np.flatnonzero(folds >= 0)]
    rows = [
        (images[at].name, images[at].target, repr(float(probabilities[at])), int(folds[at]) + 1)
        for at in known
    ]
    run.write_csv("oof.csv", ["image", "target", "probability", "fold"], rows)
    scores = [each["validation"] for each in metrics]
    result = {
        "folds": settings.folds,
        "validation": dict(summary(targets[known], probabilities[known])),
        "mean": {name: float(np.mean([each[name] for each in scores])) for name in scores[0]},
        "sd": {name: float(np.std([each[name] for each in scores], ddof=1)) for name in scores[0]},
    }
    run.write_json("metrics.json", result)
    return result


def _folds(
    run: Run, images: Sequence[Labelled], examples: Examples, alike: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return each image's fold, from 0; -1 where it takes no part.

    Where networks of folds are the start, it is the same fold: an image held back was never seen.
    Not even the seed would say so: at another size, other images count as near-duplicates.
    """
    settings, targets = run.settings, examples.targets
    start = Run.open(Path(settings.init)) if settings.init else None
    if start is None or not start.settings.folds:
        if settings.group:
            facts = read_fact(settings.group, run.data, images)
            alike = np.unique(facts, return_inverse=True)[1]
        return stratified_folds(targets, alike, settings.folds, settings.seed)
    if start.settings.folds != settings.folds:
        raise UsageError(
            f"--init: {start.folder} has {start.settings.folds} folds, not {settings.folds}"
        )
    usable = ~np.isnan(targets)
    return np.where(usable, start.folds_of(images, np.flatnonzero(usable)) - 1, -1)


def load(run: Run, listener: Listener) -> tuple[list[Labelled], Examples]:
    """Return a run's images and examples, row by row; an unreadable image's target is NaN.

    Raises:
        DataError: the data cannot be used, or have changed since the run was started.
    """
    settings = run.settings
    images = read_folders(run.data, settings.layout)
    listener.data(images)
    shown = settings.preprocessing
    pixels = _pixels(run, images, shown, listener)
    targets = np.array([item.target for item in images], dtype=np.float32)
    run.pin("images or labels", pixels.key.encode(), targets.tobytes())
    skipped = []
    for at, reason in sorted(pixels.errors.items()):
        targets[at] = np.nan
        skipped.append((images[at].name, reason))
        listener.skipped(images[at], reason)
    run.write_csv("skipped.csv", ["image", "reason"], skipped)
    for target, word in ((1, "with"), (0, "without")):
        if np.count_nonzero(targets == target) < 2:  # noqa: PLR2004
            raise DataError(f"{run.data[0]}: fewer than two readable images {word} a mask")
    source = pixels
    if settings.resolution not in (0, settings.size):
        source = _pixels(run, images, replace(shown, size=settings.resolution), listener)
    boxes: Sequence[Boxes | None] = [None] * len(images)
    if settings.boxes:
        boxes = read_boxes(settings.boxes, run.data, images, shown)
        run.pin(
            "boxes",
            *(each.corners.tobytes() + each.masked.tobytes() if each else b"-" for each in boxes),
        )
    weights = np.ones(len(images), np.float32)
    if settings.balance:
        columns = [name.strip() for name in settings.balance.split(",")]
        found = balance(run.data, images, targets, columns)
        weights = found.weights
        listener.balanced(found.before, found.after)
        run.write_json("balance.json", {"before": found.before, "after": found.after})
    return images, Examples(pixels.array, targets, source.array, boxes, weights)


def _pixels(
    run: Run, images: Sequence[Labelled], preprocessing: Preprocessing, listener: Listener
) -> Pixels:
    return load_pixels([item.path for item in images], preprocessing, run.cache, listener.decoded)
