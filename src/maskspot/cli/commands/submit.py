"""`maskspot submit`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from maskspot.cli.options import AsJson, Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.cli.zindi_account import ask_password
from maskspot.zindi.account import ZindiAccount

EXAMPLES = (
    "maskspot submit sub.csv --dry-run --sample photos/sample_sub_v2.csv",
    'maskspot submit sub.csv -m "five folds"',
)


@with_options
def submit(
    file: Annotated[Path, typer.Argument(help="Submission to send.", metavar="SUB.CSV")],
    message: Annotated[
        str,
        typer.Option(
            "-m",
            "--message",
            help="Comment to send with it.",
            metavar="TEXT",
            rich_help_panel="Submission",
        ),
    ] = "maskspot",
    sample: Annotated[
        Path | None,
        typer.Option(
            help="Sample submission to check it against.",
            show_default="the one in data/",
            metavar="FILE",
            rich_help_panel="Submission",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only check it; send nothing.", rich_help_panel="Submission"
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    account: ZindiAccount,
) -> None:
    """Check a submission, send it, and show its score and your rank."""
    from maskspot.zindi import submission

    with showing(quiet) as progress:
        if dry_run:
            submission.check_submission(file, sample, progress)
            return
        sent = submission.submit(file, sample, message, account, ask_password, progress)
    if as_json:
        print(json.dumps(asdict(sent)))
    else:
        print(f"public score {sent.public_score!r}, public rank {sent.public_rank or 'none'}")
