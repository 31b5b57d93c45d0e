"""The report of `evaluate`: metrics, curves, and the images with the largest errors."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np

from maskspot.evaluation.evaluate import Confusion, Difference, Slice
from maskspot.evaluation.evaluate_model import Evaluation
from maskspot.evaluation.formatting import METRICS, cell, confusion_rows
from maskspot.reporting import plots
from maskspot.reporting.album import Picture
from maskspot.reporting.page import Card, Group, ReportPage, Table
from maskspot.reporting.parts import card_of, left_out, model_parts
from maskspot.reporting.predictions import NAMED


def evaluation_page(evaluation: Evaluation, pictures: Sequence[Picture] = ()) -> ReportPage:
    """Return the report of an evaluation.

    Args:
        evaluation: what `evaluate_model` returned.
        pictures: some of the images, for the gallery.

    Raises:
        ModelFileError: the model file, which is described, has gone meanwhile.
    """
    quality, count = evaluation.quality, evaluation.quality.images
    cards = [_card(each, evaluation) for each in pictures if _is_used(each, evaluation)]
    rows, card = model_parts(evaluation.model) if evaluation.model else ([], "")
    maker = dict(rows).get("model", Path(evaluation.of).name)
    return ReportPage(
        title="How good are the probabilities?",
        lead=f"Those of {maker}, for {count:,} images, {quality.masks:,} with a mask."
        + (left_out(len(cards), count, "most wrong") if cards else ""),
        facts=[(shown, *cell(getattr(quality, name))) for name, shown in METRICS.items()],
        plots=list(_plots(evaluation)),
        tables=[
            _confusion(evaluation),
            *(
                _slices(name, each)
                for name, each in groupby(evaluation.slices, attrgetter("column"))
            ),
            *([_compared(evaluation.comparison)] if evaluation.comparison else []),
        ],
        groups=_groups(quality.confusion),
        confusion=True,
        cards=cards,
        orders=("wrong", "uncertain", "probable", "improbable", "given"),
        failures=list(evaluation.failures.items())[:NAMED],
        failed=len(evaluation.failures),
        model=rows,
        card=card,
    )


def _plots(evaluation: Evaluation) -> Iterator[plots.Plot]:
    quality = evaluation.quality
    t = np.array(list(evaluation.targets.values()), np.float64)
    p = np.array(list(evaluation.probabilities.values()), np.float64)
    classes = ("no mask", t == 0), ("a mask", t == 1)
    yield plots.histogram([(name, plots.binned(p[rows])) for name, rows in classes])
    yield plots.calibration_curve(t, p, quality.ece.value)
    if 0 < quality.masks < quality.images:
        yield plots.roc(t, p, quality.auc.value, evaluation.question.threshold)


def _is_used(picture: Picture, evaluation: Evaluation) -> bool:
    return picture.score.source in evaluation.probabilities


def _card(picture: Picture, evaluation: Evaluation) -> Card:
    name = picture.score.source
    target = evaluation.targets[name]
    counts_as_mask = evaluation.probabilities[name] >= evaluation.question.threshold
    groups = ("fp", "tp") if counts_as_mask else ("tn", "fn")
    return card_of(picture, groups[target], target)


def _groups(confusion: Confusion) -> list[Group]:
    return [
        Group("tp", "found", confusion.true_positives),
        Group("fp", "false alarms", confusion.false_positives),
        Group("fn", "missed", confusion.false_negatives),
        Group("tn", "rightly none", confusion.true_negatives),
    ]


def _confusion(evaluation: Evaluation) -> Table:
    best = f"best for FP:FN = {evaluation.question.cost}"
    return Table(
        "Errors at a threshold",
        ("", "as asked", "95 % interval", best, "95 %"),
        [(name, *at, *best) for name, at, best in confusion_rows(evaluation.quality)],
    )


def _slices(column: str, slices: Iterable[Slice]) -> Table:
    names = ("log_loss", "accuracy", "auc")
    return Table(
        f"By {column}",
        ("", "images", "masks", *(each for name in names for each in (METRICS[name], "95 %"))),
        [
            (
                each.value,
                f"{each.quality.images:,}",
                f"{each.quality.masks:,}",
                *(text for name in names for text in cell(getattr(each.quality, name))),
            )
            for each in slices
        ],
    )


def _compared(comparison: Difference) -> Table:
    names = ("log_loss", "accuracy", "auc", "brier")
    return Table(
        "Minus the metrics of the other predictions, on the same images",
        ("", "difference", "95 % interval"),
        [(METRICS[name], *cell(getattr(comparison, name), "+")) for name in names],
    )
