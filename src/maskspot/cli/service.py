"""The options of the commands that talk to the data service."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import say
from maskspot.errors import UsageError

if TYPE_CHECKING:
    from maskspot.datasets.http import Token
    from maskspot.datasets.zindi import Zindi

Competition = Annotated[str, typer.Option(help="Zindi's name of the competition.")]
Url = Annotated[str, typer.Option("--url", envvar="MASKSPOT_ZINDI_URL", help="Zindi's API.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File that holds your token.", show_default="MASKSPOT_ZINDI_TOKEN"),
]
User = Annotated[str | None, typer.Option(help="Sign in as this user; asks for the password.")]
KeepToken = Annotated[
    bool, typer.Option("--keep-token", help="Keep the token in your configuration.")
]


def connect(
    competition: str, url: str, token_file: Path | None, user: str | None, keep: bool
) -> "Zindi":
    """Return a client that asks for credentials when they are first needed."""
    from maskspot.extras import require_fetch

    require_fetch("this command")
    from maskspot.datasets.credentials import VARIABLE, find_token, keep_token
    from maskspot.datasets.zindi import Zindi

    def token() -> "Token":
        found = None if user else find_token(token_file)
        if found is None:
            if not (user or sys.stdin.isatty()):
                raise UsageError(
                    f"this needs your token of Zindi: set {VARIABLE}, or name a file that holds "
                    "it with --token-file, or sign in with --user"
                )
            found = _sign_in(user, url)
        if keep:
            say(f"token kept in {keep_token(found)}")
        return found

    return Zindi(competition, url, token)


def _sign_in(user: str | None, url: str) -> "Token":
    from maskspot.datasets.zindi import sign_in

    name = user or typer.prompt("Zindi user name", err=True)
    if sys.stdin.isatty():
        password = typer.prompt(f"password of {name}", hide_input=True, err=True)
    else:
        password = sys.stdin.readline().rstrip(os.linesep)
    return sign_in(name, password, url)
