"""Write what docs can be generated: `python docs/generate.py`; a test holds them to it."""

import re
from pathlib import Path

import click
import typer
from typer.cli import get_docs_for_click

from maskspot.cli import COMMANDS, build

HERE = Path(__file__).parent


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


if __name__ == "__main__":
    (HERE / "cli.md").write_text(cli(), encoding="utf-8")
