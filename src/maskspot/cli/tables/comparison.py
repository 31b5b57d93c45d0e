"""What `maskspot compare` prints."""

from collections.abc import Mapping
from dataclasses import asdict
from string import ascii_lowercase
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskspot.cli.console import plain, plain_values
from maskspot.comparing.compare import COSTS, ComparedModel, ModelComparison
from maskspot.comparing.compare import METRICS as MEASURED
from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.formatting import METRICS, interval, number

_QUALITIES = ("log_loss", "accuracy")
_UNKNOWN = "?"


def show(comparison: ModelComparison) -> None:
    """Print a comparison, within 80 columns."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("model", overflow="fold")
    for name in (*(METRICS[each] for each in _QUALITIES), "million", "MB", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    marks = _marks(comparison)
    fronts = comparison.front("log_loss", "latency")
    for model, best in zip(comparison.models, fronts, strict=True):
        table.add_row(
            "*" if best else "",
            _name(model, marks),
            *(_estimate(getattr(model.quality, each)) for each in _QUALITIES),
            _UNKNOWN if model.parameters is None else f"{model.parameters / 1e6:.3g}",
            f"{model.bytes / 1e6:.3g}",
            f"{model.latency.value:.3g}",
        )
    console.print(f"\n{_heading(comparison)}; 95 % intervals")
    console.print(table)
    console.print(
        "* on the Pareto front: no other is as good in log loss and ms, and better in one\n"
        "million: parameters of the ONNX file; ms: one image through the network, on one\n"
        f"CPU thread, median of {comparison.rounds} rounds in which models take turns\n"
    )


def as_values(comparison: ModelComparison) -> Any:
    """Return a comparison as JSON values."""
    fronts = {
        (metric, cost): comparison.front(metric, cost) for metric in MEASURED for cost in COSTS
    }
    models = [
        {
            **asdict(model),
            "front": {
                metric: {cost: fronts[metric, cost][at] for cost in COSTS} for metric in MEASURED
            },
        }
        for at, model in enumerate(comparison.models)
    ]
    for model in models:
        model["judgement"] = model.pop("quality")  # its name in earlier versions
    return plain_values(
        {
            "same_images": comparison.same_images,
            "left_out": len(comparison.left_out),
            "rounds": comparison.rounds,
            "models": models,
        }
    )


def _heading(comparison: ModelComparison) -> str:
    if not comparison.same_images:
        return f"On images that differ, or ({_UNKNOWN}) that are unknown"
    return f"On the same {comparison.models[0].quality.images:,} images"


def _marks(comparison: ModelComparison) -> Mapping[str | None, str]:
    """Return a letter for each set of images, by its key; none if all models have the same."""
    if comparison.same_images:
        return {}
    keys = dict.fromkeys(model.quality.key for model in comparison.models)
    known = (key for key in keys if key is not None)
    return {None: _UNKNOWN, **dict(zip(known, ascii_lowercase, strict=False))}


def _name(model: ComparedModel, marks: Mapping[str | None, str]) -> Text:
    """Return the name of a model, and its description in the lines below."""
    passes = f"{model.passes} x " if model.passes > 1 else ""
    lines = [f"{passes}{model.backbone} {model.size}"]
    if marks:
        quality = model.quality
        lines.append(f"{quality.by}: {quality.images:,} {marks.get(quality.key, _UNKNOWN)}")
    cell: Text = plain(model.name)
    for line in lines:
        cell.append("\n").append(plain(line).plain, "dim")
    return cell


def _estimate(estimate: Estimate) -> str:
    value, ends = number(estimate.value), interval(estimate, digits=3)
    return f"{value}\n[dim]{ends.replace(' to ', '-')}[/]" if ends else value
