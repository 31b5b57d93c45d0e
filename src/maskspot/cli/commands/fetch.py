"""`maskspot fetch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import say, warn
from maskspot.cli.options import Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.cli.zindi_account import ask_password
from maskspot.zindi.account import ZindiAccount
from maskspot.zindi.fetch import FetchSource

if TYPE_CHECKING:
    from maskspot.datasets.survey import Survey

SHOWN = 10
"""Number of missing, extra and unreadable images that the summary lists, of each kind."""

EXAMPLES = (
    "maskspot fetch --demo demo",
    "maskspot fetch data",
    "maskspot fetch data --from downloads",
)


@with_options
def fetch(
    folder: Annotated[Path, typer.Argument(help="Folder to make or to fill.")] = Path("data"),
    *,
    source: FetchSource,
    image_column: Annotated[
        str | None,
        typer.Option(
            help="Column of the image names in the labels.",
            metavar="NAME",
            rich_help_panel="Labels",
        ),
    ] = None,
    target_column: Annotated[
        str | None,
        typer.Option(
            help="Column of the labels, 0 or 1.", metavar="NAME", rich_help_panel="Labels"
        ),
    ] = None,
    quiet: Quiet = False,
    account: ZindiAccount,
) -> int:
    """Get a competition's photos and labels, ready for training; continues where it was stopped.

    Files that are there already are not downloaded again, and nothing of yours is deleted or
    replaced. The exit code is 1 if images are missing or unreadable.
    """
    from maskspot.datasets.labels import Layout
    from maskspot.zindi import fetch as fetching

    layout = Layout(image_column=image_column, target_column=target_column)
    with showing(quiet) as progress:
        found = fetching.fetch(folder, source, layout, account, ask_password, progress)
    if source.demo:
        if not quiet:
            labelled = found.with_mask + found.without_mask
            say(f"{folder}: {labelled} images to train on, {found.test} to test on")
        return 0
    _warn(found, folder)
    if not quiet:
        _summarise(found, folder)
    return 1 if found.missing or found.unreadable else 0


def _warn(found: "Survey", folder: Path) -> None:
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


def _summarise(found: "Survey", folder: Path) -> None:
    say(
        f"{folder}: {found.with_mask + found.without_mask} labelled images "
        f"({found.with_mask} with a mask, {found.without_mask} without), {found.test} to test "
        f"on; {len(found.missing)} missing, {len(found.extra)} extra, "
        f"{len(found.unreadable)} unreadable"
    )
    if found.labels:
        say(f"now: maskspot train {folder}")
