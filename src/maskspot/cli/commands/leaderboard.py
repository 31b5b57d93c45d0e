"""`maskspot leaderboard`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import plain
from maskspot.cli.options import AsJson, with_options
from maskspot.cli.progress import showing
from maskspot.cli.zindi_account import ask_password
from maskspot.zindi.account import ZindiAccount

if TYPE_CHECKING:
    from rich.table import Table

    from maskspot.zindi.leaderboard import Leaderboard

EXAMPLES = (
    "maskspot leaderboard",
    "maskspot leaderboard --top 50 --json",
)


@with_options
def leaderboard(
    top: Annotated[
        int,
        typer.Option(
            min=1, max=10_000, help="Number of rows to show.", metavar="N", rich_help_panel="Output"
        ),
    ] = 10,
    as_json: AsJson = False,
    *,
    account: ZindiAccount,
) -> None:
    """Show the top of the leaderboard, and your own row."""
    from maskspot.zindi import leaderboard as board

    with showing() as progress:
        found = board.leaderboard(top, account, ask_password, progress)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    from rich.console import Console

    Console(soft_wrap=True).print(_table(found))


def _table(found: "Leaderboard") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for name in ("rank", "name", "public score", "submissions"):
        table.add_column(name, justify="left" if name == "name" else "right")
    own = found.own
    rows = [*found.top, *([own] if own and own not in found.top else [])]
    for at, row in enumerate(rows):
        if at == len(found.top):
            table.add_section()
        score = "" if row.score is None else repr(row.score)
        cells = [str(row.rank or ""), plain(row.name), score, str(row.submissions)]
        table.add_row(*cells, style="bold" if row == own else None)
    return table
