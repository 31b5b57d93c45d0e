"""What `maskspot compare` prints."""

from collections.abc import Mapping
from string import ascii_lowercase

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskspot.cli.console import plain
from maskspot.comparing.compare import Comparison, Entry
from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.formatting import METRICS, interval, number

_QUALITIES = ("log_loss", "accuracy")
_UNKNOWN = "?"


def show(comparison: Comparison) -> None:
    """Print a comparison: 80 columns are enough for it."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("model", overflow="fold")
    for name in (*(METRICS[each] for each in _QUALITIES), "million", "MB", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    marks = _marks(comparison)
    fronts = comparison.front("log_loss", "latency")
    for entry, best in zip(comparison.entries, fronts, strict=True):
        table.add_row(
            "*" if best else "",
            _name(entry, marks),
            *(_estimate(getattr(entry.judgement, each)) for each in _QUALITIES),
            f"{entry.parameters / 1e6:.3g}",
            f"{entry.bytes / 1e6:.3g}",
            f"{entry.latency.value:.3g}",
        )
    console.print(f"\n{_heading(comparison)}; intervals hold 95 %")
    console.print(table)
    console.print(
        "* on the Pareto front: no other is as good in log loss and ms, and better in one\n"
        "million: parameters of the ONNX file; ms: an image through the network, on one\n"
        f"CPU thread, median of {comparison.rounds} rounds in which all have their turn\n"
    )


def _heading(comparison: Comparison) -> str:
    if not comparison.same_images:
        return f"By images that differ, or ({_UNKNOWN}) that are not known"
    return f"By the same {comparison.entries[0].judgement.images:,} images"


def _marks(comparison: Comparison) -> Mapping[str | None, str]:
    """Return a letter for each set of images, by its key; none where all have the same."""
    if comparison.same_images:
        return {}
    keys = dict.fromkeys(entry.judgement.key for entry in comparison.entries)
    known = (key for key in keys if key is not None)
    return {None: _UNKNOWN, **dict(zip(known, ascii_lowercase, strict=False))}


def _name(entry: Entry, marks: Mapping[str | None, str]) -> Text:
    """Return a model's name, and below it what it is."""
    passes = f"{entry.passes} x " if entry.passes > 1 else ""
    lines = [f"{passes}{entry.backbone} {entry.size}"]
    if marks:
        judged = entry.judgement
        lines.append(f"{judged.by}: {judged.images:,} {marks.get(judged.key, _UNKNOWN)}")
    cell: Text = plain(entry.name)
    for line in lines:
        cell.append("\n").append(plain(line).plain, "dim")
    return cell


def _estimate(estimate: Estimate) -> str:
    value, ends = number(estimate.value), interval(estimate, digits=3)
    return f"{value}\n[dim]{ends.replace(' to ', '-')}[/]" if ends else value
