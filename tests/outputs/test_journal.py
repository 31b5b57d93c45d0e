"""Finished scores survive: kills at any byte, other runs, other options."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.errors import DataError, UsageError
from maskspot.files import locked
from maskspot.model.score import Score
from maskspot.outputs.form import Form
from maskspot.outputs.journal import Journal
from maskspot.outputs.writing import write_scores
from tests.helpers import full_disk

MADE_WITH = {"model": "default-1a2b", "max_pixels": 100, "fit": None}
SCORES = [
    Score("a.jpg", 0.1 + 0.2, None, "ok", 640, 480, "JPEG", 3.25),
    Score("b\r\n😀.jpg", None, "empty file", "unreadable"),
    Score("caf\udce9 ü.jpg", 5e-324, None, "ok", 1, 1, "PNG", 0.5),
    Score("none.jpg", None, "No such file", "missing"),
    Score("d.jpg", 1.0, None, "ok", 9, 9, None, 1e300),
]

texts = st.text(st.characters(exclude_categories=()))
whole = st.none() | st.integers(min_value=1)
statuses = st.sampled_from(["ok", "missing", "unreadable", "too large"])
times = st.none() | st.floats(min_value=0, allow_nan=False, allow_infinity=False)
rest = (statuses, whole, whole, st.none() | texts, times)
scores = st.one_of(
    st.builds(Score, texts, st.floats(0, 1), st.none(), *rest),
    st.builds(Score, texts, st.none(), texts, *rest),
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "sub.csv"


def names(output: Path) -> list[str]:
    return sorted(os.listdir(output.parent))


def stop(output: Path, made: list[Score] = SCORES) -> bytes:
    """Leave what a run that was stopped leaves; return the journal's bytes."""
    with Journal.open(output, MADE_WITH, resume=None) as journal:
        for score in made:
            journal.write(score)
    return Journal.path_for(output).read_bytes()


def resume(output: Path) -> int:
    """Go on where a run stopped, to the end; return how many rows were taken over."""
    with Journal.open(output, MADE_WITH, resume=True) as journal:
        for score in journal.finished():
            journal.write(score)
        taken = journal.count
        for score in SCORES[taken:]:
            journal.write(score)
        write_scores(journal.rows(), Form(details=True), output)
        journal.remove()
    return taken


@given(st.lists(scores, max_size=5))
def test_any_score_comes_back_as_it_was(made: list[Score]) -> None:
    with Journal.temporary() as journal:
        for score in made:
            journal.write(score)
        assert repr(list(journal.rows())) == repr(made)
        assert repr([journal.at(place) for place, _ in journal.places()]) == repr(made)
        assert (journal.count, journal.failed) == (
            len(made),
            sum(score.error is not None for score in made),
        )


def test_rows_can_be_read_while_others_are_written() -> None:
    with Journal.temporary() as journal:
        journal.write(SCORES[0])
        rows = journal.rows()
        seen = [next(rows)]
        for score in SCORES[1:]:
            journal.write(score)
            assert journal.at(next(journal.places())[0]) == SCORES[0]
        assert seen + list(rows) == SCORES


def test_a_run_that_ends_well_leaves_its_output_alone(output: Path) -> None:
    assert resume(output) == 0
    assert names(output) == ["sub.csv"]


