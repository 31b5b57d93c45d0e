"""`maskspot fetch`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import progress_bar, say, warn
from maskspot.cli.progress import showing
from maskspot.cli.zindi_account import Connect, talks_to_service
from maskspot.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from maskspot.datasets.survey import Survey

SHOWN = 10
"""Names of missing, extra and unreadable images that the summary lists, of each kind."""


@talks_to_service
def fetch(
    folder: Annotated[Path, typer.Argument(help="Folder to make, or to fill.")] = Path("data"),
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Take archives and CSVs that are on disk; may be repeated."),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Draw a small data set; no network.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawings.")] = 0,
    image_column: Annotated[
        str | None, typer.Option(help="The labels' column of image names.")
    ] = None,
    target_column: Annotated[str | None, typer.Option(help="Their column of 0 and 1.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
    *,
    connect: Connect,
) -> int:
    """Get a competition's photos and labels, ready for training; go on where a call was stopped.

    What is there already is not downloaded again, and nothing of yours is deleted or replaced.
    Ends with exit code 1 where images are missing or unreadable.
    """
    if demo:
        if sources:
            raise UsageError("--demo draws its pictures; leave out --from")
        return _draw(folder, seed, quiet)
    from maskspot.datasets.labels import Layout
    from maskspot.datasets.survey import survey
    from maskspot.zindi.fetch import fetch as fetch_all
    from maskspot.zindi.fetch import take

    layout = Layout(image_column=image_column, target_column=target_column)
    with progress_bar(quiet, "") as bar:
        display = _Display(bar, quiet)
        if sources:
            take(sources, folder, display)
        elif folder.is_dir() and survey(folder, layout, decode=False).complete:
            display.line(f"{folder}: nothing to download")
        else:
            with connect() as zindi:
                fetch_all(zindi, folder, display)
    with showing(quiet) as progress:
        found = survey(folder, layout, progress=progress)
    return _report(found, folder, quiet)


def _draw(folder: Path, seed: int, quiet: bool) -> int:
    from maskspot.datasets.demo import TEST, TRAIN, draw

    draw(folder, seed=seed)
    if not quiet:
        say(f"{folder}: {TRAIN} images to train on, {TEST} to test on")
    return 0


def _report(found: "Survey", folder: Path, quiet: bool) -> int:
    for file, what in ((found.labels, "CSV of labels"), (found.sample, "sample submission")):
        if file is None:
            warn(f"{folder}: no {what}")
    unreadable = [f"{name} ({why})" for name, why in found.unreadable]
    kinds = {"missing": found.missing, "unreadable": unreadable, "not in any CSV": found.extra}
    for kind, names in kinds.items():
        for name in names[:SHOWN]:
            warn(f"{kind}: {name}")
        if len(names) > SHOWN:
            warn(f"{kind}: and {len(names) - SHOWN} more")
    if not quiet:
        say(
            f"{folder}: {found.with_mask + found.without_mask} labelled images "
            f"({found.with_mask} with a mask, {found.without_mask} without), {found.test} to test "
            f"on; {len(found.missing)} missing, {len(found.extra)} extra, "
            f"{len(unreadable)} unreadable"
        )
        if found.labels:
            say(f"now: maskspot train {folder}")
    return 1 if found.missing or unreadable else 0


class _Display:
    """Shows on stderr how far things are: a bar each where a person looks."""

    def __init__(self, bar: "Progress | None", quiet: bool) -> None:
        self.bar, self.quiet = bar, quiet

    def begin(self, what: str, unit: str) -> Callable[[int, int | None], None]:
        if self.bar is None:
            return lambda done, total: None
        bar, task = self.bar, self.bar.add_task(what, total=None, unit=unit)

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        return show

    def warn(self, text: str) -> None:
        warn(text)

    def line(self, *words: Any) -> None:
        if not self.quiet:
            say(*words)
