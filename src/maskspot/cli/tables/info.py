"""What `maskspot info` prints."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from maskspot.cli.console import plain
from maskspot.model.describe import megabytes, model_rows


def show_model(model: Mapping[str, Any]) -> None:
    """Print what `describe` says of a model file."""
    _show(model_rows(model))


def show_models(models: Iterable[Mapping[str, Any]]) -> None:
    """Print a line about each of several models."""
    _show((each["name"], f"{each['backbone']}, {megabytes(each)}") for each in models)


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
    installed = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    missing = ", ".join(name for name, version in packages.items() if not version)
    if not missing:
        return installed
    return f"{installed}; not installed: {missing}" if installed else "not installed"


def _show(rows: Iterable[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(plain(name), plain(value))
    console = Console(highlight=False)
    console.print(table)
    console.print()
