"""What `maskspot info` prints."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from maskspot.cli.console import plain
from maskspot.model.describe import megabytes, model_rows
from maskspot.model.shipped import DEFAULT, MEASURED


def show_model(model: Mapping[str, Any]) -> None:
    """Print what `describe` says of a model file."""
    _show(model_rows(model))


def show_models(models: Iterable[Mapping[str, Any]]) -> None:
    """Print a table of the shipped models, from which one can choose."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("model", "accuracy", "log loss", "size", "cost", "take it for"):
        side: Any = "left" if name in ("model", "take it for") else "right"
        table.add_column(name, justify=side, no_wrap=name != "take it for")
    order = list(MEASURED)
    for each in sorted(models, key=lambda facts: order.index(facts["name"])):
        facts = each["measured"]
        numbers = (f"{facts['accuracy']:.3f}", f"{facts['log_loss']:.3f}", megabytes(each))
        cost = f"{facts['cost']:g} x"
        table.add_row(plain(each["name"]), *numbers, cost, facts["use"], style=_style(each["name"]))
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "Accuracy and log loss on 509 test photos; time for an image compared with default.\n"
        "maskspot info MODEL tells more, and maskspot predict -m MODEL takes it.\n"
    )


def _style(name: str) -> str | None:
    return "bold" if name == DEFAULT else None


def show_machine(machine: Mapping[str, Any]) -> None:
    """Print what `describe_machine` says."""
    _show(_machine_rows(machine))


def _machine_rows(machine: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "devices", ", ".join(machine["devices"])
    yield "CPUs usable", str(machine["cpus"])
    yield "maskspot", machine["maskspot"]
    yield "Python", machine["python"]
    yield "platform", machine["platform"]
    runtimes = ", ".join(machine["runtimes"])
    yield "onnxruntime", f"{machine['onnxruntime']} ({runtimes or 'package unknown'})"
    for name, version in machine["packages"].items():
        yield name, version or "not installed"
    for extra, packages in machine["extras"].items():
        yield f"maskspot[{extra}]", _installed(packages)


def _installed(packages: Mapping[str, str | None]) -> str:
    missing = [name for name, version in packages.items() if not version]
    return f"not installed: {', '.join(missing)}" if missing else "installed"


def _show(rows: Iterable[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(plain(name), plain(value))
    console = Console(highlight=False)
    console.print(table)
    console.print()
