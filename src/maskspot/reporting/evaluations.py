"""The report of `evaluate`: metrics, curves, and the images with the largest errors."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.evaluate import Confusion, Difference, Quality, Slice
from maskspot.evaluation.evaluate_model import Evaluation
from maskspot.evaluation.formatting import METRICS, interval, number
from maskspot.evaluation.question import Question
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
    quality, threshold = evaluation.quality, evaluation.question.threshold
    t = np.array(list(evaluation.targets.values()), np.float64)
    p = np.array(list(evaluation.probabilities.values()), np.float64)
    cards = [_card(each, evaluation) for each in pictures if _is_used(each, evaluation)]
    drawn = [
        plots.histogram([(name, plots.binned(p[t == one])) for one, name in _CLASSES]),
        plots.calibration_curve(t, p, quality.ece.value),
    ]
    if 0 < quality.masks < quality.images:
        drawn.append(plots.roc(t, p, quality.auc.value, threshold))
    rows, card = model_parts(evaluation.model) if evaluation.model else ([], "")
    maker = dict(rows).get("model", Path(evaluation.of).name)
    return ReportPage(
        title="How good are the probabilities?",
        lead=f"Those of {maker}, for {quality.images:,} images, {quality.masks:,} with a mask."
        + (left_out(len(cards), len(p), "most wrong") if cards else ""),
        facts=[
            (METRICS[name], number(value.value), interval(value))
            for name, value in _metrics(quality)
        ],
        plots=drawn,
        tables=[
            _confusion(quality, evaluation.question),
            *(_slices(each) for each in _by_column(evaluation.slices)),
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


_CLASSES = ((0, "no mask"), (1, "a mask"))


def _metrics(quality: Quality) -> Iterator[tuple[str, Estimate]]:
    return ((name, getattr(quality, name)) for name in METRICS)


def _confusion(quality: Quality, question: Question) -> Table:
    at, best = quality.confusion, quality.best
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    rates = ("precision", "recall", "specificity", "cost")
    return Table(
        "Errors at a threshold",
        ("", "as asked", "95 % interval", f"best for FP:FN = {question.cost}", "95 %"),
        [
            (
                "threshold",
                f"{at.threshold:g}",
                "",
                number(quality.best_threshold.value),
                interval(quality.best_threshold),
            ),
            *(
                (
                    word.replace("_", " "),
                    f"{getattr(at, word):,}",
                    "",
                    f"{getattr(best, word):,}",
                    "",
                )
                for word in counts
            ),
            *(
                (
                    "cost an image" if name == "cost" else name,
                    *_pair(getattr(at, name)),
                    *_pair(getattr(best, name)),
                )
                for name in rates
            ),
        ],
    )


def _pair(estimate: Estimate, sign: str = "") -> tuple[str, str]:
    return number(estimate.value, sign), interval(estimate, sign)


def _by_column(slices: Sequence[Slice]) -> list[list[Slice]]:
    columns = dict.fromkeys(each.column for each in slices)
    return [[each for each in slices if each.column == column] for column in columns]


def _slices(slices: Sequence[Slice]) -> Table:
    names = ("log_loss", "accuracy", "auc")
    return Table(
        f"By {slices[0].column}",
        ("", "images", "masks", *(each for name in names for each in (METRICS[name], "95 %"))),
        [
            (
                each.value,
                f"{each.quality.images:,}",
                f"{each.quality.masks:,}",
                *(cell for name in names for cell in _pair(getattr(each.quality, name))),
            )
            for each in slices
        ],
    )


def _compared(comparison: Difference) -> Table:
    names = ("log_loss", "accuracy", "auc", "brier")
    return Table(
        "Minus the metrics of the other predictions, on the same images",
        ("", "difference", "95 % interval"),
        [(METRICS[name], *_pair(getattr(comparison, name), "+")) for name in names],
    )
