"""What `maskspot check` prints."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskspot.checking.check import DataCheck
from maskspot.checking.problems import FATAL, KINDS
from maskspot.cli.console import plain

SHOWN = 5
"""Problems of each kind that the table lists."""

_WIDTH = 80


def show(found: DataCheck) -> None:
    """Print the result of a check."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    lines = [
        f"{found.folder}: {found.with_mask + found.without_mask} labelled images "
        f"({found.with_mask} with a mask, {found.without_mask} without), {found.test} to test on"
    ]
    if not found.leaks:
        lines.append("too few images to tell whether sizes or formats predict the label")
    if not found.labels_checked:
        lines.append("labels not checked: give the oof.csv of `train --folds` with --oof")
    for line in lines:
        console.print(plain(line))
    if found.problems:
        console.print(_table(found))
    console.print("sound: nothing makes training stop" if found.sound else "not sound")


def _table(found: DataCheck) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("image", overflow="fold", ratio=1)
    table.add_column("what is wrong", ratio=1)
    for kind, count in found.counts.items():
        table.add_section()
        style = "bold red" if kind in FATAL else "bold"
        table.add_row(f"{kind}: {count}", KINDS[kind], style=style)
        for problem in [each for each in found.problems if each.kind == kind][:SHOWN]:
            names = [plain(name) for name in (problem.image, problem.other) if name]
            table.add_row(Text("\n= ").join(names), plain(problem.detail))
        if count > SHOWN:
            table.add_row(f"and {count - SHOWN} more", "")
    return table
