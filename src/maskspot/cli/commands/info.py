"""`maskspot info`."""

import json
import platform
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Annotated, Any

import typer

from maskspot._version import __version__
from maskspot.cli.console import plain, warn

_BASE = ("numpy", "pillow", "rich", "typer")


def info(
    model: Annotated[
        str | None,
        typer.Argument(help="Model file, or a shipped model's name.", metavar="[MODEL]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what a model file says of itself, what this machine offers, and the versions.

    Without a model: the shipped ones, in short.
    """
    from maskspot.model.describe import describe, megabytes, model_rows
    from maskspot.model.providers import installed_runtimes, two_runtimes
    from maskspot.model.shipped import shipped

    runtimes = list(installed_runtimes())
    if len(runtimes) > 1:
        warn(two_runtimes(runtimes))
    names = shipped() if model is None else [model]
    models, machine = [describe(name) for name in names], machine_facts()
    if as_json:
        key: dict[str, Any] = {"models": models} if model is None else {"model": models[0]}
        print(json.dumps({**key, "machine": machine}, indent=2))
        return
    if model is None:
        _show((each["name"], f"{each['backbone']}, {megabytes(each)}") for each in models)
    else:
        _show(model_rows(models[0]))
    _show(_machine_rows(machine))


def machine_facts() -> dict[str, Any]:
    """Return what runs models here, and the versions that a bug report needs.

    No package is imported to learn its version: TensorFlow would take seconds.
    """
    import onnxruntime

    from maskspot.cpus import usable_cpus
    from maskspot.model.providers import DEVICES, installed_runtimes

    here = onnxruntime.get_available_providers()
    return {
        "devices": [name for name, device in DEVICES.items() if device.provider in here],
        "cpus": usable_cpus(),
        "maskspot": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "onnxruntime": onnxruntime.__version__,
        "runtimes": list(installed_runtimes()),
        "packages": {name: _version(name) for name in _BASE},
        "extras": {
            extra: {name: _version(name) for name in names} for extra, names in _extras().items()
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _extras() -> dict[str, list[str]]:
    """Return the packages of each extra but the developers', as the installed metadata say."""
    try:
        required = metadata.requires("maskspot") or []
    except metadata.PackageNotFoundError:  # run from a folder of sources
        return {}
    found: dict[str, list[str]] = {}
    for line in required:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"""extra\s*==\s*['"]([\w.-]+)""", line)
        if name and extra and extra[1] != "dev" and name[0] != "maskspot":
            found.setdefault(extra[1], []).append(name[0])
    return found


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
    there = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    missing = ", ".join(name for name, version in packages.items() if not version)
    if not missing:
        return there
    return f"{there}; not installed: {missing}" if there else "not installed"


def _show(rows: Iterator[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(plain(name), plain(value))
    console = Console(highlight=False)
    console.print(table)
    console.print()
