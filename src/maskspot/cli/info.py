"""`maskspot info`."""

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot._version import __version__
from maskspot.cli.console import plain, warn
from maskspot.errors import ModelFileError

if TYPE_CHECKING:
    from maskspot.predictor import Predictor

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
    from maskspot.devices import installed_runtimes, two_runtimes
    from maskspot.models import shipped

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
        _show((each["name"], f"{each['backbone']}, {_size(each)}") for each in models)
    else:
        _show(_model_rows(models[0]))
    _show(_machine_rows(machine))


def describe(model: str) -> dict[str, Any]:
    """Return what a model file says of itself, in plain values.

    Raises:
        ModelFileError: it is missing, damaged, or not one this version understands.
    """
    from maskspot.models import find_model, shipped
    from maskspot.predictor import Predictor

    predictor, file = Predictor(model), find_model(model)
    card = file.with_suffix(".md")
    return {
        **asdict(predictor.info),
        "id": predictor.id,
        "file": str(file),
        "bytes": file.stat().st_size,
        "heatmap": _has_heatmap(predictor),
        "card": str(card) if model in shipped() and card.is_file() else None,
    }


def machine_facts() -> dict[str, Any]:
    """Return what runs models here, and the versions that a bug report needs.

    No package is imported to learn its version: TensorFlow would take seconds.
    """
    import onnxruntime

    from maskspot.devices import DEVICES, installed_runtimes
    from maskspot.threads import usable_cpus

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


def _has_heatmap(predictor: "Predictor") -> bool:
    import numpy as np

    size = predictor.info.preprocessing.size
    try:
        predictor.predict(np.zeros((size, size, 3), np.uint8), heatmap=True)
    except ModelFileError:
        return False
    return True


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


def _model_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "model", facts["name"]
    yield "backbone", facts["backbone"]
    yield "size", _size(facts)
    yield "question", facts["question"]
    shape = facts["preprocessing"]
    size = f"{shape['size']}×{shape['size']} px"  # noqa: RUF001
    yield "preprocessing", ", ".join([size, *(str(shape[key]) for key in ("fit", "filter"))])
    yield "passes", f"{facts['passes']} an image"
    yield "heatmap", "yes" if facts["heatmap"] else "no"
    if facts["metrics"]:
        yield "validation", _numbers(facts["metrics"])
    calibration = facts["calibration"]
    if calibration:
        yield "calibration", _numbers({key: calibration.get(key) for key in ("scale", "bias")})
        for when in ("before", "after"):
            if isinstance(calibration.get(when), Mapping):
                yield f"  {when}", _numbers(calibration[when])
    if facts["storage"]:
        yield "storage", _numbers(facts["storage"])
    for key, shown in (("weights", "started from"), ("data", "learned from")):
        value = facts["training"].get(key)
        if value:
            yield shown, ", ".join(map(str, value if isinstance(value, list) else [value]))
    yield "written by", f"maskspot {facts['maskspot']}, format {facts['format']}"
    yield "id", facts["id"]
    yield "file", facts["file"]
    if facts["card"]:
        yield "card", facts["card"]


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


def _size(facts: Mapping[str, Any]) -> str:
    return f"{facts['bytes'] / 1e6:.1f} MB"


def _numbers(values: Mapping[str, Any]) -> str:
    def shown(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{key.replace('_', ' ')} {shown(each)}" for key, each in values.items())


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