def test_an_error_leaves_the_journal_beside_the_output(output: Path) -> None:
    def fail() -> None:
        with Journal.open(output, MADE_WITH, resume=None) as journal:
            journal.write(SCORES[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(output) == [".sub.csv.journal"]


def test_where_nothing_was_finished_nothing_stays_and_nothing_is_asked(output: Path) -> None:
    with Journal.open(output, MADE_WITH, resume=None):
        assert names(output) == [".sub.csv.journal"]
    assert names(output) == []
    Journal.path_for(output).write_bytes(b'{"journal":1}\n["a.jpg",0.')
    with Journal.open(output, MADE_WITH, resume=None) as journal:
        assert list(journal.finished()) == []
    assert names(output) == []


def test_after_a_kill_at_any_byte_the_output_is_the_same(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    resume(output)
    expected = output.read_bytes()
    whole = stop(output)
    for length in range(len(whole) + 1):
        Journal.path_for(output).write_bytes(whole[:length])
        output.unlink()
        assert resume(output) == max(whole[:length].count(b"\n") - 1, 0)
        assert output.read_bytes() == expected
        assert names(output) == ["sub.csv"]


@pytest.mark.parametrize("read_ahead", [0, 1, 4])
def test_until_it_has_caught_up_a_run_leaves_the_old_journal_as_it_was(
    output: Path, read_ahead: int
) -> None:
    before = stop(output)
    path = Journal.path_for(output)
    (output.parent / ".sub.csv.journal.new").write_text("of a run killed while catching up")
    with Journal.open(output, MADE_WITH, resume=True) as journal:
        finished = journal.finished()
        waiting = list(islice(finished, read_ahead))
        for score in finished:
            assert path.read_bytes() == before
            waiting.append(score)
            journal.write(waiting.pop(0))
        for score in waiting:
            assert path.read_bytes() == before
            journal.write(score)
        assert names(output) == [".sub.csv.journal"]
        journal.write(Score("new.jpg", 0.5))
        assert path.read_bytes().startswith(before + b'["new.jpg"')
        assert list(journal.rows()) == [*SCORES, Score("new.jpg", 0.5)]


def test_a_run_stopped_while_catching_up_loses_nothing(output: Path) -> None:
    before = stop(output)
    with Journal.open(output, MADE_WITH, resume=True) as journal:
        journal.write(next(journal.finished()))
    assert names(output) == [".sub.csv.journal"]
    assert Journal.path_for(output).read_bytes() == before


def test_a_row_may_be_scored_anew_while_catching_up(output: Path) -> None:
    stop(output)
    with Journal.open(output, MADE_WITH, resume=True) as journal:
        for score in journal.finished():
            journal.write(score if score.status == "ok" else Score(score.source, 0.5))
        assert [score.probability for score in journal.rows()][1::2] == [0.5, 0.5]
        assert (journal.count, journal.failed) == (5, 0)


def test_without_a_choice_a_stopped_run_is_neither_taken_over_nor_lost(output: Path) -> None:
    before = stop(output)
    with pytest.raises(UsageError) as error, Journal.open(output, {}, resume=None):
        pytest.fail("it began")
    assert str(error.value) == (
        f"{output}: a stopped run left 5 finished rows; "
        "`resume=True` goes on with them, `resume=False` starts over"
    )
    assert Journal.path_for(output).read_bytes() == before


def test_no_resume_starts_anew(output: Path) -> None:
    stop(output)
    with Journal.open(output, {"model": "other"}, resume=False) as journal:
        assert list(journal.finished()) == []
        journal.write(SCORES[0])
        assert list(journal.rows()) == SCORES[:1]
    assert names(output) == [".sub.csv.journal"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "fast-9f8e"}, "model default-1a2b, not fast-9f8e;"),
        ({"max_pixels": 7, "fit": "pad"}, "fit none, not pad and max_pixels 100, not 7;"),
        ({"paths": ["x"]}, 'paths none, not ["x"];'),
        ({"columns": ["source"]}, "columns "),
    ],
)
def test_a_run_with_other_options_is_not_resumed(
    output: Path, change: dict[str, object], words: str
) -> None:
    before = stop(output)
    with pytest.raises(UsageError) as error, Journal.open(output, MADE_WITH | change, resume=True):
        pytest.fail("it began")
    assert f"{output}: the stopped run was made with {words}" in str(error.value)
    assert "`resume=False`" in str(error.value)
    assert Journal.path_for(output).read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        *(b"x", b'["a"]', b"7", b"\xff", b"", b"\0\0", b"[" * 100_000),
        *(
            f'["a",{probability},{error},"{status}",{width},9,null,null]'.encode()
            for probability, error, status, width in (
                *((7.5, "null", "ok", 9), (-1, "null", "ok", 9), ("NaN", "null", "ok", 9)),
                *(("Infinity", "null", "ok", 9), ("true", "null", "ok", 9)),
                *(
                    ('"=cmd|x"', "null", "ok", 9),
                    ("[]", "null", "ok", 9),
                    ("null", "null", "ok", 9),
                ),
                *((0.5, '"why"', "missing", 9), (0.5, "null", "fine", 9), (0.5, "null", "ok", -1)),
                *((0.5, "null", "ok", '"9"'), (0.5, "null", "ok", "1e400"), ("null", "7", "ok", 9)),
            )
        ),
    ],
)
@pytest.mark.parametrize("number", [0, 2])
def test_a_damaged_line_is_named(output: Path, line: bytes, number: int) -> None:
    lines = stop(output).split(b"\n")
    lines[number] = line
    Journal.path_for(output).write_bytes(b"\n".join(lines))

    def run() -> None:
        with Journal.open(output, MADE_WITH, resume=True) as journal:
            list(journal.finished())

    with pytest.raises(
        DataError, match=rf"sub.csv.journal, line {number + 1}: damaged; `resume=False`"
    ):
        run()


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
@pytest.mark.parametrize("stopped", [False, True])
def test_two_at_once_are_refused(output: Path, stopped: bool) -> None:
    if stopped:
        stop(output)
    message = "sub.csv: another process of maskspot is writing it; wait for it"

    def second() -> None:
        for choice in (None, True, False):
            with pytest.raises(DataError, match=message), Journal.open(output, {}, choice):
                pytest.fail("it began")

    with Journal.open(output, MADE_WITH, resume=True) as journal:
        second()
        for score in journal.finished():
            journal.write(score)
        second()
        journal.write(SCORES[0])
        second()
    resume(output)


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
def test_however_many_start_at_once_each_runs_or_is_told_why_not(output: Path) -> None:
    def run(_: int) -> str:
        try:
            with Journal.open(output, MADE_WITH, resume=False) as journal:
                journal.write(SCORES[0])
                journal.remove()
        except DataError as error:
            return str(error)
        return "ran"

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(run, range(1000)))
    assert found == {"ran", f"{output}: another process of maskspot is writing it; wait for it"}
    assert names(output) == []


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
@pytest.mark.parametrize(("other", "left"), [(stop, ".sub.csv.journal"), (resume, "sub.csv")])
def test_a_journal_that_another_run_takes_away_while_it_is_opened_is_not_taken(
    output: Path, monkeypatch: pytest.MonkeyPatch, other: Callable[[Path], object], left: str
) -> None:
    def late(path: Path) -> AbstractContextManager[bool]:
        monkeypatch.setattr("maskspot.outputs.journal.locked", locked)
        other(output)
        return locked(path)

    monkeypatch.setattr("maskspot.outputs.journal.locked", late)
    with (
        pytest.raises(DataError, match="another process of maskspot is writing it"),
        Journal.open(output, MADE_WITH, resume=False),
    ):
        pytest.fail("it began")
    assert names(output) == [left]


