"""`maskspot check`."""

import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.options import AsJson, Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.datasets.labels import Layout

if TYPE_CHECKING:
    from maskspot.checking.check import DataCheck

EXAMPLES = (
    "maskspot check photos",
    "maskspot check photos --report problems.html -o problems.csv",
)


@with_options
def check(
    folder: Annotated[
        Path, typer.Argument(help="Folder of labelled images, as for train.", metavar="DATA")
    ],
    *,
    oof: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV of out-of-fold probabilities, as train --folds writes it, to find wrong "
            "labels; may be given several times, for their mean.",
            show_default=False,
            metavar="FILE",
            rich_help_panel="Input",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="CSV to write every problem to.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="HTML file to write: every problem with its images.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    layout: Layout,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Check a data set: files, duplicates, sizes, what gives labels away, and wrong labels.

    Ends with exit code 1 where training would fail: images missing or unreadable, one picture with
    both labels, or a class without images.
    """
    from maskspot.checking.check import check as check_data
    from maskspot.checking.problems import problem_file
    from maskspot.datasets.survey import csvs_of
    from maskspot.outputs.conflicts import OutputFiles, check_report

    if report:
        check_report(report)
    outputs = OutputFiles({"output": output, "report": report})
    outputs.check([*(oof or []), *csvs_of(folder, layout.labels)])
    outputs.check_folder(folder)
    with showing(quiet) as progress:
        with problem_file(output) if output else nullcontext() as write:
            found = check_data(folder, layout, oof or (), progress)
            if write:
                write(found.problems)
        if report:
            from maskspot.reporting.checks import check_page
            from maskspot.reporting.page import write_page

            write_page(check_page(found, progress), report)
    if as_json:
        print(json.dumps(_values(found), indent=1))
    elif not quiet:
        from maskspot.cli.tables.check import show

        show(found)
    return 0 if found.sound else 1


def _values(found: "DataCheck") -> dict[str, object]:
    """Return what JSON says."""
    numbers = ("with_mask", "without_mask", "test", "leaks")
    return {
        "sound": found.sound,
        **{name: getattr(found, name) for name in numbers},
        "problems": [asdict(problem) for problem in found.problems],
    }
