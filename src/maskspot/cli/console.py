"""What commands print: lines on stderr, text of unknown origin, and values for JSON."""

import math
import os
import sys
from typing import Any, TextIO

from maskspot.errors import visible


def say(*words: object) -> None:
    """Print a line on stderr (stdout is for data), whatever file names and files put into it."""
    print(visible(" ".join(map(str, words))), file=sys.stderr)


def has_colours(stream: TextIO) -> bool:
    """Say whether a stream is a terminal with colours, and nobody has turned them off."""
    off = os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "unknown")
    return not off and stream.isatty()


def styled(text: str, colour: str, stream: TextIO) -> str:
    """Return a text in a colour, bold, for a stream that has colours; else the text itself."""
    if not has_colours(stream):
        return text
    import typer

    return typer.style(text, fg=colour, bold=True)


def plain(name: str) -> Any:
    """Return text of unknown origin for a table: no markup, and no control characters."""
    from rich.text import Text

    return Text(visible(name))


def plain_values(value: Any) -> Any:
    """Return what JSON can say: null for what is not defined, and infinity as a text."""
    if isinstance(value, dict):
        return {key: plain_values(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def warn(text: str) -> None:
    """Print a warning on stderr."""
    _say_after("warning:", "yellow", text)


def complain(text: str) -> None:
    """Print an error on stderr."""
    _say_after("error:", "red", text)


def be_verbose() -> None:
    """Show on stderr what is logged."""
    import logging

    class Shown(logging.Handler):
        """Shows records on what is stderr at the time, above its bars."""

        def emit(self, record: logging.LogRecord) -> None:
            for line in self.format(record).splitlines():
                say(line)

    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", handlers=[Shown()])


def note(text: str) -> None:
    """Log a line; without `be_verbose`, nobody may have imported what takes it."""
    if logging := sys.modules.get("logging"):
        logging.getLogger("maskspot").info("%s", text)


def _say_after(word: str, colour: str, text: str) -> None:
    print(styled(word, colour, sys.stderr), visible(text), file=sys.stderr)
