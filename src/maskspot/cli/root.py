"""The options that go before a command."""

from typing import Annotated

import typer

from maskspot._version import __version__


def _version(wanted: bool) -> None:
    if wanted:
        print(f"maskspot {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Tell what is done, on stderr.")
    ] = False,
) -> None:
    """Take the options that go before a command."""
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
