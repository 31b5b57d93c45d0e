"""Write the pages that are generated: `python docs/generate.py`.

A test fails while a page differs from what this module returns.
"""

import re
from collections.abc import Mapping
from dataclasses import Field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.cli import get_docs_for_click

from maskspot.cli import COMMANDS, build
from maskspot.training.presets import PRESETS
from maskspot.training.settings import SECTIONS, Settings, setting_types

HERE = Path(__file__).parent
EXTRAS = ("", "serve", "report", "parquet", "remote", "heic", "fetch", "train", "ray")
"""The smallest first: a package is listed with the first extra that needs it."""

_UNBOUNDED = 1e6
"""An upper bound from here on stands for none."""


def cli() -> str:
    """Return the reference of the command line, made from `--help`."""
    group = typer.main.get_command(build())
    assert isinstance(group, click.Group)
    text = get_docs_for_click(
        obj=group, ctx=click.Context(group), name="maskspot", title="The command line"
    )
    # Typer cuts the descriptions in the list of commands after 45 characters.
    for name in COMMANDS:
        command = group.commands[name]
        first = (command.help or "").split("\n\n")[0].replace("\n", " ")
        text = re.sub(rf"(?m)^\* `{name}`: .*$", rf"* [`{name}`](#maskspot-{name}): {first}", text)
        examples = command.epilog or ""
        lines = examples.replace("\n\n", "\n")
        text = text.replace(examples, f"```sh\n{lines}\n```")
    return text.rstrip() + "\n"


def settings() -> str:
    """Return the reference of the settings of training, made from the fields of `Settings`."""
    text = _SETTINGS
    for spec in fields(Settings):
        if spec.name in SECTIONS:
            text += f"\n## {SECTIONS[spec.name]}\n\n{_head()}"
        text += f"| {' | '.join(_cells(spec))} |\n"
    return text


def _head() -> str:
    names = ("setting", "values", *(f"`{name}`" for name in PRESETS), "meaning")
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"


def _cells(spec: Field[Any]) -> list[str]:
    presets = [_shown(getattr(preset, spec.name)) for preset in PRESETS.values()]
    meaning = spec.metadata["help"].replace("|", "\\|")
    return [f"`{spec.name}`", _values(setting_types()[spec.name], spec.metadata), *presets, meaning]


def _values(kind: type, facts: Mapping[str, Any]) -> str:
    """Return what a setting may be."""
    if choices := facts.get("choices"):
        return ", ".join(choices)
    if kind is bool:
        return "true, false"
    if kind is str:
        return "text"
    number = "integer" if kind is int else "number"
    least, most = facts.get("least"), facts.get("most")
    above = f"{number} from {least or 0:g}"  # `Settings` admits no negative numbers
    return above if most is None or most >= _UNBOUNDED else f"{above} to {most:g}"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | None) else str(value)


def licences() -> str:
    """Return the licences of the packages that maskspot installs, as those installed here state.

    Raises:
        importlib.metadata.PackageNotFoundError: not all extras are installed.
    """
    listed: set[str] = {"maskspot"}
    lines = []
    for extra in EXTRAS:
        new = sorted(needed("maskspot", extra) - listed)
        listed.update(new)
        where = f"`maskspot[{extra}]`" if extra else "`maskspot`"
        lines += [f"| {where} | {name} | {licence(name)} |" for name in new]
    return _LICENCES + "\n".join(lines) + "\n"


def needed(name: str, *extras: str, seen: set[tuple[str, str]] | None = None) -> set[str]:
    """Return the packages that a package needs on this machine, directly or indirectly."""
    seen = set() if seen is None else seen
    found: set[str] = set()
    for extra in {"", *extras}:
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in metadata.requires(name) or ():
            each = Requirement(line)
            plain = each.marker is None or each.marker.evaluate({"extra": ""})
            if plain if not extra else each.marker and each.marker.evaluate({"extra": extra}):
                other = canonicalize_name(each.name)
                found |= {other} | needed(other, *each.extras, seen=seen)
    return found


def licence(name: str) -> str:
    """Return the licence that a package states, in one line."""
    about = metadata.metadata(name)
    stated = about["License-Expression"] or about["License"] or ""
    kinds = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    text = stated if stated and "\n" not in stated.strip() else ", ".join(kinds)
    return text.strip().replace("|", "/") or "see the package"


_SETTINGS = """# Settings of training

Every setting of `maskspot train`, with its value in each preset. In a TOML or JSON file
(`--config`) a setting has the name below. On the command line it is an option with dashes:
`--batch-size 8`, `--head-first` or `--no-head-first`. How presets, files and options are combined,
and what the settings are for: [training.md](training.md).
"""

_LICENCES = """# Licences

maskspot has the MIT licence. Its models are its own. The cards of the models
([default](../src/maskspot/model/shipped/default.md), [best](../src/maskspot/model/shipped/best.md),
[int8](../src/maskspot/model/shipped/int8.md), [fast](../src/maskspot/model/shipped/fast.md))
name the photos and weights that they were trained from, with the licences of those.

The table lists the packages that maskspot installs on Linux, with the licences that the packages
state. `python docs/generate.py` writes it, in an environment with every extra.

| first needed by | package | licence |
|---|---|---|
"""

if __name__ == "__main__":
    (HERE / "cli.md").write_text(cli(), encoding="utf-8")
    (HERE / "settings.md").write_text(settings(), encoding="utf-8")
    (HERE / "licences.md").write_text(licences(), encoding="utf-8")
