"""`maskspot fetch`."""

from pathlib import Path
from typing import Annotated

import typer

from maskspot.cli.console import say
from maskspot.errors import UsageError


def fetch(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")] = Path("data"),
    demo: Annotated[
        bool, typer.Option("--demo", help="Draw a small data set; no network.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawings.")] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> None:
    """Get a data set to train on: for now, one that maskspot draws itself."""
    if not demo:
        raise UsageError("fetch: only --demo is there yet: maskspot fetch --demo FOLDER")
    from maskspot.datasets.demo import TEST, TRAIN, draw

    draw(folder, seed=seed)
    if not quiet:
        say(f"{folder}: {TRAIN} images to train on, {TEST} to test on")