def test_an_output_without_a_folder_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error, Journal.open(tmp_path / "no" / "a", {}, None):
        pytest.fail("it began")
    assert error.value.filename == str(tmp_path / "no")


@pytest.mark.parametrize("name", ["n" * 250 + ".csv", "😀" * 60 + ".csv", "caf\udce9.csv"])
def test_any_name_of_an_output_has_room_for_its_journal(tmp_path: Path, name: str) -> None:
    try:
        (tmp_path / name).touch()
    except OSError:
        pytest.skip("this file system wants Unicode")
    stop(tmp_path / name)
    assert resume(tmp_path / name) == 5
    assert os.listdir(tmp_path) == [name]


def test_two_names_of_one_output_share_its_journal(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    output = tmp_path / "real" / "sub.csv"
    stop(tmp_path / "link" / "sub.csv")
    assert Journal.path_for(tmp_path / "link" / "sub.csv") == tmp_path / "real" / ".sub.csv.journal"
    assert resume(output) == 5


@pytest.mark.skipif(os.name == "nt", reason="links")
@pytest.mark.parametrize("name", ["sub.csv", ".sub.csv.journal", ".sub.csv.journal.new"])
def test_a_planted_link_is_named_and_never_written_through(output: Path, name: str) -> None:
    victim = output.parent / "bashrc"
    victim.write_text("mine")
    (output.parent / name).symlink_to("bashrc")
    for choice in (None, True, False):
        with (
            pytest.raises(DataError, match=rf"{name}: .*remove it"),
            Journal.open(output, MADE_WITH, choice),
        ):
            pytest.fail("it began")
    assert victim.read_text() == "mine"
    assert (output.parent / name).is_symlink()


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="POSIX")
def test_a_device_has_no_journal_beside_it() -> None:
    with Journal.open(Path("/dev/null"), MADE_WITH, resume=None) as journal:
        journal.write(SCORES[0])
        assert not Journal.path_for(Path("/dev/null")).exists()
        journal.remove()


def test_the_disk_is_waited_for_once_a_second_at_most(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: Iterator[float] = iter(range(10**6))
    synced = []
    monkeypatch.setattr("time.monotonic", lambda: next(times) / 100)
    with Journal.open(output, MADE_WITH, resume=None) as journal:
        monkeypatch.setattr(os, "fsync", synced.append)
        for _ in range(1000):
            journal.write(SCORES[0])
    assert 8 <= len(synced) <= 10


CHILD = """
import sys
from pathlib import Path
from maskspot.files import locked
from maskspot.outputs.journal import Journal
from maskspot.model.score import Score
with Journal.open(Path(sys.argv[1]), {"model": "m"}, resume=True) as journal:
    for score in journal.finished():
        journal.write(score)
        print(journal.count - 1, flush=True)
    for number in range(journal.count, 10**9):
        journal.write(Score(f"{number}.jpg", 1 / (number + 1)))
        print(number, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_killed_at_random_moments_every_row_that_was_written_is_there(output: Path) -> None:
    rng = random.Random(0)
    written = 0
    for _ in range(5):
        words = [sys.executable, "-c", CHILD, str(output)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            lines = list(islice(child.stdout, rng.randrange(1, 3000)))
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.read().splitlines(keepends=True)
        written = max(written, *(int(line) for line in lines if line.endswith("\n")))
    with Journal.open(output, {"model": "m"}, resume=True) as journal:
        rows = list(journal.finished())
    assert len(rows) > written > 100
    assert rows == [Score(f"{number}.jpg", 1 / (number + 1)) for number in range(len(rows))]


def test_a_full_disk_is_told_by_name_and_keeps_what_was_finished(output: Path) -> None:
    def run() -> None:
        with Journal.open(output, {"model": "m"}, resume=None) as journal:
            for _ in range(1000):
                journal.write(Score("a.jpg", 0.5))

    with pytest.raises(OSError, match="File too large") as error, full_disk():
        run()
    assert error.value.filename == str(Journal.path_for(output))
    with Journal.open(output, {"model": "m"}, resume=True) as journal:
        rows = list(journal.finished())
    assert len(rows) > 5
    assert set(rows) == {Score("a.jpg", 0.5)}
