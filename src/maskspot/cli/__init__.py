"""The command line: one file for each command; what is heavy is imported inside it."""

import gc
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from maskspot.environment import NoThreadError, can_start_threads, prepare
from maskspot.errors import MaskspotError

if TYPE_CHECKING:
    import typer

COMMANDS = {
    "predict": "predict",
    "fetch": "fetch",
    "check": "check",
    "train": "train",
    "export": "export",
    "evaluate": "evaluate",
    "compare": "compare",
    "info": "info",
    "submit": "submit",
    "leaderboard": "leaderboard",
    "serve": "serve",
}
"""Each command, and the module here that it is in."""

_HELP = ("-h", "--help")

_STOPPED = 128  # exit codes above it are those of a signal

_PATIENCE = 0.5  # seconds that threads have to end: loading a model takes a tenth


def build(words: Sequence[str] = ()) -> "typer.Typer":
    """Return the command line, with no more than the command that the words name, if they do.

    The modules of all commands take longer to import than a picture to score.
    """
    import typer

    from maskspot.cli.help import Command
    from maskspot.cli.root import root

    app = typer.Typer(
        name="maskspot",
        help="How likely is it that this image shows at least one face mask?",
        epilog="maskspot help COMMAND shows the options of a command, with examples.\n\n"
        "Exit codes: 0 all went well, 1 some images could not be scored, 2 wrong usage, "
        "3 bad data or model, 4 service or network, 130 interrupted.",
        pretty_exceptions_enable=False,
        suggest_commands=False,  # Click does
        context_settings={"help_option_names": [*_HELP], "max_content_width": 120},
        rich_markup_mode=None,
    )
    app.callback()(root)
    first = [word for word in words if not word.startswith("-")][:1]
    for name in first if first and first[0] in COMMANDS and words[0] not in _HELP else COMMANDS:
        module = import_module(f"maskspot.cli.commands.{COMMANDS[name]}")
        command = getattr(module, name)
        text = inspect.getdoc(command) or ""
        app.command(
            cls=Command,
            short_help=text.partition("\n\n")[0].replace("\n", " "),
            epilog="\n\n".join(module.EXAMPLES),
        )(command)
    return app


def main() -> NoReturn:
    """Run the command line; every error a user can cause ends in one line and an exit code."""
    try:
        _prepare()
        words = sys.argv[1:] or ["--help"]
        if words[0] == "help":
            words = [*words[1:2], "--help"]
        if words[0] == "predict":
            # The threads of numpy's linear algebra, which is not used, would spin for a while.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        code = build(words)(args=words, standalone_mode=False) or 0
        sys.stdout.flush()
    except MaskspotError as error:
        _complain(_shown(error))
        code = error.exit_code
    except (BrokenPipeError, SystemExit) as error:
        code = getattr(error, "code", 0) or 0  # of a signal, say
        if _is_behind(BrokenPipeError, error):  # which Click makes a SystemExit of
            # Whoever read our output has gone; leave without Python's complaint at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = _STOPPED + 13  # SIGPIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        code = 3
    except (Exception, KeyboardInterrupt) as error:
        code = _explain(error)
    if code == 130:  # noqa: PLR2004
        code = _interrupted()
    gc.freeze()  # else Python looks for garbage once more before it leaves
    if code > _STOPPED and _hanging():
        os._exit(code)  # Python would wait for it
    sys.exit(code)


def _prepare() -> None:
    """Set up signals and streams, and put right what the environment says."""
    gc.set_threshold(50_000)  # importing makes no garbage, and looking for it takes 7 % of a start
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files need not be text
            stream.reconfigure(errors="backslashreplace")
    prepare()


def _explain(error: BaseException) -> int:
    """Say what an error that is not ours means, and return the exit code; raise what is a bug."""
    if _is_behind(KeyboardInterrupt, error):  # numpy makes an ImportError of it
        return 130
    if ended := _behind(SystemExit, error):  # of a signal, while a module was imported
        return int(getattr(ended, "code", 0) or 0)
    if "can't start new thread" in str(error):
        _complain(str(NoThreadError()))
        return NoThreadError.exit_code
    if hasattr(error, "format_message"):  # Typer's usage errors; their class is private to it
        _complain(f"{error.format_message()} (see --help)")
        return int(getattr(error, "exit_code", 2))
    raise error


def _interrupted() -> int:
    """Say that somebody interrupted us; without threads OpenBLAS sends its process that signal."""
    if can_start_threads():
        _say("interrupted")
        return 130
    _complain(str(NoThreadError()))
    return NoThreadError.exit_code


def _hanging() -> bool:
    """Say whether a thread of ours does not end: it waits for a pipe that nobody writes to."""
    until = time.monotonic() + _PATIENCE
    threads = [each for each in threading.enumerate() if each.name.startswith("maskspot")]
    for each in threads:
        each.join(max(0.0, until - time.monotonic()))
    return any(each.is_alive() for each in threads)


def _shown(error: MaskspotError) -> str:
    """Return an error's text with the options of its arguments."""
    from maskspot.cli.options import as_options, flag_of

    text = as_options(error.message)
    return f"{flag_of(error.argument)}: {text}" if error.argument else text


def _say(text: str) -> None:
    # Typer comes with it: slow to import, so that is done where Ctrl-C is seen to.
    from maskspot.cli.console import say

    say(text)


def _complain(text: str) -> None:
    from maskspot.cli.console import complain

    complain(text)


def _is_behind(kind: type[BaseException], error: BaseException | None) -> bool:
    """Say whether an error of this kind is what another came from."""
    return _behind(kind, error) is not None


def _behind(kind: type[BaseException], error: BaseException | None) -> BaseException | None:
    """Return the error of this kind that another came from, if there is one."""
    while error and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
