"""What commands print: lines on stderr, text of unknown origin, and values for JSON."""

import math
import sys
from typing import TYPE_CHECKING, Any

from maskspot.errors import visible

if TYPE_CHECKING:
    pass


def say(*words: object) -> None:
    """Print a line on stderr (stdout is for data), whatever file names and files put into it."""
    print(visible(" ".join(map(str, words))), file=sys.stderr)


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
    say(f"warning: {text}")
