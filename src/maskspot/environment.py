"""The environment of the process: inherited settings, limits, and child processes."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from maskspot.errors import MaskspotError

_WIDTHS = {"COLUMNS": 40, "LINES": 1, "TERMINAL_WIDTH": 40}
"""Variables for the size of a terminal, with the smallest size that fits a table."""

_WIDEST = 1000
_STARTING = threading.Lock()
_UNSEEN = (
    *(DeprecationWarning, PendingDeprecationWarning),
    *(ImportWarning, ResourceWarning),
)


class NoThreadError(MaskspotError):
    """The system does not allow this process another thread."""

    def __init__(self) -> None:
        super().__init__(
            "no thread can be started: raise the limit on processes for this user (ulimit -u) or "
            "for this container (pids.max)"
        )


def prepare() -> None:
    """Make a command independent of inherited terminal sizes, warning filters and encodings.

    Raises:
        NoThreadError: no thread can be started; numpy would send itself a SIGINT.
    """
    for name, least in _WIDTHS.items():
        if name in os.environ and not _is_size(os.environ[name], least):
            del os.environ[name]
    calm_warnings()
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name must not end a command
    if not can_start_threads():
        raise NoThreadError


def calm_warnings() -> None:
    """Prevent warnings from ending a command when they are errors, as with `-W error`."""
    if any(action == "error" for action, *_ in warnings.filters):
        warnings.resetwarnings()
        for kind in _UNSEEN:
            warnings.simplefilter("ignore", kind)
    warnings.filterwarnings("ignore", module="PIL")  # an image's oddities are in its Score


def can_start_threads() -> bool:
    """Return whether the system allows this process another thread."""
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
    from multiprocessing import resource_tracker, util

    with _STARTING:  # the following are settings of the process, not of the thread
        name, signals = "PYTHONSAFEPATH", getattr(signal, "pthread_sigmask", None)
        before, program = os.environ.get(name), sys.modules["__main__"]
        options: Any = util
        flags = options._args_from_interpreter_flags
        os.environ[name] = "1"
        if sys.flags.ignore_environment and not sys.flags.safe_path:  # python -E
            options._args_from_interpreter_flags = lambda: [*flags(), "-P"]
        sys.modules["__main__"] = ModuleType("__main__")
        mask = None
        try:
            if signals:
                resource_tracker.ensure_running()  # starting it later would unblock the signal
                mask = signals(signal.SIG_BLOCK, [signal.SIGINT])
            yield
        finally:
            sys.modules["__main__"] = program
            options._args_from_interpreter_flags = flags
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
            if mask is not None and signals:
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
