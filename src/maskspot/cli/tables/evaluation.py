"""What `maskspot evaluate` prints."""

import math

from rich import box
from rich.console import Console
from rich.table import Table

from maskspot.cli.console import plain
from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.evaluate import Difference, Quality, Slice
from maskspot.evaluation.evaluate_model import Evaluation, Wrong
from maskspot.evaluation.formatting import METRICS, confusion_rows, interval, number

_WIDE = 104
"""Width of a terminal, in columns, from which an interval stands beside its number."""


def show(evaluation: Evaluation, worst: int = 0) -> None:
    """Print the tables of an evaluation.

    Args:
        evaluation: what to print.
        worst: number of images to list that are most wrong.
    """
    console = Console(highlight=False)
    quality = evaluation.quality
    of, model = evaluation.of, evaluation.model
    console.print()
    console.print(plain(f"Model '{model}' ({of})" if model else f"Predictions in {of}"))
    console.print(f"{quality.images:,} images, {quality.masks:,} of them with a mask")
    console.print(_metrics_table(quality))
    if math.isinf(quality.log_loss.value):
        console.print(
            "The log loss is infinite, as a probability is exactly 0 or 1 and wrong; "
            f"clipped at 1e-15 it is {quality.log_loss_clipped:.4f}.\n"
        )
    console.print(_confusion_table(evaluation))
    if evaluation.slices:
        console.print(_slices_table(evaluation.slices, console.width))
    if evaluation.comparison:
        console.print(plain(f"Minus the metrics of {evaluation.against}, on the same images"))
        console.print(_comparison_table(evaluation.comparison))
    if worst:
        console.print("The images whose probability is farthest from their label")
        console.print(_worst_table(evaluation.worst(worst)))


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for at, name in enumerate(columns):
        table.add_column(name, justify="right" if at else "left", overflow="fold", no_wrap=at > 0)
    return table


def _metrics_table(quality: Quality) -> Table:
    table = _table("metric", "value", "95 % interval")
    for name, shown in METRICS.items():
        estimate = getattr(quality, name)
        table.add_row(shown, f"[bold]{number(estimate.value)}[/]", interval(estimate))
    return table


def _confusion_table(evaluation: Evaluation) -> Table:
    table = _table(
        "",
        f"threshold {evaluation.question.threshold:g}",
        f"best for FP:FN = {evaluation.question.cost}",
    )
    for name, *cells in confusion_rows(evaluation.quality):
        table.add_row(
            name, *(f"{value} [dim]({ends})[/]" if ends else value for value, ends in cells)
        )
    return table


def _slices_table(slices: tuple[Slice, ...], width: int) -> Table:
    names = ("log_loss", "accuracy", "auc")
    table = _table("slice", "images", "masks", *(METRICS[name] for name in names))
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


def _comparison_table(comparison: Difference) -> Table:
    table = _table("metric", "difference", "95 % interval", "p", "")
    tests = {
        "auc": (comparison.auc_p, "DeLong"),
        "accuracy": (comparison.accuracy_p, "McNemar, exact"),
    }
    for name in ("log_loss", "accuracy", "auc", "brier"):
        estimate = getattr(comparison, name)
        p, test = tests.get(name, (math.nan, ""))
        value = f"[bold]{number(estimate.value, '+')}[/]"
        shown = "" if math.isnan(p) else f"{p:.2g}"
        table.add_row(METRICS[name], value, interval(estimate, "+"), shown, test)
    return table


def _worst_table(images: list[Wrong]) -> Table:
    table = _table("image", "label", "probability")
    for each in images:
        table.add_row(plain(each.image), str(each.target), f"{each.probability:.4f}")
    return table


def _cell(estimate: Estimate, wide: bool) -> str:
    """Return an estimate with its interval, below it if there is little room."""
    value = number(estimate.value)
    if math.isnan(estimate.low):
        return value
    low, high = (number(end, digits=3) for end in (estimate.low, estimate.high))
    return f"{value} [dim]({low} to {high})[/]" if wide else f"{value}\n[dim]{low}-{high}[/]"
