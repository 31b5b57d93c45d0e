"""The text of `--help`: options in named sections, and examples at the end."""

import re
import sys
from typing import Any

import typer.core

from maskspot.cli.console import styled

_OWN_DEFAULT = re.compile(r"\[default: \((.*)\)\]$")
"""Typer puts a default that is told in words in parentheses."""


class Command(typer.core.TyperCommand):
    """A command whose options stand below the headings of their fields."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, and the options by section; those without one come last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if record:
                kind = "Arguments" if each.param_type_name == "argument" else "Options"
                section = getattr(each, "rich_help_panel", None) or kind
                text = _OWN_DEFAULT.sub(r"[default: \1]", record[1])
                sections.setdefault(section, []).append((record[0], text))
        sections["Options"] = sections.pop("Options")
        for name, records in sections.items():
            with formatter.section(heading(name)):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        if self.epilog:
            with formatter.section(heading("Examples")):
                for line in self.epilog.split("\n\n"):
                    formatter.write(f"  {line}\n")


def heading(text: str) -> str:
    """Return a heading of `--help`."""
    return styled(text, "cyan", sys.stdout)
