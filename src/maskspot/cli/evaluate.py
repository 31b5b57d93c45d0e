"""`maskspot evaluate`."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import Model, plain, progress_bar, say
from maskspot.errors import DataError, UsageError

if TYPE_CHECKING:
    from maskspot.evaluation.bootstrap import Estimate
    from maskspot.evaluation.report import Comparison, Quality, Report, Slice

_Found = dict[str, float | None]

_METRICS = {
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "ece": "calibration error",
}
_WIDE = 104
"""Columns of a terminal from which on an interval stands beside its number, not below."""


def evaluate(
    labels: Annotated[Path, typer.Argument(help="CSV of labels, 0 or 1.", metavar="LABELS.CSV")],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images to score: files, folders, patterns, archives, URLs.",
            metavar="IMAGES...",
            show_default=False,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "-p", "--predictions", help="Or what was predicted for them: CSV or JSON Lines."
        ),
    ] = None,
    model: Model = None,
    against: Annotated[
        Path | None, typer.Option(help="Another model's predictions, to compare with.")
    ] = None,
    slices: Annotated[
        Path | None, typer.Option(help="CSV that has more about the images, for --by.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Its column to slice by; may be given several times."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="From this probability on it counts as a mask.")
    ] = 0.5,
    cost: Annotated[
        str, typer.Option(help="What a false alarm and a missed mask cost.", metavar="FP:FN")
    ] = "1:1",
    resamples: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Of the bootstrap; 0: no intervals.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    image_column: Annotated[str | None, typer.Option(help="The labels' column of images.")] = None,
    target_column: Annotated[str | None, typer.Option(help="The labels' column of labels.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> int:
    """Show how good probabilities are: metrics with 95 % intervals, slices, comparisons.

    Of the predictions of a file, or of a model for images; both are matched to the labels by name.
    """
    import numpy as np

    from maskspot.datasets.labels import Layout, read_labels
    from maskspot.evaluation.report import Question
    from maskspot.evaluation.report import evaluate as assess
    from maskspot.evaluation.tables import read_columns, read_predictions

    if bool(images) == bool(predictions):
        raise UsageError("name images to score, or what was predicted with --predictions: one")
    if predictions and model:
        raise UsageError("--model: the --predictions are made already; name images instead")
    if bool(slices) != bool(by):
        raise UsageError("--slices and --by: a CSV and its columns go together")
    question = Question(threshold, _cost(cost), resamples, seed)
    layout = Layout(image_column=image_column, target_column=target_column)
    targets = read_labels(labels, layout)
    columns = read_columns(slices, targets, by or []) if slices else {}
    other = read_predictions(against, targets, labels) if against else None
    if predictions:
        maker, ours = str(predictions), read_predictions(predictions, targets, labels)
    else:
        maker, ours = _predict(images or [], model, targets, labels, quiet)
    sides = [(predictions, ours), *([(against, other)] if other else [])]
    used = [name for name in targets if _is_given(name, sides)]
    if not used:
        raise DataError(f"{predictions or labels}: no labelled image has a probability")
    chosen = set(used)
    report = assess(
        [targets[name] for name in used],
        np.array([ours[name] for name in used], dtype=np.float64),
        slices={
            column: [cell for name, cell in zip(targets, cells, strict=True) if name in chosen]
            for column, cells in columns.items()
        },
        against=np.array([other[name] for name in used], dtype=np.float64) if other else None,
        question=question,
    )
    dropped = len(targets) - len(used)
    if as_json:
        values = _json({"of": maker, "left_out": dropped, **dataclasses.asdict(report)})
        print(json.dumps(values, indent=2, allow_nan=False))
    else:
        _show(report, question.cost, str(against))
    return 1 if dropped else 0


def _is_given(name: str, sides: Iterable[tuple[Path | None, _Found]]) -> bool:
    """Say whether each side has an image's probability; the file that has not goes to stderr."""
    for file, found in sides:
        if found[name] is None:
            if file:  # a model has said why
                say(f"{name}: left out, as {file} has no probability for it")
            return False
    return True


def _cost(text: str) -> tuple[float, float]:
    try:
        false, missed = (float(part) for part in text.split(":"))
    except ValueError:
        false = missed = math.nan
    if not (0 < false < math.inf and 0 < missed < math.inf):
        raise UsageError(f"--cost: {text!r} is not two numbers above 0, such as 1:5")
    return false, missed


def _predict(
    images: list[str], model: str | None, targets: Mapping[str, int], labels: Path, quiet: bool
) -> tuple[str, _Found]:
    """Return the model's id, and each labelled image's probability; failures go to stderr."""
    from maskspot.inputs import choose, find_items
    from maskspot.models import DEFAULT
    from maskspot.predictor import Predictor
    from maskspot.scoring import score

    predictor = Predictor(DEFAULT if model is None else model, device="auto")
    items = choose(list(targets), find_items(images), labels)
    found: _Found = {}
    with progress_bar(quiet, "images") as bar:
        task = bar.add_task("scoring", total=len(items)) if bar else None
        for each in score(predictor, items):
            if each.error is not None:
                say(f"{each.source}: left out: {each.error}")
            found[each.source] = each.probability
            if bar and task is not None:
                bar.advance(task)
    return predictor.id, found


