"""The report of `evaluate`: how good probabilities are, and which images they are wrong on."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.evaluate import Comparison, Quality, Report, Slice
from maskspot.evaluation.formatting import METRICS, interval, number
from maskspot.reporting import plots
from maskspot.reporting.album import Picture
from maskspot.reporting.page import Group, Page, Table
from maskspot.reporting.parts import card_of, left_out, model_parts
from maskspot.reporting.predictions import NAMED


def evaluation_page(
    report: Report,
    targets: Mapping[str, int],
    probabilities: Mapping[str, float],
    pictures: Sequence[Picture],
    of: str,
    model: str | None,
    cost: tuple[float, float],
    unscored: Mapping[str, str],
) -> Page:
    """Return the report of `evaluate`.

    Args:
        report: what it found.
        targets: 0 or 1, by image.
        probabilities: of the same images.
        pictures: of some of them, or none.
        of: whose probabilities they are.
        model: that made them, if it is at hand.
        cost: of a false alarm and of a missed mask.
        unscored: labelled images without a probability, and why.
    """
    quality, at = report.quality, report.quality.confusion
    t = np.array([targets[name] for name in probabilities], dtype=np.float64)
    p = np.array(list(probabilities.values()), dtype=np.float64)

    def group(target: int, probability: float) -> str:
        yes = probability >= at.threshold
        return ("tp" if yes else "fn") if target else ("fp" if yes else "tn")

    cards = [
        card_of(each, group(targets[name], probabilities[name]), targets[name])
        for each in pictures
        if (name := each.score.source) in probabilities
    ]
    groups = [
        Group("tp", "found", at.true_positives),
        Group("fp", "false alarms", at.false_positives),
        Group("fn", "missed", at.false_negatives),
        Group("tn", "rightly none", at.true_negatives),
    ]
    drawn = [
        plots.histogram([(name, plots.binned(p[t == one])) for one, name in _CLASSES]),
        plots.calibration_curve(t, p, quality.ece.value),
    ]
    if 0 < quality.masks < quality.images:
        drawn.append(plots.roc(t, p, quality.auc.value, at.threshold))
    rows, card = model_parts(model) if model else ([], "")
    maker = dict(rows).get("model", of)
    return Page(
        title="How good are the probabilities?",
        lead=f"Those of {maker}, for {quality.images:,} images, {quality.masks:,} with a mask."
        + (left_out(len(cards), len(p), "most wrong") if cards else ""),
        facts=[
            (METRICS[name], number(value.value), interval(value))
            for name, value in _metrics(quality)
        ],
        plots=drawn,
        tables=[
            _confusion(quality, cost),
            *(_slices(each) for each in _by_column(report.slices)),
            *([_compared(report.comparison)] if report.comparison else []),
        ],
        groups=groups,
        confusion=True,
        cards=cards,
        orders=("wrong", "uncertain", "probable", "improbable", "given"),
        failures=list(unscored.items())[:NAMED],
        failed=len(unscored),
        model=rows,
        card=card,
    )


_CLASSES = ((0, "no mask"), (1, "a mask"))


def _metrics(quality: Quality) -> Iterator[tuple[str, Estimate]]:
    return ((name, getattr(quality, name)) for name in METRICS)


def _confusion(quality: Quality, cost: tuple[float, float]) -> Table:
    at, best = quality.confusion, quality.best
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    rates = ("precision", "recall", "specificity", "cost")
    return Table(
        "Errors at a threshold",
        ("", "as asked", "95 % interval", f"best for FP:FN = {cost[0]:g}:{cost[1]:g}", "95 %"),
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


def _compared(comparison: Comparison) -> Table:
    names = ("log_loss", "accuracy", "auc", "brier")
    return Table(
        "Less the metrics of the other predictions, on the same images",
        ("", "difference", "95 % interval"),
        [(METRICS[name], *_pair(getattr(comparison, name), "+")) for name in names],
    )
