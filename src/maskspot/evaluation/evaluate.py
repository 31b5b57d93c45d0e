"""Metrics of probabilities with intervals: overall, by slice, and against another model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskspot.evaluation.bootstrap import Estimate, Statistics, estimates, mean_of
from maskspot.evaluation.intervals import basic, wilson
from maskspot.evaluation.metrics import (
    Array,
    Groups,
    Ranked,
    auc_of,
    average_precision_of,
    ece_of,
    log_loss,
    losses,
    pair,
)
from maskspot.evaluation.question import Question as Question  # noqa: PLC0414
from maskspot.evaluation.significance import delong, mcnemar

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix at a threshold, and its rates.

    Attributes:
        threshold: probability from which an image counts as a mask; above 1 where none is to.
        true_positives: images with a mask that count as one.
        false_positives: images without a mask that count as one.
        false_negatives: images with a mask that do not count as one.
        true_negatives: images without a mask that do not count as one.
        precision: share of masks among the images that count as one; NaN where none does.
        recall: share of the images with a mask that count as one.
        specificity: share of the images without a mask that do not count as one.
        cost: mean cost of the errors per image.
    """

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    precision: Estimate
    recall: Estimate
    specificity: Estimate
    cost: Estimate


@dataclass(frozen=True)
class Quality:
    """The metrics of one model on some images.

    Attributes:
        images: number of images.
        masks: number of images that show a mask.
        log_loss: in nats; infinite where a wrong probability is exactly 0 or 1.
        log_loss_clipped: the same with probabilities clipped at 1e-15, as services compute it.
        accuracy: at the threshold.
        auc: area under the ROC curve; NaN for one class.
        average_precision: NaN where no image shows a mask.
        brier: mean squared difference of probability and label.
        ece: expected calibration error.
        confusion: the confusion matrix at the threshold.
        best_threshold: the threshold of least cost on these images, and its interval.
        best: the confusion matrix at that threshold.
    """

    images: int
    masks: int
    log_loss: Estimate
    log_loss_clipped: float
    accuracy: Estimate
    auc: Estimate
    average_precision: Estimate
    brier: Estimate
    ece: Estimate
    confusion: Confusion
    best_threshold: Estimate
    best: Confusion


@dataclass(frozen=True)
class Slice:
    """The metrics of the images that share a value of a column."""

    column: str
    value: str
    quality: Quality


@dataclass(frozen=True)
class Difference:
    """One model's metrics minus another's on the same images, with paired intervals.

    Attributes:
        log_loss: negative where the model is better than the other.
        accuracy: positive where it is better.
        auc: positive where it is better.
        brier: negative where it is better.
        auc_p: p value of DeLong's test.
        accuracy_p: p value of McNemar's exact test.
        against: the other model's metrics.
    """

    log_loss: Estimate
    accuracy: Estimate
    auc: Estimate
    brier: Estimate
    auc_p: float
    accuracy_p: float
    against: Quality


@dataclass(frozen=True)
class Assessment:
    """What `evaluate` returns.

    Attributes:
        quality: metrics of all images.
        slices: metrics of parts of them, by column and value.
        comparison: with another model on the same images; None if there is none.
    """

    quality: Quality
    slices: tuple[Slice, ...]
    comparison: Difference | None


def evaluate(
    targets: ArrayLike,
    probabilities: ArrayLike,
    *,
    slices: Mapping[str, Sequence[str]] | None = None,
    against: ArrayLike | None = None,
    question: Question | None = None,
) -> Assessment:
    """Compute metrics of probabilities, with 95 % intervals.

    Those of shares, such as the accuracy, are Wilson's; the others come from a bootstrap.

    Args:
        targets: 0 or 1, (N,).
        probabilities: 0 to 1, (N,).
        slices: the value of each image in some columns, by column.
        against: another model's probabilities, (N,).
        question: the threshold, the cost and the bootstrap.

    Raises:
        ValueError: lengths differ, there are no images, or a number is out of range.
    """
    question = question or Question()
    t, p = _checked(targets, probabilities)
    parts = []
    for column, values in (slices or {}).items():
        cells = np.asarray(values, dtype=object)
        for value in sorted(set(values), key=_place):
            here = cells == value
            parts.append(Slice(column, value, assess(t[here], p[here], question)))
    compared = None if against is None else compare(t, p, against, question)
    return Assessment(assess(t, p, question), tuple(parts), compared)


