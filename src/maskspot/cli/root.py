"""The options that go before a command."""

from typing import Annotated

import typer

from maskspot._version import __version__
from maskspot.cli.console import be_verbose
from maskspot.cli.options import Verbose


def _version(wanted: bool) -> None:
    if wanted:
        print(f"maskspot {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option("-V", "--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Take the options that go before a command."""
    if verbose:
        be_verbose()
