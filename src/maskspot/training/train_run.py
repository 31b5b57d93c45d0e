"""A run from its data to its metrics: one network, or one for each fold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskspot.datasets.facts import read_fact
from maskspot.datasets.folds import stratified_folds
from maskspot.datasets.near_duplicates import groups, hashes
from maskspot.errors import UsageError
from maskspot.evaluation.metrics import summary
from maskspot.progress import Progress
from maskspot.training.batches import Teacher
from maskspot.training.examples import Examples, load_examples, split
from maskspot.training.fit import Task, fit
from maskspot.training.run import Run
from maskspot.training.teachers import load_teacher
from maskspot.training.train import Exporter

CHECK_IMAGES = 64
"""Images kept in a run, against which an export is checked: of the validation set, then of the
training set if it has fewer."""


def train_run(run: Run, export: Exporter | None, progress: Progress) -> dict[str, Any]:
    """Train a run from its last finished epoch to its end, and return its metrics.

    Args:
        run: the run; a finished one is not trained again.
        export: writes model files of the folds of a teacher.
        progress: is told how training proceeds.

    Raises:
        DataError: the data cannot be used, or the loss is not a number.
        UsageError: the run is one fold of another.
    """
    if (finished := run.metrics()) is not None:
        return finished
    if run.parent is not None:
        raise UsageError(f"{run.folder}: one fold of a run; continue with `resume={run.parent}`")
    settings = run.settings
    examples = load_examples(run, progress)
    teacher = None
    if settings.teacher:
        with progress.step("loading the teacher"):
            teacher = load_teacher(settings.teacher, examples, export)
    if settings.folds:
        return _train_folds(run, examples, teacher, progress)
    training, validation = split(examples.targets, settings.validation, settings.seed)
    return _fit(run, Task(examples, training, validation, teacher), progress)


def _fit(run: Run, task: Task, progress: Progress) -> dict[str, Any]:
    rows = np.concatenate([task.validation, task.training])[:CHECK_IMAGES]
    run.write_check_pixels(task.examples.pixels[rows])
    return fit(run, task.with_repeats(run.settings.repeat), progress)


def _train_folds(
    run: Run, examples: Examples, teacher: Teacher | None, progress: Progress
) -> dict[str, Any]:
    """Train a network for each fold, on the others; each predicts the images of its fold."""
    settings = run.settings
    alike = groups(hashes(examples.pixels))
    folds = _folds(run, examples, alike)
    probabilities = np.full(len(folds), np.nan)
    metrics = []
    for number in range(settings.folds):
        progress.say(f"fold {number + 1} of {settings.folds}")
        validation = np.flatnonzero(folds == number)
        # Near-duplicates of validation images may be in other sources: they are left out.
        seen = np.isin(alike, alike[validation])
        training = np.flatnonzero((folds != number) & (folds >= 0) & ~seen)
        fold = run.fold(number + 1)
        metrics.append(_fit(fold, Task(examples, training, validation, teacher), progress))
        probabilities[validation] = fold.read_predictions()[1]
    _write_out_of_fold(run, examples, folds, probabilities)
    result = _fold_metrics(run, [each["validation"] for each in metrics])
    run.write_json("metrics.json", result)
    return result


def _write_out_of_fold(
    run: Run, examples: Examples, folds: NDArray[np.intp], probabilities: NDArray[np.float64]
) -> None:
    rows = [
        (item.name, item.target, repr(float(probability)), int(fold) + 1)
        for item, probability, fold in zip(examples.images, probabilities, folds, strict=True)
        if fold >= 0
    ]
    run.write_csv("oof.csv", ["image", "target", "probability", "fold"], rows)


def _fold_metrics(run: Run, scores: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "folds": run.settings.folds,
        "validation": dict(summary(*run.read_predictions())),
        "mean": {name: float(np.mean([each[name] for each in scores])) for name in scores[0]},
        "sd": {name: float(np.std([each[name] for each in scores], ddof=1)) for name in scores[0]},
    }


def _folds(run: Run, examples: Examples, alike: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return each image's fold, from 0; -1 where it is left out.

    A run that starts from the folds of another one has the same folds, so that no network starts
    from one that has seen its validation images. The seed does not ensure that: at another size,
    other images count as near-duplicates.
    """
    settings, targets = run.settings, examples.targets
    start = Run.open(settings.init) if settings.init else None
    if start is None or not start.settings.folds:
        if settings.group:
            facts = read_fact(settings.group, run.data, examples.images)
            alike = np.unique(facts, return_inverse=True)[1]
        return stratified_folds(targets, alike, settings.folds, settings.seed)
    if start.settings.folds != settings.folds:
        raise UsageError(
            f"{start.folder} has {start.settings.folds} folds, not {settings.folds}",
            argument="init",
        )
    folds = start.folds_of(examples.images, examples.usable) - 1
    return np.where(np.isnan(targets), -1, folds)
