"""Evaluate a model, or predictions that a file holds, on labelled images."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL.Image import Image

from maskspot.cpus import usable_cpus
from maskspot.datasets.labels import Layout, read_labels
from maskspot.errors import DataError, ImageError, UsageError
from maskspot.evaluation.evaluate import Assessment, evaluate
from maskspot.evaluation.metrics import Array
from maskspot.evaluation.prediction_files import read_columns, read_predictions
from maskspot.evaluation.question import Question
from maskspot.evaluation.sources import LabelFiles, PredictionSource
from maskspot.images import open_image
from maskspot.inputs.items import Item
from maskspot.inputs.names import match_items
from maskspot.model.predictor import Predictor
from maskspot.model.score import Score
from maskspot.model.shipped import DEFAULT
from maskspot.parallel import map_in_order
from maskspot.progress import SILENT, Progress
from maskspot.scoring.pipeline import score

WatchLabelled = Callable[[Image, Score, int], None]
"""Sees an image, upright and in mode RGB, its score and its label."""


@dataclass(frozen=True)
class Wrong:
    """An image with its label, and a probability that is far from it."""

    image: str
    target: int
    probability: float


@dataclass(frozen=True)
class Evaluation(Assessment):
    """What `evaluate_model` returns.

    Attributes:
        of: what is evaluated: the file of predictions, or the id of the model.
        model: the model that scored the images; None where a file held the predictions.
        question: the threshold, the cost and the bootstrap.
        against: file of the other model's predictions, if there is one.
        targets: label of each image that is evaluated, by name.
        probabilities: probability of each of them, by name and in the same order.
        failures: labelled images that were left out, and why.
    """

    of: str
    model: str | None
    question: Question
    against: Path | None
    targets: Mapping[str, int]
    probabilities: Mapping[str, float]
    failures: Mapping[str, str]

    def worst(self, count: int) -> list[Wrong]:
        """Return the images whose probability is farthest from their label, the worst first."""
        order = sorted(self.targets, key=lambda name: -abs(self._gap(name)))
        return [Wrong(n, self.targets[n], self.probabilities[n]) for n in order[:count]]

    def _gap(self, name: str) -> float:
        return self.targets[name] - self.probabilities[name]


def evaluate_model(
    labels: LabelFiles,
    items: Iterable[Item] | None = None,
    source: PredictionSource | None = None,
    question: Question | None = None,
    *,
    watch: WatchLabelled | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Evaluate the probabilities that a file holds, or that a model gives to images.

    Both are matched to the labels by name. Labelled images without a probability are left out.

    Args:
        labels: the CSV of labels, and columns to compute the metrics by.
        items: images that include all labelled ones, such as `Selection.items` gives; where the
            predictions come from a file, they serve `watch` only.
        source: the predictions, or the model that scores the images; the default model if None.
        question: the threshold, the cost and the bootstrap.
        watch: sees each labelled image that has a probability, from several threads; with a model
            that supports heatmaps, its score has one.
        progress: told of the steps.

    Raises:
        DataError: a file cannot be read or contradicts itself, an image is missing, or no image
            has a probability.
        UsageError: there are neither images nor predictions, or columns cannot be told.
        ModelFileError: the model file is missing, damaged, or not supported by this version.
    """
    source, question = source or PredictionSource(), question or Question()
    if items is None and source.predictions is None:
        raise UsageError("name images to score, or a file of predictions with `predictions`")
    layout = Layout(image_column=labels.image_column, target_column=labels.target_column)
    targets = read_labels(labels.labels, layout)
    columns = read_columns(labels.slices, targets, labels.by) if labels.slices else {}
    work = _Work(targets, labels.labels, watch, progress)
    own, other = (
        work.read(file) if file else None for file in (source.predictions, source.against)
    )
    if own is None:
        own = work.score(source.model or DEFAULT, items or ())
    elif items is not None and watch:
        work.show(items, own, watch)
    failures = _failures([own, other] if other else [own], targets)
    used = [name for name in targets if name not in failures]
    if not used:
        where = source.predictions or labels.labels
        raise DataError(f"{where}: no labelled image has a probability")
    with progress.step("computing metrics and intervals"):
        assessment = evaluate(
            [targets[name] for name in used],
            own.of_images(used),
            slices={name: _without(cells, targets, failures) for name, cells in columns.items()},
            against=other.of_images(used) if other else None,
            question=question,
        )
    return Evaluation(
        **vars(assessment),
        of=own.of,
        model=None if source.predictions else str(source.model or DEFAULT),
        question=question,
        against=source.against,
        targets={name: targets[name] for name in used},
        probabilities=dict(zip(used, own.of_images(used).tolist(), strict=True)),
        failures=failures,
    )


