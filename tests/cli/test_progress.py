"""What is shown of work that takes long: bars on a terminal, else a line now and then."""

import io
import os
import re
import sys
import time
from contextlib import suppress
from typing import Any

import pytest

from maskspot.cli import progress as module
from maskspot.cli.progress import showing
from maskspot.progress import SILENT, Progress


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def work(progress: Progress) -> None:
    with progress.step("peeling", "apples", total=lambda: 3) as step:
        for done in range(1, 4):
            step.update(done, note=f"of {done}")
        progress.failed("b.jpg", "is damaged")
        progress.say("peeled")
        progress.warn("sticky")


def test_a_silent_progress_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    work(SILENT)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_there_are_lines_but_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with showing() as progress:
        work(progress)
    assert capsys.readouterr() == ("", "b.jpg: is damaged\npeeled\nwarning: sticky\n")


def test_quiet_shows_failures_and_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    with showing(quiet=True) as progress:
        work(progress)
    assert capsys.readouterr().err == "b.jpg: is damaged\nwarning: sticky\n"


def test_long_work_without_a_terminal_has_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 1000, 20))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(seconds))
    with showing() as progress, progress.step("peeling", "apples", total=4000) as step:
        for done in (1000, 2000, 3000, 4000):
            step.update(done)
    assert capsys.readouterr().err == (
        "peeling: 2,000 of 4,000 apples, 50 apples/s\npeeling: 4,000 of 4,000 apples, 50 apples/s\n"
    )


@pytest.mark.parametrize("unit", ["apples", "bytes", ""])
def test_a_terminal_shows_what_is_done_and_no_escape_of_a_name(
    monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    stream: Any = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "120")
    with showing() as progress, progress.step("peeling \x1b]0;x", unit, total=2000) as step:
        step.update(1000)
        progress.say("half")
    text = stream.getvalue()
    assert "half\n" in text
    assert "peeling" in text
    assert "]0;x" not in text.replace("\\x1b]0;x", "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_bars_move_while_the_output_of_native_code_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen, terminal = os.openpty()
    with open(terminal, "w") as stderr, open(os.devnull, "w") as nowhere:
        monkeypatch.setattr("sys.stderr", stderr)
        with showing() as progress, progress.step("loading"):
            os.dup2(nowhere.fileno(), terminal)
            progress.say("still loading")
        monkeypatch.undo()
    shown = b""
    with suppress(OSError):  # how Linux says that the other side is closed
        while part := os.read(screen, 10_000):
            shown += part
    os.close(screen)
    assert b"still loading" in shown


def test_a_bar_is_one_row_of_a_narrow_terminal_with_all_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream: Any = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    shown: Any = showing()
    with shown as progress, progress.step("training", "images", 12_800) as step:
        step.update(1)
        time.sleep(0.01)
        step.update(6_400, note="epoch 11/12, log loss 0.1234, accuracy 0.9876")
        progress._bars.refresh()  # as it does ten times a second
    rows = [row for row in re.split(r"[\r\n]+", stream.getvalue()) if "6,400/12,800" in row]
    assert rows
    assert all("images/s" in row and "0:00:00" in row for row in rows)
