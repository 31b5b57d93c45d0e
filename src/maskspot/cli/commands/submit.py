"""`maskspot submit` and `maskspot leaderboard`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import plain, say, warn
from maskspot.cli.zindi_account import Connect, talks_to_service
from maskspot.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from maskspot.zindi.client import Entry

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@talks_to_service
def submit(
    file: Annotated[Path, typer.Argument(help="Submission to send.", metavar="SUB.CSV")],
    message: Annotated[
        str, typer.Option("-m", "--message", help="Comment to send with it.")
    ] = "maskspot",
    sample: Annotated[
        Path | None,
        typer.Option(help="Sample submission to check it against.", show_default="that in data/"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it; send nothing.")] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
    *,
    connect: Connect,
) -> None:
    """Check a submission, send it, and show its score and your rank."""
    from maskspot.datasets.survey import find_sample
    from maskspot.zindi.submission import check_submission

    sample = sample or find_sample(Path("data"))
    if sample is None:
        raise UsageError("no sample submission in data/: name one with --sample")
    for doubt in check_submission(file, sample):
        warn(f"{file}: {doubt}")
    note = (lambda *_: None) if quiet else say
    note(f"{file}: fits {sample}")
    if dry_run:
        return
    with connect() as zindi:
        zindi.join()
        left = zindi.submissions_left()
        note(f"submissions left today: {left}")
        if left < 1:
            raise ServiceError("no submission is left today: the service takes the next tomorrow")
        id = zindi.submit(file, message)
        note(f"sent as {id}; waiting for its score")
        result, own = zindi.result(id), zindi.own()
    rank = own.rank if own else None
    if as_json:
        print(json.dumps({"id": id, "public_score": result.public_score, "public_rank": rank}))
    else:
        print(f"public score {result.public_score!r}, public rank {rank or 'none'}")


@talks_to_service
def leaderboard(
    top: Annotated[int, typer.Option(min=1, max=10_000, help="Rows to show.")] = 10,
    as_json: AsJson = False,
    *,
    connect: Connect,
) -> None:
    """Show the top of the leaderboard, and your own row."""
    with connect() as zindi:
        entries, own = zindi.leaderboard(top), zindi.own()
    if as_json:
        row: Any = asdict(own) if own else None
        print(json.dumps({"top": [asdict(entry) for entry in entries], "own": row}))
        return
    _print(entries, own)


def _print(entries: "list[Entry]", own: "Entry | None") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for name in ("rank", "name", "public score", "submissions"):
        table.add_column(name, justify="left" if name == "name" else "right")
    rows = [*entries, *([own] if own and own not in entries else [])]
    for at, row in enumerate(rows):
        if at == len(entries):
            table.add_section()
        score = "" if row.score is None else repr(row.score)
        cells = [str(row.rank or ""), plain(row.name), score, str(row.submissions)]
        table.add_row(*cells, style="bold" if row == own else None)
    Console(soft_wrap=True).print(table)
