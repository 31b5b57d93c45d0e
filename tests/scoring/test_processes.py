"""Processes that score for the one that was started: the same scores, whatever becomes of them."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image

import maskspot
from maskspot import Predictor
from maskspot.errors import ImageError
from maskspot.inputs.items import Item
from maskspot.model import providers as devices
from maskspot.scoring import processes
from maskspot.scoring.pipeline import score
from maskspot.scoring.processes import Processes
from tests.helpers import wait_for

Named = list[tuple[str, Any]]


until = partial(wait_for, seconds=30)  # a busy machine starts processes slowly


@pytest.fixture(scope="module")
def fast() -> Predictor:
    return Predictor("fast")


@pytest.fixture(scope="module")
def three(fast: Predictor) -> Iterator[Processes]:
    """Two processes with three threads, all there."""
    with Processes(fast, 2, 3, patience=0) as ours:
        ours.predict_batch([])
        until(lambda: ours.ready == 3)
        yield ours


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, fast: Predictor) -> None:
    """Refuse to score in this process."""

    def refused(*_: object) -> NoReturn:
        raise AssertionError("scored here")

    monkeypatch.setattr(fast, "predict_batch", refused)


def scored(with_: Any, images: Named) -> list[tuple[Any, ...]]:
    return [
        (each.source, each.probability, each.error, each.status, each.width, each.format)
        for each in with_.predict_batch(images)
    ]


def kinds(pictures: Path) -> Named:
    """Every kind of image that is sent: by its path, its bytes, as a file and as pixels."""
    path = min(pictures.iterdir())
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return [
        ("path", path),
        ("bytes", path.read_bytes),
        ("file", lambda: BytesIO(path.read_bytes())),
        ("pixels", pixels),
        ("image", Image.fromarray(pixels)),
        ("damaged", b"\xff\xd8\xff\xe0 no more"),
        ("missing", pictures / "no.jpg"),
    ]


def test_scores_are_those_of_one_process(
    three: Processes, pictures: Path, request: pytest.FixtureRequest
) -> None:
    expected = scored(Predictor("fast"), kinds(pictures))
    request.getfixturevalue("elsewhere")
    assert scored(three, kinds(pictures)) == expected
    assert three.ready == 3


def test_what_cannot_be_fetched_is_said_as_one_process_says_it(
    three: Processes, pictures: Path
) -> None:
    def gone() -> NoReturn:
        raise ImageError("gone from the archive", "missing")

    images = [("a", pictures / "a.jpg"), ("gone", gone)]
    assert scored(three, images) == scored(Predictor("fast"), images)
    assert three.ready == 3


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_a_file_that_this_process_has_open_is_read_here(three: Processes, pictures: Path) -> None:
    with (pictures / "a.jpg").open("rb") as file:
        ((_, probability, *_),) = scored(three, [("fd", Path(f"/dev/fd/{file.fileno()}"))])
    assert probability is not None


@pytest.mark.parametrize(
    ("start", "error"),
    [
        ("multiprocessing.context.SpawnProcess.start", BlockingIOError(11, "try again")),
        ("threading.Thread.start", RuntimeError("can't start new thread")),
    ],
)
def test_where_nothing_can_be_started_scoring_goes_on(
    start: str, error: Exception, fast: Predictor, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[object] = []

    def refuse(self: object) -> NoReturn:
        refused.append(self)
        raise error

    monkeypatch.setattr(start, refuse)
    with Processes(fast, 2, 2, patience=0) as ours:
        assert scored(ours, kinds(pictures)) == scored(fast, kinds(pictures))
        until(lambda: not ours.starting)
        assert ours.ready == 0
        assert len(refused) == 1


@pytest.mark.usefixtures("elsewhere")
def test_many_images_keep_their_order(three: Processes, fast: Predictor, pictures: Path) -> None:
    paths = sorted(pictures.iterdir())
    items = [Item(f"{n}", partial(Path, paths[n % len(paths)])) for n in range(60)]
    found = list(score(three, items, threads=3))
    assert [each.source for each in found] == [item.name for item in items]
    assert all(each.error is None for each in found)
    for at, each in enumerate(found):
        assert each.probability == found[at % len(paths)].probability


def test_a_process_that_dies_costs_no_image(fast: Predictor, pictures: Path) -> None:
    images = kinds(pictures)
    with Processes(fast, 1, 2, patience=0) as ours:
        ours.predict_batch([])
        until(lambda: ours.ready == 2)
        for process in multiprocessing.active_children():
            if process.pid in ours.pids:
                process.kill()
        for _ in range(3):
            assert scored(ours, images) == scored(fast, images)
        assert ours.ready == 0


def test_a_model_that_was_replaced_is_not_scored_with(tmp_path: Path, pictures: Path) -> None:
    file = tmp_path / "model.onnx"
    models = Path(maskspot.__file__).parent / "model/shipped"
    file.write_bytes((models / "fast.onnx").read_bytes())
    mine = Predictor(file)
    file.write_bytes((models / "default.onnx").read_bytes())
    image = [("a", pictures / "a.jpg")]
    with Processes(mine, 1, 1, patience=0) as ours:
        ours.predict_batch(image)
        until(lambda: not ours.starting)
        assert (len(ours.pids), ours.ready) == (1, 0)
        assert scored(ours, image) == scored(mine, image)


def test_nothing_in_the_folder_that_we_are_in_is_run(
    fast: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("multiprocessing", "random", "maskspot", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    with Processes(fast, 1, 1, patience=0) as ours:
        ours.predict_batch([])
        until(lambda: ours.ready == 1)
    assert not (tmp_path / "ran").exists()
    assert "PYTHONSAFEPATH" not in os.environ


AGAIN = """
import sys
from maskspot.cli import main
print("begun", file=sys.stderr)
main()
"""


@pytest.mark.slow
def test_a_program_without_a_guard_runs_once_and_warns_as_one_process(
    pictures: Path, tmp_path: Path
) -> None:
    file = tmp_path / "program.py"
    file.write_text(AGAIN)
    Image.new("RGB", (9_500, 9_500)).save(pictures / "large.png")  # which Pillow warns of
    said = {}
    command = [sys.executable, file, "predict", "-q", "-m", "fast", "--from", "-"]
    # Small ones until the processes are there.
    listing = f"{pictures / 'a.jpg'}\n" * 400 + f"{pictures / 'large.png'}\n" * 2
    for count in ("1", "2"):
        ran = subprocess.run(
            [*command, "--processes", count],
            input=listing, capture_output=True, text=True, check=False,
        )  # fmt: skip
        said[count] = ran.returncode, ran.stdout, ran.stderr
    assert said["1"] == said["2"]
    assert said["1"][2] == "begun\n"


def test_a_process_on_another_device_is_not_scored_with(
    fast: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "device", "cuda")
    with Processes(fast, 1, 1, patience=0) as ours:
        ours.predict_batch([])
        until(lambda: not ours.starting)
        assert (len(ours.pids), ours.ready) == (1, 0)


SCRIPT = """
import sys
import threading
import time
from maskspot import Predictor
from maskspot.scoring.processes import Processes
if __name__ == "__main__":
    with Processes(Predictor("fast"), 2, 2, patience=0) as ours:
        ours.predict_batch([])
        while ours.ready < 2:
            time.sleep(0.01)
        reading = threading.Thread(
            target=ours.predict_batch, args=([("pipe", sys.argv[1])],), daemon=True
        )
        reading.start()
        while ours.ready == 2:
            time.sleep(0.01)
        print(*ours.pids, flush=True)
        time.sleep(60)
