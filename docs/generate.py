"""Write what docs can be generated: `python docs/generate.py`; a test holds them to it."""

import re
from importlib import metadata
from pathlib import Path

import click
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.cli import get_docs_for_click

from maskspot.cli import COMMANDS, build

HERE = Path(__file__).parent
EXTRAS = ("", "serve", "report", "parquet", "remote", "heic", "fetch", "train", "ray")
"""From the least on: a package is listed where it first comes in."""


def cli() -> str:
    """Return the reference of the command line, from what `--help` says."""
    group = typer.main.get_command(build())
    assert isinstance(group, click.Group)
    text = get_docs_for_click(
        obj=group, ctx=click.Context(group), name="maskspot", title="The command line"
    )
    # Typer cuts the list's lines at 45 letters, whatever is left of the page.
    for name in COMMANDS:
        command = group.commands[name]
        first = (command.help or "").split("\n\n")[0].replace("\n", " ")
        text = re.sub(rf"(?m)^\* `{name}`: .*$", rf"* [`{name}`](#maskspot-{name}): {first}", text)
    return text.rstrip() + "\n"


def licences() -> str:
    """Return the licences of what maskspot brings, as the packages installed here tell them.

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
    """Return the packages that one needs on this machine, and what they need in turn."""
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
    """Return the licence that a package states, in a line."""
    about = metadata.metadata(name)
    stated = about["License-Expression"] or about["License"] or ""
    kinds = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    text = stated if stated and "\n" not in stated.strip() else ", ".join(kinds)
    return text.strip().replace("|", "/") or "see the package"


_LICENCES = """# Licences

maskspot is under the MIT licence. The shipped models are its own; what they were trained on, and
the weights that they began from, is in their cards
([default](../src/maskspot/model/shipped/default.md), [best](../src/maskspot/model/shipped/best.md),
[int8](../src/maskspot/model/shipped/int8.md),
[fast](../src/maskspot/model/shipped/fast.md)).

What it installs, on Linux, and the licences as the packages state them (`python docs/generate.py`
writes this page, in an environment that has every extra):

| first comes with | package | licence |
|---|---|---|
"""

if __name__ == "__main__":
    (HERE / "cli.md").write_text(cli(), encoding="utf-8")
    (HERE / "licences.md").write_text(licences(), encoding="utf-8")
