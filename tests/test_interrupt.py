"""What a stopped command leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_prediction_leaves_the_old_output_and_nothing_else(
    pictures: Path, tmp_path: Path, kind: signal.Signals, code: int
) -> None:
    for copy in range(3000):
        (pictures / f"{copy}.jpg").hardlink_to(pictures / "a.jpg")
    output = tmp_path / "out" / "sub.csv"
    output.parent.mkdir()
    output.write_text("what was there")
    words = [sys.executable, "-m", "maskspot", "predict", str(pictures), "-o", str(output)]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list(output.parent.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    running.send_signal(kind)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == code
    assert "Traceback" not in errors
    assert output.read_text() == "what was there"
    assert [path.name for path in output.parent.iterdir()] == ["sub.csv"]


def test_a_closed_pipe_is_no_traceback(pictures: Path) -> None:
    words = f"{sys.executable} -m maskspot predict -q {pictures} | head -n 1"
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout == "image,target\n"
    assert done.stderr == ""
