"""How good models are: by the same labelled images, or each by what it says of its own."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from maskspot.csv_tables import read_rows
from maskspot.errors import DataError
from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.evaluate import Question, assess
from maskspot.inputs.items import Item
from maskspot.model.info import ModelInfo
from maskspot.model.predictor import Predictor
from maskspot.scoring.pipeline import score

if TYPE_CHECKING:
    from maskspot.training.run import Run


@dataclass(frozen=True)
class Judgement:
    """How good a model is, and by which images.

    Attributes:
        by: what says so: the CSV of labels, a run's `validation.csv` or `oof.csv`, or `metadata`.
        images: how many; 0 where that is not known.
        key: of the images' names and labels; None where they are not known.
        log_loss: in nats, not clipped; of metadata without an interval.
        accuracy: at probability 0.5; likewise.
    """

    by: str
    images: int
    key: str | None
    log_loss: Estimate
    accuracy: Estimate


@dataclass(frozen=True)
class Exam:
    """The labelled images by which all models are judged.

    Attributes:
        labels: where the labels are from.
        targets: 0 or 1, by the images' names.
        items: the images, in the targets' order and by their names.
    """

    labels: Path
    targets: Mapping[str, int]
    items: Sequence[Item]


def judge_all(
    predictors: Sequence[Predictor],
    exam: Exam,
    question: Question,
    failed: Callable[[str, str], None],
    done: Callable[[int, int], None],
) -> list[Judgement]:
    """Let all models score the same images.

    Args:
        predictors: the models.
        exam: the images and their labels.
        question: the bootstrap.
        failed: told of each image that cannot be scored, and why; no model is judged by it.
        done: told how many scores are there, and of how many.

    Raises:
        DataError: no image can be scored.
    """
    found = np.full((len(predictors), len(exam.items)), np.nan)
    for row, predictor in enumerate(predictors):
        for column, each in enumerate(score(predictor, exam.items)):
            done(row * len(exam.items) + column, found.size)
            if each.probability is not None:
                found[row, column] = each.probability
            elif not np.isnan(found[:row, column]).any():  # told once, not by each model
                failed(each.source, str(each.error))
    used = ~np.isnan(found).any(axis=0)
    if not used.any():
        raise DataError(f"{exam.labels}: no labelled image can be scored")
    names = [item.name for item, taken in zip(exam.items, used, strict=True) if taken]
    targets = [exam.targets[name] for name in names]
    return [
        _judge(str(exam.labels), names, targets, probabilities[used], question)
        for probabilities in found
    ]


def own_judgement(run: "Run | None", info: ModelInfo, question: Question) -> Judgement:
    """Return what a run says of the images that were held back from it, or a model's metadata.

    A run's is of the network before calibration; a model file's after it, on the same images.

    Raises:
        DataError: the run's table is missing or damaged.
    """
    if run:
        names = [row[0] for row in read_rows(run.predictions)[1]]
        targets, probabilities = run.read_predictions()
        try:
            return _judge(run.predictions.name, names, targets, probabilities, question)
        except ValueError as error:
            raise DataError(f"{run.predictions}: damaged ({error})") from None
    images = _number(info.metrics.get("images"))
    return Judgement(
        "metadata",
        0 if math.isnan(images) else int(images),
        None,
        *(
            Estimate(_number(info.metrics.get(name)), math.nan, math.nan)
            for name in ("log_loss", "accuracy")
        ),
    )


def _judge(
    by: str,
    names: Sequence[str],
    targets: Sequence[float],
    probabilities: ArrayLike,
    question: Question,
) -> Judgement:
    quality = assess(targets, probabilities, question)
    pairs = sorted(zip(names, map(int, targets), strict=True))
    key = sha256(repr(pairs).encode(errors="surrogateescape")).hexdigest()[:16]
    return Judgement(by, quality.images, key, quality.log_loss, quality.accuracy)


def _number(value: object) -> float:
    """Return a number that a file claims; NaN where it is none."""
    return float(value) if isinstance(value, int | float) else math.nan