"""
"""A thread of a process waits for a pipe that nobody writes to, the other for images."""


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_they_end_with_the_process_that_began_them(tmp_path: Path, how: signal.Signals) -> None:
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, str(file), str(tmp_path / "pipe")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, start_new_session=True) as running:
        assert running.stdout
        assert running.stderr
        pids = [int(word) for word in running.stdout.readline().split()]
        assert len(pids) == 2
        if how == signal.SIGINT:
            os.killpg(running.pid, how)  # as a terminal does
        else:
            running.kill()
        try:
            until(lambda: not any(map(is_there, pids)), seconds=10)
        finally:
            for pid in filter(is_there, pids):
                os.kill(pid, signal.SIGKILL)
        said = running.stderr.read().decode()
    assert said.count("Traceback") == (how == signal.SIGINT), said  # the script's own


def test_a_short_run_begins_none(
    cli: Callable[..., Any], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Processes] = []

    def begin(self: Processes) -> None:
        begun.append(self)

    monkeypatch.setattr(Processes, "_begin", begin)
    monkeypatch.setattr(devices, "usable_cpus", lambda: 16)
    assert cli("predict", pictures, "--threads", 16).code == 0
    assert begun == []
    monkeypatch.setattr(processes, "PATIENCE", 0)
    assert cli("predict", pictures, "--threads", 16).code == 0
    assert begun != []


def test_the_command_writes_the_same_bytes(
    cli: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "bad.jpg").write_bytes(b"no image")
    for name, options in (("one", []), ("two", ["--processes", 2])):
        done = cli("predict", pictures, "-m", "fast", *options, "-o", tmp_path / f"{name}.csv")
        assert done.code == 1
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


@pytest.mark.parametrize("other", [["--heatmaps", "maps"], ["--report", "report.html"]])
def test_pictures_need_one_process(
    cli: Callable[..., Any], pictures: Path, other: list[str]
) -> None:
    if "--report" in other:
        pytest.importorskip("jinja2", reason="needs maskspot[report]")
    done = cli("predict", pictures, "--processes", 2, *other)
    assert done.code == 2
    assert "--processes: provides no pictures for --heatmaps or --report" in done.err


@pytest.mark.parametrize(
    ("device", "threads", "expected"),
    [
        *(("cpu", 2, 1), ("cpu", 7, 1), ("cpu", 8, 2), ("cpu", 18, 5)),
        *(("cpu", 99, 12), ("cuda", 16, 4), ("openvino", 64, 1), ("coreml", 16, 1)),
    ],
)
def test_many_threads_are_spread_over_processes(
    device: str, threads: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "usable_cpus", lambda: 48)
    assert devices.processes_for(device, threads) == expected