def _json(value: Any) -> Any:
    """Return what JSON can say: null for what is not defined, and infinity as a text."""
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _show(report: "Report", cost: tuple[float, float], against: str) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    quality = report.quality
    console.print(f"\n{quality.images:,} images, {quality.masks:,} of them with a mask")
    console.print(_metrics_table(quality))
    if math.isinf(quality.log_loss.value):
        console.print(
            "The log loss is infinite, as an image has probability 0 or 1 and is not that; "
            f"clipped at 1e-15 it is {quality.log_loss_clipped:.4f}.\n"
        )
    console.print(_confusion_table(quality, cost))
    if report.slices:
        console.print(_slices_table(report.slices, console.width))
    if report.comparison:
        console.print(plain(f"Less the metrics of {against}, on the same images"))
        console.print(_comparison_table(report.comparison))


def _table(*columns: str, title: str | None = None) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for at, name in enumerate(columns):
        table.add_column(name, justify="right" if at else "left", overflow="fold", no_wrap=at > 0)
    return table


def _metrics_table(quality: "Quality") -> Any:
    table = _table("metric", "value", "95 % interval")
    for name, shown in _METRICS.items():
        estimate = getattr(quality, name)
        table.add_row(shown, f"[bold]{_number(estimate.value)}[/]", _interval(estimate))
    return table


def _confusion_table(quality: "Quality", cost: tuple[float, float]) -> Any:
    at, best = quality.confusion, quality.best
    table = _table(
        "",
        f"threshold {at.threshold:g}",
        f"best for FP:FN = {cost[0]:g}:{cost[1]:g}",
    )
    table.add_row("threshold", f"{at.threshold:g}", _line(quality.best_threshold))
    for name in ("true_positives", "false_positives", "false_negatives", "true_negatives"):
        words = name.replace("_", " ")
        table.add_row(words, f"{getattr(at, name):,}", f"{getattr(best, name):,}")
    for name in ("precision", "recall", "specificity", "cost"):
        shown = "cost an image" if name == "cost" else name
        table.add_row(shown, _line(getattr(at, name)), _line(getattr(best, name)))
    return table


def _slices_table(slices: "tuple[Slice, ...]", width: int) -> Any:
    names = ("log_loss", "accuracy", "auc")
    table = _table("slice", "images", "masks", *(_METRICS[name] for name in names))
    column = None
    for each in slices:
        if each.column != column:
            column = each.column
            table.add_section()
            table.add_row(plain(f"by {column}"), style="bold")
        quality = each.quality
        cells = (_cell(getattr(quality, name), width >= _WIDE) for name in names)
        table.add_row(plain(each.value), f"{quality.images:,}", f"{quality.masks:,}", *cells)
    return table


def _comparison_table(comparison: "Comparison") -> Any:
    table = _table("metric", "difference", "95 % interval", "p", "")
    tests = {
        "auc": (comparison.auc_p, "DeLong"),
        "accuracy": (comparison.accuracy_p, "McNemar, exact"),
    }
    for name in ("log_loss", "accuracy", "auc", "brier"):
        estimate = getattr(comparison, name)
        p, test = tests.get(name, (math.nan, ""))
        value = f"[bold]{_number(estimate.value, '+')}[/]"
        shown = "" if math.isnan(p) else f"{p:.2g}"
        table.add_row(_METRICS[name], value, _interval(estimate, "+"), shown, test)
    return table


def _number(value: float, sign: str = "", digits: int = 4) -> str:
    if math.isnan(value):
        return "-"
    return "infinite" if math.isinf(value) else f"{value:{sign}.{digits}f}"


def _interval(estimate: "Estimate", sign: str = "") -> str:
    if math.isnan(estimate.low):
        return ""
    return f"{_number(estimate.low, sign)} to {_number(estimate.high, sign)}"


def _line(estimate: "Estimate") -> str:
    """Return an estimate with its interval beside it."""
    interval = _interval(estimate)
    return _number(estimate.value) + (f" [dim]({interval})[/]" if interval else "")


def _cell(estimate: "Estimate", wide: bool) -> str:
    """Return an estimate with its interval, below it where there is little room."""
    value = _number(estimate.value)
    if math.isnan(estimate.low):
        return value
    low, high = (_number(end, digits=3) for end in (estimate.low, estimate.high))
    return f"{value} [dim]({low} to {high})[/]" if wide else f"{value}\n[dim]{low}-{high}[/]"
