"""How good is a model: metrics with intervals, whole and by slice, and against another model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskspot.evaluation.bootstrap import Estimate, Statistics, estimates, mean_of
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
from maskspot.evaluation.significance import delong, mcnemar

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Confusion:
    """Who is taken for whom at a threshold; an image at it counts as a mask.

    Attributes:
        threshold: above 1 where no image is to count as a mask.
        true_positives: images with a mask that are found.
        false_positives: images without one that are taken for such.
        false_negatives: images with a mask that are missed.
        true_negatives: the others.
        precision: share of masks among those found; NaN where none is found.
        recall: share of the images with a mask that are found.
        specificity: share of those without one that are not.
        cost: of the errors, an image.
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
        images: how many.
        masks: how many of them show one.
        log_loss: infinite where an image is certain and wrong.
        log_loss_clipped: with probabilities clipped at 1e-15, as services do it.
        accuracy: at the threshold.
        auc: area under the ROC curve; NaN for one class.
        average_precision: NaN where no image shows a mask.
        brier: mean squared difference of probability and label.
        ece: expected calibration error.
        confusion: at the threshold.
        best_threshold: that of least cost on these images, with the interval of such thresholds.
        best: confusion at it.
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
    """The images that share a value of a column."""

    column: str
    value: str
    quality: Quality


@dataclass(frozen=True)
class Comparison:
    """One model's metrics less another's, on the same images, with paired intervals.

    Attributes:
        log_loss: below 0 where the model is better than the other.
        accuracy: above 0 where it is better.
        auc: above 0 where it is better.
        brier: below 0 where it is better.
        auc_p: DeLong's p value.
        accuracy_p: McNemar's, exact.
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
class Report:
    """What `evaluate` found."""

    quality: Quality
    slices: tuple[Slice, ...]
    comparison: Comparison | None


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        threshold: from which probability on an image counts as a mask.
        cost: of a false alarm and of a missed mask.
        resamples: of the bootstrap; 0 for no intervals.
        seed: of it.
    """

    threshold: float = 0.5
    cost: tuple[float, float] = (1.0, 1.0)
    resamples: int = 2000
    seed: int = 0


def evaluate(
    targets: ArrayLike,
    probabilities: ArrayLike,
    *,
    slices: Mapping[str, Sequence[str]] | None = None,
    against: ArrayLike | None = None,
    question: Question | None = None,
) -> Report:
    """Return how good probabilities are, with 95 % bootstrap intervals.

    Args:
        targets: 0 or 1, (N,).
        probabilities: 0 to 1, (N,).
        slices: each image's value of some columns, by the column.
        against: another model's probabilities, (N,).
        question: the threshold, the cost and the bootstrap.

    Raises:
        ValueError: lengths differ, there is no image, or a number is out of range.
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
    return Report(assess(t, p, question), tuple(parts), compared)


def assess(targets: ArrayLike, probabilities: ArrayLike, question: Question) -> Quality:
    """Return one model's metrics."""
    t, p = _checked(targets, probabilities)
    ranked, thresholds = Ranked(t, p), _thresholds(p, question.cost)
    best = float(thresholds[_costs(ranked.groups(), question.cost, thresholds).argmin()])
    cuts, means = {"at": question.threshold, "best": best}, _means(t, p, question.threshold)

    def statistics(weights: Array) -> dict[str, Array]:
        groups = ranked.groups(weights)
        found = dict(means(weights))
        found["auc"], found["ece"] = auc_of(groups), ece_of(groups)
        found["average_precision"] = average_precision_of(groups)
        found["best_threshold"] = thresholds[_costs(groups, question.cost, thresholds).argmin(1)]
        for key, cut in cuts.items():
            rates = _rates(weights, t == 1, p >= cut, question.cost)
            found |= {f"{key} {name}": value for name, value in rates.items()}
        return found

    found = estimates(statistics, t, question.resamples, question.seed)

    def confusion(key: str) -> Confusion:
        tp, fp, fn, tn = (int(cell.sum()) for cell in _cells(t == 1, p >= cuts[key]))
        names = ("precision", "recall", "specificity", "cost")
        return Confusion(cuts[key], tp, fp, fn, tn, *(found[f"{key} {name}"] for name in names))

    names = ("log_loss", "accuracy", "auc", "average_precision", "brier", "ece", "best_threshold")
    return Quality(
        images=len(t),
        masks=int(t.sum()),
        log_loss_clipped=log_loss(t, p),
        confusion=confusion("at"),
        best=confusion("best"),
        **{name: found[name] for name in names},
    )


def compare(
    targets: ArrayLike, probabilities: ArrayLike, against: ArrayLike, question: Question
) -> Comparison:
    """Return a model's metrics less another's; samples of the bootstrap have the same images."""
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
    return Comparison(
        **found,
        auc_p=delong(t, ours, theirs),
        accuracy_p=mcnemar(*right),
        against=assess(t, theirs, question),
    )


def _checked(targets: ArrayLike, probabilities: ArrayLike) -> tuple[Array, Array]:
    t, p = pair(targets, probabilities)
    if not len(t) or not np.isin(t, (0, 1)).all() or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("labels are 0 or 1, probabilities 0 to 1, and images one or more")
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
    """Return the images that are true positives, false ones, false negatives, true ones."""
    return yes & mask, yes & ~mask, ~yes & mask, ~yes & ~mask


def _rates(
    weights: Array, mask: Booleans, yes: Booleans, cost: tuple[float, float]
) -> dict[str, Array]:
    tp, fp, fn, tn = (weights @ cell for cell in _cells(mask, yes))
    with np.errstate(invalid="ignore"):
        return {
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "cost": (cost[0] * fp + cost[1] * fn) / weights.sum(1),
        }


def _thresholds(p: Array, cost: tuple[float, float]) -> Array:
    """Return a threshold below, between and above the probabilities, the likeliest first.

    Where several cost as little, the best is that nearest to FP / (FP + FN), which is right for
    calibrated probabilities (Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001).
    """
    values = np.unique(p)
    between = (values[:-1] + values[1:]) / 2
    between = np.where(between > values[:-1], between, values[1:])  # neighbours in float64
    top = max((values[-1] + 1) / 2, np.nextafter(values[-1], 2))
    found = np.array([0.0, *between, top])
    return found[np.argsort(np.abs(found - cost[0] / sum(cost)), kind="stable")]


def _costs(groups: Groups, cost: tuple[float, float], thresholds: Array) -> Array:
    """Return what the errors cost at each threshold, (B, T)."""
    missed = np.pad(groups.masks.cumsum(1), ((0, 0), (1, 0)))
    passed = np.pad(groups.others.cumsum(1), ((0, 0), (1, 0)))
    found: Array = cost[0] * (passed[:, -1:] - passed) + cost[1] * missed
    return found[:, np.searchsorted(groups.values, thresholds)]


def _place(value: str) -> tuple[float, str]:
    """Return where a column's value comes among others: numbers, and spans of them, by number."""
    try:
        return float(value.split(" ", 1)[0]), value
    except ValueError:
        return float("inf"), value
