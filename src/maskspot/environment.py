"""What a process inherits that would stop us: put right here, or named in one line."""

import os
import sys
import threading
import warnings

from maskspot.errors import MaskspotError

_WIDTHS = {"COLUMNS": 40, "LINES": 1, "TERMINAL_WIDTH": 40}
"""Variables for the size of a terminal, with the least that a table can be shown in."""

_WIDEST = 1000
_UNSEEN = (
    *(DeprecationWarning, PendingDeprecationWarning),
    *(ImportWarning, ResourceWarning),
)


class NoThreadError(MaskspotError):
    """The system lets this process have no more threads."""

    def __init__(self) -> None:
        super().__init__(
            "no thread can be started: raise the limit on processes of this user (ulimit -u) or "
            "of this container (pids.max)"
        )


def prepare() -> None:
    """Make a command line independent of sizes, warnings and encodings that it may inherit.

    Raises:
        NoThreadError: nothing can be done without threads; numpy would even send itself a Ctrl-C.
    """
    for name, least in _WIDTHS.items():
        if name in os.environ and not _is_size(os.environ[name], least):
            del os.environ[name]
    calm_warnings()
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name must not end a command
    if not can_start_threads():
        raise NoThreadError


def calm_warnings() -> None:
    """Let no warning end a command: with `-W error`, others are as they are without it."""
    if any(action == "error" for action, *_ in warnings.filters):
        warnings.resetwarnings()
        for kind in _UNSEEN:
            warnings.simplefilter("ignore", kind)
    warnings.filterwarnings("ignore", module="PIL")  # an image's oddities are its Score's matter


def can_start_threads() -> bool:
    """Say whether the system lets this process have one more thread."""
    thread = threading.Thread(target=int, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True


def _is_size(text: str, least: int) -> bool:
    try:
        return least <= int(text) <= _WIDEST
    except ValueError:
        return False
