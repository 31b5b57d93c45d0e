"""What commands share: words on stderr, and a progress bar where a person looks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def say(*words: object) -> None:
    """Print a line on stderr (stdout is for data), whatever file names and files put into it."""
    text = " ".join(map(str, words))
    print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text), file=sys.stderr)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    say(f"warning: {text}")


@contextmanager
def progress_bar(quiet: bool, unit: str) -> Iterator["Progress | None"]:
    """Give a progress display on stderr, or None where stderr is no terminal, or `quiet`.

    Args:
        quiet: the user wants none.
        unit: what is counted, for the speed.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        """Counted things a second."""

        def render(self, task: Task) -> Text:
            speed = task.fields.get("speed") or task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {unit}/s" if speed else "")

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        yield progress
