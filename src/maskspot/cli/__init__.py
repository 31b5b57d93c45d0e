"""The command line: one file for each command; what is heavy is imported inside it."""

import gc
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, NoReturn

import typer

from maskspot._version import __version__
from maskspot.cli.console import say
from maskspot.errors import MaskspotError

COMMANDS = {
    "predict": "predict",
    "fetch": "fetch",
    "check": "check",
    "train": "train",
    "export": "export",
    "evaluate": "evaluate",
    "info": "info",
    "submit": "submit",
    "leaderboard": "submit",
}
"""Each command, and the module here that it is in."""


def _app(words: Sequence[str]) -> typer.Typer:
    """Return the command line, with no more than the command that the words name, if they do.

    The modules of all commands take longer to import than a picture to score.
    """
    app = typer.Typer(
        name="maskspot",
        help="How likely is it that this image shows at least one face mask?",
        epilog="Exit codes: 0 all went well, 1 some images could not be scored, 2 wrong usage, "
        "3 bad data or model, 4 service or network, 130 interrupted.",
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    first = [word for word in words if not word.startswith("-")][:1]
    for name in first if first and first[0] in COMMANDS and words[0] != "--help" else COMMANDS:
        module = import_module(f"maskspot.cli.{COMMANDS[name]}")
        app.command()(getattr(module, name))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(f"maskspot {__version__}")
        raise typer.Exit


def _root(
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


def main() -> NoReturn:
    """Run the command line; every error a user can cause ends in one line and an exit code."""
    gc.set_threshold(50_000)  # importing makes no garbage, and looking for it takes 7 % of a start
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    warnings.filterwarnings("ignore", module="PIL")  # an image's oddities are its Score's matter
    try:
        words = sys.argv[1:] or ["--help"]
        code = _app(words)(args=words, standalone_mode=False) or 0
        sys.stdout.flush()
    except MaskspotError as error:
        say(f"error: {error}")
        code = error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; leave without Python's complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + 13  # SIGPIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {where}{error.strerror or error}")
        code = 3
    except (Exception, KeyboardInterrupt) as error:
        if _was_interrupted(error):
            code = 130
        elif hasattr(error, "format_message"):  # Typer's usage errors; their class is private to it
            say(f"error: {error.format_message()} (see --help)")
            code = getattr(error, "exit_code", 2)
        else:
            raise
    if code == 130:  # noqa: PLR2004
        say("interrupted")
    sys.exit(code)


def _was_interrupted(error: BaseException | None) -> bool:
    """Say whether Ctrl-C is behind an error: numpy makes an ImportError of it."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