def assess(targets: ArrayLike, probabilities: ArrayLike, question: Question) -> Quality:
    """Return one model's metrics."""
    t, p = _checked(targets, probabilities)
    ranked, thresholds = Ranked(t, p), _thresholds(p, question.costs)
    best = float(thresholds[_costs(ranked.groups(), question.costs, thresholds).argmin()])
    cuts, means = {"at": question.threshold, "best": best}, _means(t, p, question.threshold)

    def statistics(weights: Array) -> dict[str, Array]:
        groups = ranked.groups(weights)
        found = dict(means(weights))
        found["auc"], found["ece"] = auc_of(groups), ece_of(groups)
        found["average_precision"] = average_precision_of(groups)
        found["best_threshold"] = thresholds[_costs(groups, question.costs, thresholds).argmin(1)]
        for key, cut in cuts.items():
            found[f"{key} cost"] = _cost(weights, t == 1, p >= cut, question.costs)
        return found

    found = estimates(statistics, t, question.resamples, question.seed)
    found["ece"] = basic(found["ece"])

    def share(part: int, total: int) -> Estimate:
        estimate = wilson(part, total)
        return estimate if question.resamples else replace(estimate, low=math.nan, high=math.nan)

    def confusion(key: str) -> Confusion:
        tp, fp, fn, tn = (int(cell.sum()) for cell in _cells(t == 1, p >= cuts[key]))
        shares = share(tp, tp + fp), share(tp, tp + fn), share(tn, tn + fp)
        return Confusion(cuts[key], tp, fp, fn, tn, *shares, found[f"{key} cost"])

    at = confusion("at")
    found["accuracy"] = share(at.true_positives + at.true_negatives, len(t))
    names = ("log_loss", "accuracy", "auc", "average_precision", "brier", "ece", "best_threshold")
    return Quality(
        images=len(t),
        masks=int(t.sum()),
        log_loss_clipped=log_loss(t, p),
        confusion=at,
        best=confusion("best"),
        **{name: found[name] for name in names},
    )


def compare(
    targets: ArrayLike, probabilities: ArrayLike, against: ArrayLike, question: Question
) -> Difference:
    """Return a model's metrics minus another's; both share the samples of the bootstrap."""
    t, ours = _checked(targets, probabilities)
    _, theirs = _checked(targets, against)
    sides = [(Ranked(t, p), _means(t, p, question.threshold)) for p in (ours, theirs)]

    def statistics(weights: Array) -> dict[str, Array]:
        one, other = (
            {**means(weights), "auc": auc_of(ranked.groups(weights))} for ranked, means in sides
        )
        with np.errstate(invalid="ignore"):  # one infinity less another is not defined
            return {name: one[name] - other[name] for name in one}

    found = estimates(statistics, t, question.resamples, question.seed)
    right = [(p >= question.threshold) == (t == 1) for p in (ours, theirs)]
    return Difference(
        **found,
        auc_p=delong(t, ours, theirs),
        accuracy_p=mcnemar(*right),
        against=assess(t, theirs, question),
    )


def _checked(targets: ArrayLike, probabilities: ArrayLike) -> tuple[Array, Array]:
    t, p = pair(targets, probabilities)
    if not len(t) or not np.isin(t, (0, 1)).all() or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("labels must be 0 or 1, probabilities 0 to 1, of at least one image")
    return t, p


def _means(t: Array, p: Array, threshold: float) -> Statistics:
    """Return the metrics that are means of a value of each image."""
    values = {
        "log_loss": losses(t, p),
        "accuracy": ((p >= threshold) == (t == 1)).astype(np.float64),
        "brier": (p - t) ** 2,
    }
    return lambda weights: {name: mean_of(value, weights) for name, value in values.items()}


def _cells(mask: Booleans, yes: Booleans) -> tuple[Booleans, ...]:
    """Return the true positives, false positives, false negatives and true negatives."""
    return yes & mask, yes & ~mask, ~yes & mask, ~yes & ~mask


def _cost(weights: Array, mask: Booleans, yes: Booleans, cost: tuple[float, ...]) -> Array:
    """Return the mean cost of the errors in each sample, (B,)."""
    _, fp, fn, _ = (weights @ cell for cell in _cells(mask, yes))
    return np.asarray((cost[0] * fp + cost[1] * fn) / weights.sum(1))


def _thresholds(p: Array, cost: tuple[float, ...]) -> Array:
    """Return thresholds below, between and above the probabilities, the preferred one first.

    Of thresholds of equal cost the one nearest to FP / (FP + FN) is preferred: it is optimal for
    calibrated probabilities (Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001).
    """
    values = np.unique(p)
    between = (values[:-1] + values[1:]) / 2
    between = np.where(between > values[:-1], between, values[1:])  # neighbours in float64
    top = max((values[-1] + 1) / 2, np.nextafter(values[-1], 2))
    found = np.array([0.0, *between, top])
    return found[np.argsort(np.abs(found - cost[0] / sum(cost)), kind="stable")]


def _costs(groups: Groups, cost: tuple[float, ...], thresholds: Array) -> Array:
    """Return the cost of the errors at each threshold, (B, T)."""
    missed = np.pad(groups.masks.cumsum(1), ((0, 0), (1, 0)))
    passed = np.pad(groups.others.cumsum(1), ((0, 0), (1, 0)))
    found: Array = cost[0] * (passed[:, -1:] - passed) + cost[1] * missed
    return found[:, np.searchsorted(groups.values, thresholds)]


def _place(value: str) -> tuple[float, str]:
    """Return the sort key of a column's value: numbers and spans of numbers come first."""
    try:
        return float(value.split(" ", 1)[0]), value
    except ValueError:
        return float("inf"), value
