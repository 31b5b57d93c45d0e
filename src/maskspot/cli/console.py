"""What commands share: words on stderr, and a progress bar where a person looks."""

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.errors import UsageError, visible

if TYPE_CHECKING:
    from rich.progress import Progress

Model = Annotated[
    str | None,
    typer.Option(
        "-m", "--model", help="Model file, or a shipped model's name.", show_default="default"
    ),
]
Device = Annotated[
    str,
    typer.Option(help="cpu, cuda, tensorrt, rocm, directml, coreml, openvino; auto for any."),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads.", show_default="one for each CPU")
]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Images to a thread.", show_default="1; 32 on other devices"),
]
ImageColumn = Annotated[str | None, typer.Option(help="The labels' column of images.")]
TargetColumn = Annotated[str | None, typer.Option(help="The labels' column of labels.")]
"""Options that several commands have."""


def say(*words: object) -> None:
    """Print a line on stderr (stdout is for data), whatever file names and files put into it."""
    print(visible(" ".join(map(str, words))), file=sys.stderr)


def plain(name: str) -> Any:
    """Return text of unknown origin for a table: no markup, and no control characters."""
    from rich.text import Text

    return Text(visible(name))


def plain_values(value: Any) -> Any:
    """Return what JSON can say: null for what is not defined, and infinity as a text."""
    if isinstance(value, dict):
        return {key: plain_values(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def with_parameters(
    command: Callable[..., Any], parameters: Sequence[inspect.Parameter]
) -> Callable[..., Any]:
    """Make a command line's options of other parameters than a command is written with."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def check_report(file: Path) -> None:
    """Refuse a report that could not be written, before any work.

    Raises:
        UsageError: it is a folder, or in none.
        MissingExtraError: what makes it is not installed.
    """
    from maskspot.extras import require_report

    require_report("--report")
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise UsageError(f"--report: {file} is no file in a folder that is there")


def warn(text: str) -> None:
    """Print a warning on stderr."""
    say(f"warning: {text}")


@contextmanager
def progress_bar(quiet: bool, unit: str) -> Iterator["Progress | None"]:
    """Give a progress display on stderr, or None where stderr is no terminal, or `quiet`.

    Args:
        quiet: the user wants none.
        unit: what is counted, for the speed; a task's own field `unit` goes before it.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    def count(task: Task, number: float) -> str:
        if task.fields.get("unit", unit) == "bytes":
            return decimal(int(number))
        return f"{number:,.0f}"

    class Description(ProgressColumn):
        """What is done; it may have names of files in it."""

        def render(self, task: Task) -> Text:
            return Text(visible(task.description))

    class Amount(ProgressColumn):
        """How many are done, and of how many."""

        def render(self, task: Task) -> Text:
            whole = "?" if task.total is None else count(task, task.total)
            return Text(f"{count(task, task.completed)}/{whole}")

    class Speed(ProgressColumn):
        """Counted things a second."""

        def render(self, task: Task) -> Text:
            speed = task.fields.get("speed") or task.finished_speed or task.speed
            if not speed:
                return Text("")
            word = task.fields.get("unit", unit)
            return Text(f"{count(task, speed)}{'' if word == 'bytes' else f' {word}'}/s")

    with Progress(
        Description(),
        BarColumn(),
        Amount(),
        Speed(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        yield progress