@dataclass(frozen=True)
class _Side:
    """Probabilities of the labelled images, and why some have none."""

    of: str
    probabilities: Mapping[str, float | None]
    failures: Mapping[str, str]

    def of_images(self, names: Sequence[str]) -> Array:
        return np.array([self.probabilities[name] for name in names], np.float64)


@dataclass(frozen=True)
class _Work:
    """Makes the sides of an evaluation; has what this takes."""

    targets: Mapping[str, int]
    labels: Path
    watch: WatchLabelled | None
    progress: Progress

    def read(self, file: Path) -> _Side:
        """Read predictions."""
        return _Side(str(file), read_predictions(file, self.targets, self.labels), {})

    def score(self, model: str | os.PathLike[str], items: Iterable[Item]) -> _Side:
        """Let a model score the labelled images."""
        matched = self._match(items)
        with self.progress.step("loading the model"):
            predictor = Predictor(model, device="auto")
        probabilities, failures = dict[str, float | None](), dict[str, str]()
        watch = self._watch_scores if self.watch else None
        heatmap = watch is not None and predictor.has_heatmap
        with self.progress.step("scoring", "images", len(matched)) as step:
            for each in score(predictor, matched, heatmap=heatmap, watch=watch):
                probabilities[each.source] = each.probability
                if each.error is not None:
                    failures[each.source] = each.error
                step.update(len(probabilities))
        return _Side(predictor.id, probabilities, failures)

    def show(self, items: Iterable[Item], side: _Side, watch: WatchLabelled) -> None:
        """Show images that have a probability; those that cannot be read are left out."""

        def show(batch: list[Item]) -> list[Item]:
            for item in batch:
                with suppress(ImageError, OSError):
                    opened = open_image(item.load())
                    known = Score(item.name, side.probabilities[item.name], format=opened.format)
                    sized = replace(known, width=opened.width, height=opened.height)
                    watch(opened.rgb, sized, self.targets[item.name])
            return batch

        scored = [each for each in self._match(items) if side.probabilities[each.name] is not None]
        with self.progress.step("reading the images", "images", len(scored)) as step:
            for done, _ in enumerate(map_in_order(show, scored, usable_cpus(), 1), 1):
                step.update(done)

    def _match(self, items: Iterable[Item]) -> list[Item]:
        with self.progress.step("finding the images"):
            return match_items(list(self.targets), items, self.labels)

    def _watch_scores(self, image: Image, score: Score) -> None:
        if self.watch:
            self.watch(image, score, self.targets[score.source])


def _failures(sides: Sequence[_Side], names: Iterable[str]) -> dict[str, str]:
    """Return the images that a side has no probability of, and why."""
    failures = dict(sides[0].failures)
    for name in names:
        lacking = [side.of for side in sides if side.probabilities[name] is None]
        if lacking:
            failures.setdefault(name, f"{lacking[0]} has no probability for it")
    return failures


def _without(
    cells: Sequence[str], names: Iterable[str], left_out: Collection[str]
) -> Sequence[str]:
    """Return the cells of those images that are not left out."""
    return [cell for name, cell in zip(names, cells, strict=True) if name not in left_out]
