"""Progress on stderr: bars where a person looks, else a line now and then."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from maskspot.cli.console import note, say, warn
from maskspot.cli.options import as_options
from maskspot.errors import visible
from maskspot.progress import Progress, Step, Total

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_EVERY = 30.0
"""Seconds between two lines about one step where stderr is not a terminal."""


@contextmanager
def showing(quiet: bool = False, bars: bool = True, failures: bool = True) -> Iterator[Progress]:
    """Give what shows progress on stderr while the context lasts.

    Args:
        quiet: show warnings only.
        bars: show bars on a terminal; there are none where results appear on it meanwhile.
        failures: show on a terminal what failed; not needed where it is among these results.
    """
    at_terminal = sys.stderr.isatty()
    if quiet or (at_terminal and not bars):
        display = _Quiet(failures or not at_terminal)
    else:
        display = _Bars() if at_terminal else _Lines()
    with display.shown():
        yield display


class _Quiet:
    """Shows warnings only, and what failed."""

    def __init__(self, failures: bool = True) -> None:
        self._failures = failures

    @contextmanager
    def shown(self) -> Iterator[None]:
        yield

    @contextmanager
    def step(self, name: str, unit: str = "", total: Total = None) -> Iterator[Step]:
        with _timed(name):
            yield _NoStep()

    def say(self, text: str) -> None:
        """Show nothing."""

    def warn(self, text: str) -> None:
        warn(as_options(text))

    def failed(self, name: str, reason: str) -> None:
        if self._failures:
            say(f"{name}: {as_options(reason)}")


class _NoStep:
    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Show nothing."""


class _Lines(_Quiet):
    """Shows lines: what is said, and how far a step is every half a minute."""

    @contextmanager
    def step(self, name: str, unit: str = "", total: Total = None) -> Iterator[Step]:
        with _timed(name):
            yield _LineStep(name, unit, total)

    def say(self, text: str) -> None:
        say(as_options(text))


class _LineStep:
    def __init__(self, name: str, unit: str, total: Total) -> None:
        self._name, self._unit, self._total = name, unit, total
        self._start = self._said = time.monotonic()

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self._total = self._total if total is None else total
        now = time.monotonic()
        if now - self._said < _EVERY:
            return
        self._said = now
        self._total = self._total() if callable(self._total) else self._total
        of = "" if self._total is None else f" of {_amount(self._total, self._unit)}"
        speed = f"{_amount(done / (now - self._start), self._unit)} {_word(self._unit)}".strip()
        words = (self._name + ":", _amount(done, self._unit) + of, _word(self._unit), note)
        say(" ".join(filter(None, words)) + f", {speed}/s")


class _Bars(_Lines):
    """Shows a bar for each step, and lines above them."""

    def __init__(self) -> None:
        super().__init__()
        self._bars: Bars | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._bars:
                self._bars.stop()
                if self._bars.console.file is not sys.stderr:
                    self._bars.console.file.close()

    @contextmanager
    def step(self, name: str, unit: str = "", total: Total = None) -> Iterator[Step]:
        if self._bars is None:
            self._bars = _bars()
        self._bars.start()
        known = None if callable(total) else total
        task = self._bars.add_task(name, total=known, unit=unit, note="")
        if callable(total):  # counting a million files takes seconds, which no work waits for
            threading.Thread(target=_count, args=(self._bars, task, total), daemon=True).start()
        try:
            with _timed(name):
                yield _BarStep(self._bars, task)
        finally:
            self._bars.remove_task(task)
            if not self._bars.tasks:
                self._bars.stop()  # the terminal is free for results


class _BarStep:
    def __init__(self, bars: "Bars", task: Any) -> None:
        self._bars, self._task = bars, task

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self._bars.update(self._task, completed=done, total=total, note=note)


@contextmanager
def _timed(name: str) -> Iterator[None]:
    """Log how long a step took."""
    start = time.monotonic()
    yield
    note(f"{name}: {time.monotonic() - start:.1f} s")


def _count(bars: "Bars", task: Any, total: Callable[[], float | None]) -> None:
    with suppress(KeyError):  # the step has ended
        bars.update(task, total=total())


def _word(unit: str) -> str:
    return "" if unit == "bytes" else unit


def _amount(number: float, unit: str) -> str:
    if unit != "bytes":
        return f"{number:,.0f}"
    from rich.filesize import decimal

    return str(decimal(int(number)))


def _bars() -> "Bars":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars
    from rich.table import Column
    from rich.text import Text

    class Description(ProgressColumn):
        """What is done and how it stands; either may have names of files in it."""

        def render(self, task: Task) -> Text:
            words = visible(f"{task.description} {task.fields['note']}".strip())
            return Text(words, no_wrap=True, overflow="ellipsis")

    class Amount(ProgressColumn):
        """How many are done, of how many, and how fast; empty where nothing is counted."""

        def render(self, task: Task) -> Text:
            unit = task.fields["unit"]
            if not unit:
                return Text("")
            total = "?" if task.total is None else _amount(task.total, unit)
            speed = task.finished_speed or task.speed
            rate = f"  {_amount(speed, unit)} {_word(unit)}".rstrip() + "/s" if speed else ""
            return Text(f"{_amount(task.completed, unit)}/{total}{rate}")

    class Remaining(TimeRemainingColumn):
        """Time to go, where the total is known."""

        def render(self, task: Task) -> Text:
            return super().render(task) if task.total else Text("")

    columns = (Amount, TimeElapsedColumn, Remaining)
    return Bars(
        SpinnerColumn(),
        Description(),
        BarColumn(bar_width=24, complete_style="cyan", finished_style="cyan", pulse_style="cyan"),
        *(numbers(table_column=Column(no_wrap=True)) for numbers in columns),
        console=Console(file=_terminal()),
        transient=True,
    )


def _terminal() -> TextIO:
    """Return stderr by a descriptor of its own: that of stderr is redirected for native code."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except OSError:  # a stream without one
        return sys.stderr
    return open(descriptor, "w", encoding=sys.stderr.encoding, errors="backslashreplace")
