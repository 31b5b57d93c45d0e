"""The options of the commands that talk to the data service."""

import inspect
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import say, with_parameters
from maskspot.errors import UsageError
from maskspot.extras import require_fetch
from maskspot.zindi.competition import BASE_URL, COMPETITION

if TYPE_CHECKING:
    from maskspot.zindi.client import Zindi
    from maskspot.zindi.http import Token

Connect = Callable[[], "Zindi"]
"""Gives a client that asks for credentials when they are first needed."""


def talks_to_service(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the service, in place of its last parameter, `connect`."""
    *own, _ = inspect.signature(command).parameters.values()
    options = list(inspect.signature(_client).parameters.values())

    @wraps(command)
    def run(**given: Any) -> Any:
        account = {option.name: given.pop(option.name) for option in options}
        return command(**given, connect=lambda: _client(**account))

    return with_parameters(run, [*own, *options])


def _client(
    competition: Annotated[
        str, typer.Option(help="Zindi's name of the competition.")
    ] = COMPETITION,
    url: Annotated[str, typer.Option(envvar="MASKSPOT_ZINDI_URL", help="Zindi's API.")] = BASE_URL,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File that holds your token.", show_default="MASKSPOT_ZINDI_TOKEN"),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Sign in as this user; asks for the password.")
    ] = None,
    keep_token: Annotated[
        bool, typer.Option("--keep-token", help="Keep the token in your configuration.")
    ] = False,
) -> "Zindi":
    require_fetch("this command")
    from maskspot.zindi.client import Zindi
    from maskspot.zindi.credentials import VARIABLE, find_token
    from maskspot.zindi.credentials import keep_token as keep

    def token() -> "Token":
        found = None if user else find_token(token_file)
        if found is None:
            if not (user or sys.stdin.isatty()):
                raise UsageError(
                    f"this needs your token of Zindi: set {VARIABLE}, or name a file that holds "
                    "it with --token-file, or sign in with --user"
                )
            found = _sign_in(user, url)
        if keep_token:
            say(f"token kept in {keep(found)}")
        return found

    return Zindi(competition, url, token)


def _sign_in(user: str | None, url: str) -> "Token":
    from maskspot.zindi.client import sign_in

    name = user or typer.prompt("Zindi user name", err=True)
    if sys.stdin.isatty():
        password = typer.prompt(f"password of {name}", hide_input=True, err=True)
    else:
        password = sys.stdin.readline().rstrip(os.linesep)
    return sign_in(name, password, url)
