"""How good models are: on the same labelled images, or each by its own metrics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from maskspot.comparing.options import CompareOptions
from maskspot.csv_tables import read_rows
from maskspot.datasets.labels import Layout, read_labels
from maskspot.errors import DataError
from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.evaluate import Question, assess
from maskspot.inputs.items import Item, find_items
from maskspot.inputs.names import match_items
from maskspot.model.info import ModelInfo
from maskspot.model.predictor import Predictor
from maskspot.progress import Progress
from maskspot.scoring.pipeline import score

if TYPE_CHECKING:
    from maskspot.training.run import Run


@dataclass(frozen=True)
class ModelQuality:
    """How good a model is, and on which images.

    Attributes:
        by: source of the metrics: the CSV of labels, `validation.csv` or `oof.csv` of a run, or
            `metadata`.
        images: number of images; 0 if unknown.
        key: hash of the names and labels of the images; None if they are unknown.
        log_loss: in nats, not clipped; from metadata it has no interval.
        accuracy: at probability 0.5; from metadata it has no interval.
    """

    by: str
    images: int
    key: str | None
    log_loss: Estimate
    accuracy: Estimate


@dataclass(frozen=True)
class LabelledItems:
    """Labelled images on which all models are measured.

    Attributes:
        labels: the CSV of labels.
        targets: 0 or 1, by the names of images.
        items: the images, in the order of the targets and with their names.
    """

    labels: Path
    targets: Mapping[str, int]
    items: Sequence[Item]

    @classmethod
    def read(cls, labels: Path, options: CompareOptions) -> "LabelledItems":
        """Read labels, and match images with them.

        Raises:
            DataError: labels or images are missing or contradict each other.
        """
        layout = Layout(image_column=options.image_column, target_column=options.target_column)
        targets = read_labels(labels, layout)
        return cls(labels, targets, match_items(list(targets), find_items(options.images), labels))


def measure_on(
    images: LabelledItems, predictors: Sequence[Predictor], question: Question, progress: Progress
) -> tuple[list[ModelQuality], tuple[str, ...]]:
    """Measure all models on the same images.

    Args:
        images: the images and their labels.
        predictors: the models.
        question: the bootstrap.
        progress: is told how many are scored, and of images that cannot be.

    Returns:
        The quality of each model, and the names of images that some model could not score, which
        are left out for all.

    Raises:
        DataError: no image can be scored.
    """
    shape = (len(predictors), len(images.items))
    scores, left_out = np.full(shape, np.nan), dict[str, None]()
    with progress.step("scoring", "images", scores.size) as step:
        for row, predictor in enumerate(predictors):
            for column, each in enumerate(score(predictor, images.items)):
                if each.probability is not None:
                    scores[row, column] = each.probability
                elif each.source not in left_out:
                    left_out[each.source] = None
                    progress.warn(f"{each.source}: left out: {each.error}")
                step.update(row * shape[1] + column + 1)
    used = ~np.isnan(scores).any(axis=0)
    if not used.any():
        raise DataError(f"{images.labels}: no labelled image can be scored")
    names = [item.name for item, kept in zip(images.items, used, strict=True) if kept]
    targets = [images.targets[name] for name in names]
    qualities = [
        _quality(str(images.labels), names, targets, row[used], question) for row in scores
    ]
    return qualities, tuple(left_out)


def own_quality(run: "Run | None", info: ModelInfo, question: Question) -> ModelQuality:
    """Return the quality of a run on its held-back images, or the metrics of a model file.

    Those of a run are before calibration, those of a model file after it.

    Raises:
        DataError: the predictions of the run are missing or damaged.
    """
    if run:
        names = [row[0] for row in read_rows(run.predictions)[1]]
        targets, probabilities = run.read_predictions()
        try:
            return _quality(run.predictions.name, names, targets, probabilities, question)
        except ValueError as error:
            raise DataError(f"{run.predictions}: damaged ({error})") from None
    images = _number(info.metrics.get("images"))
    log_loss, accuracy = (
        Estimate(_number(info.metrics.get(name)), math.nan, math.nan)
        for name in ("log_loss", "accuracy")
    )
    count = 0 if math.isnan(images) else int(images)
    return ModelQuality("metadata", count, None, log_loss, accuracy)


def _quality(
    by: str,
    names: Sequence[str],
    targets: Sequence[float],
    probabilities: ArrayLike,
    question: Question,
) -> ModelQuality:
    quality = assess(targets, probabilities, question)
    pairs = sorted(zip(names, map(int, targets), strict=True))
    key = sha256(repr(pairs).encode(errors="surrogateescape")).hexdigest()[:16]
    return ModelQuality(by, quality.images, key, quality.log_loss, quality.accuracy)


def _number(value: object) -> float:
    """Return a number from a file; NaN if it is something else."""
    return float(value) if isinstance(value, int | float) else math.nan
