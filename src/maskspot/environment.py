"""What a process inherits that would stop us: put right here, or named in one line."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from maskspot.errors import MaskspotError

_WIDTHS = {"COLUMNS": 40, "LINES": 1, "TERMINAL_WIDTH": 40}
"""Variables for the size of a terminal, with the least that a table can be shown in."""

_WIDEST = 1000
_STARTING = threading.Lock()
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


@contextmanager
def starting_processes() -> Iterator[None]:
    """Start processes with `multiprocessing` that import nothing but installed packages.

    Without it they would import from the current folder, which may be a stranger's with a
    multiprocessing.py beside the photos, and run the program that was started once more. They also
    inherit that SIGINT is blocked: Ctrl-C reaches all processes of a terminal.
    """
    from multiprocessing import resource_tracker

    with _STARTING:  # the following are settings of the process, not of the thread
        name, signals = "PYTHONSAFEPATH", getattr(signal, "pthread_sigmask", None)
        before, program = os.environ.get(name), sys.modules["__main__"]
        if signals:
            resource_tracker.ensure_running()  # starting it later would unblock the signal
            mask = signals(signal.SIG_BLOCK, [signal.SIGINT])
        os.environ[name] = "1"
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = program
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
            if signals:
                signals(signal.SIG_SETMASK, mask)


def end_with_parent() -> None:
    """Let this process end when the one that started it does, whatever its threads do then."""
    from multiprocessing import parent_process

    parent = parent_process()

    def watch() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _is_size(text: str, least: int) -> bool:
    try:
        return least <= int(text) <= _WIDEST
    except ValueError:
        return False
