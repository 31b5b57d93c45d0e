"""`maskspot check`."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import check_report, progress_bar
from maskspot.cli.destinations import Destinations

if TYPE_CHECKING:
    from rich.table import Table

    from maskspot.checking.check import Report
    from maskspot.checking.problems import Problem

SHOWN = 5
"""Problems of each kind that the table lists."""

_WIDTH = 80


def check(
    folder: Annotated[Path, typer.Argument(help="Folder, as train takes it.", metavar="DATA")],
    oof: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV of out-of-fold probabilities, as train --folds writes them: finds labels "
            "that are likely wrong; may be repeated, for the mean.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write every problem to this CSV.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="HTML file to write: every problem, with its images to look at."),
    ] = None,
    labels: Annotated[str | None, typer.Option(help="The CSV of labels.")] = None,
    image_column: Annotated[str | None, typer.Option(help="Its column of image names.")] = None,
    target_column: Annotated[str | None, typer.Option(help="Its column of 0 and 1.")] = None,
    positive: Annotated[str | None, typer.Option(help="The class folder with masks.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print no table.")] = False,
) -> int:
    """Check a data set: files, duplicates, sizes, what gives labels away, and wrong labels.

    Ends with exit code 1 where training would trip: images missing or unreadable, one picture
    with both labels, or a class without any.
    """
    from maskspot.checking.check import check as look_over
    from maskspot.datasets.labels import Layout

    if report:
        check_report(report)
    destinations = Destinations({"--output": output, "--report": report})
    destinations.check(oof or [])
    destinations.check_data(folder, labels)
    layout = Layout(labels, image_column, target_column, positive)
    with _writing(output) as write:
        with progress_bar(quiet, "images") as bar:
            task = bar.add_task("reading the images", total=None) if bar else None

            def done(count: int, total: int) -> None:
                if bar and task is not None:
                    bar.update(task, completed=count, total=total)

            found = look_over(folder, layout, oof or (), done)
        write(found.problems)
    if report:
        from maskspot.reporting.checks import check_page
        from maskspot.reporting.page import write_page

        write_page(check_page(found, folder, bool(oof)), report)
    if as_json:
        values = asdict(replace(found, files={}))
        del values["files"]
        print(json.dumps({"sound": found.sound, **values}, indent=1))
    elif not quiet:
        _show(found, folder, bool(oof))
    return 0 if found.sound else 1


@contextmanager
def _writing(path: Path | None) -> "Iterator[Callable[[Sequence[Problem]], None]]":
    """Give what writes problems to a CSV: opened before any work, whole or not at all."""
    if path is None:
        yield lambda problems: None
        return
    from maskspot.checking.problems import Problem
    from maskspot.files import replacing
    from maskspot.outputs.formats import csv_rows

    columns = [field.name for field in fields(Problem)]
    with (
        replacing(path) as beside,
        beside.open("wb") as stream,
        csv_rows(stream, columns) as write_row,
    ):

        def write(problems: Sequence[Problem]) -> None:
            for problem in problems:
                write_row(astuple(problem))

        yield write


def _show(report: "Report", folder: Path, with_oof: bool) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    lines = [
        f"{folder}: {report.with_mask + report.without_mask} labelled images ({report.with_mask} "
        f"with a mask, {report.without_mask} without), {report.test} to test on"
    ]
    if not report.leaks:
        lines.append("too few images to tell whether sizes or formats give labels away")
    if not with_oof:
        lines.append("labels not looked at: give the oof.csv of `train --folds` with --oof")
    for line in lines:
        console.print(_plain(line))
    if report.problems:
        console.print(_table(report))
    console.print("sound: nothing that training trips over" if report.sound else "not sound")


def _table(report: "Report") -> "Table":
    from rich import box
    from rich.table import Table

    from maskspot.checking.check import counts
    from maskspot.checking.problems import FATAL, KINDS

    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("image", overflow="fold", ratio=1)
    table.add_column("what is wrong", ratio=1)
    for kind, count in counts(report).items():
        found = [problem for problem in report.problems if problem.kind == kind]
        if found:
            table.add_section()
            style = "bold red" if kind in FATAL else "bold"
            table.add_row(f"{kind}: {count}", KINDS[kind], style=style)
        for problem in found[:SHOWN]:
            names = "\n= ".join(filter(None, (problem.image, problem.other)))
            table.add_row(_plain(names), _plain(problem.detail))
        if count > SHOWN:
            table.add_row(f"and {count - SHOWN} more", "")
    return table


def _plain(text: str) -> Any:
    """Return what files say as text: no markup, nothing that moves a terminal's cursor."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() or c == "\n" else "�" for c in text))
