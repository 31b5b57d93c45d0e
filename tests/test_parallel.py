"""Work over threads, and how many there should be."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot import parallel as maskspot_threads
from maskspot.cpus import usable_cpus
from maskspot.parallel import map_in_order


@given(st.integers(0, 50), st.integers(1, 8), st.integers(1, 7))
def test_results_come_in_order_whatever_the_threads_and_batches(
    count: int, threads: int, batch_size: int
) -> None:
    def double(batch: list[int]) -> list[int]:
        time.sleep(0.0001 * (sum(batch) % 3))
        return [2 * each for each in batch]

    assert list(map_in_order(double, range(count), threads, batch_size)) == [
        *range(0, 2 * count, 2)
    ]


def test_an_endless_source_is_drawn_only_as_far_as_needed() -> None:
    drawn = []
    source = (drawn.append(at) or at for at in itertools.count())
    results = map_in_order(lambda batch: batch, source, 2, 3)
    assert list(itertools.islice(results, 10)) == list(range(10))
    results.close()
    assert len(drawn) <= 10 + 2 * 4 * 3


def test_a_failure_reaches_the_caller_and_stops_the_threads() -> None:
    def fail(batch: list[int]) -> list[int]:
        if batch == [3]:
            raise ValueError("three")
        return batch

    results = map_in_order(fail, itertools.count(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert not [t for t in threading.enumerate() if t.name.startswith("maskspot")]


def test_what_is_done_goes_out_before_more_is_drawn() -> None:
    """A list that grows slowly has each row once the next line is there, not many lines later."""
    done = threading.Event()

    def work(batch: list[int]) -> list[int]:
        done.set()
        return batch

    def slow() -> Iterator[int]:
        for at in range(3):
            yield at
            assert done.wait(10)
            time.sleep(0.2)  # until the thread has handed its result over
            done.clear()
            drawn.append(at)

    drawn: list[int] = []
    for each in map_in_order(work, slow(), 2):
        assert len(drawn) <= each + 1


def test_closing_waits_for_what_runs_and_not_for_what_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maskspot_threads, "_PATIENCE", 0.2)
    third, release = threading.Event(), threading.Event()
    ended = []

    def work(batch: list[int]) -> list[int]:
        if batch == [0]:
            third.wait(60)
        elif batch == [1]:
            release.wait(60)
        elif batch == [2]:
            third.set()
            time.sleep(0.05)
            ended.append(2)
        return batch

    results = map_in_order(work, itertools.count(), 3)
    assert next(results) == 0
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 10
    assert ended == [2]
    release.set()


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "900000 100000\n"}, 4),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        ({"proc/self/cgroup": "nonsense", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 4),
    ],
)
def test_a_containers_quota_counts_as_its_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cpus: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cpus(tmp_path) == cpus


@pytest.mark.parametrize("batch_size", [1, 3])
def test_what_came_before_a_failing_source_is_done(batch_size: int) -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise OSError("gone")

    results = map_in_order(lambda batch: batch, source(), 2, batch_size)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="gone"):
        next(results)
