"""Commands in processes of their own: stopped, or with streams that are not as usual."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SIGNALS = [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("kind", "code"), SIGNALS)
def test_a_stopped_prediction_leaves_the_old_output_and_what_it_needs_to_go_on(
    pictures: Path, tmp_path: Path, kind: signal.Signals, code: int
) -> None:
    for copy in range(300):
        (pictures / f"{copy}.jpg").hardlink_to(pictures / "a.jpg")
    output = tmp_path / "out" / "sub.csv"
    output.parent.mkdir()
    output.write_text("what was there")
    line = f"predict -m fast {pictures} -o {output}"
    running = subprocess.Popen(
        [sys.executable, "-m", "maskspot", *line.split()],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background lets its children ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    journal = output.with_name(".sub.csv.journal")
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size > 1000):
        time.sleep(0.02)
        assert time.monotonic() < deadline
    running.send_signal(kind)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == code
    assert "Traceback" not in errors
    assert output.read_text() == "what was there"
    assert "with --resume to go on" in errors
    assert {path.name for path in output.parent.iterdir()} == {"sub.csv", journal.name}
    assert shell(f"maskspot {line}").returncode == 2
    assert shell(f"maskspot {line} --resume").returncode == 0
    assert len(output.read_text().splitlines()) == 1 + len(list(pictures.iterdir()))
    assert [path.name for path in output.parent.iterdir()] == ["sub.csv"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(
    "module",
    [
        *(
            "typer",
            "click.core",
            "maskspot.cli.console",
            "maskspot.cli.commands.predict",
            "PIL.Image",
        ),
        *(
            "numpy",
            "numpy.linalg",
            "onnxruntime",
            "maskspot.model.predictor",
            "maskspot.outputs.journal",
        ),
    ],
)
@pytest.mark.parametrize(("kind", "words"), [("SIGINT", "interrupted\n"), ("SIGTERM", "")])
def test_a_signal_while_anything_is_imported_is_no_traceback(
    pictures: Path, tmp_path: Path, module: str, kind: str, words: str
) -> None:
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r} and self in sys.meta_path:\n"
        "            sys.meta_path.remove(self)\n"
        f"            os.kill(os.getpid(), signal.{kind})\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from maskspot.cli import main\n"
        "sys.meta_path.insert(0, Finder())\n"
        "main()\n"
    )
    line = [sys.executable, "-c", code, "predict", str(pictures), "-o", str(tmp_path / "sub.csv")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    # Python itself makes a signal of it, which is 130 for a shell, if it came while a string ran.
    number = getattr(signal, kind)
    assert done.returncode in (128 + number, -number)
    assert done.stderr == words
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
@pytest.mark.parametrize(("kind", "code"), SIGNALS)
def test_a_pipe_that_nobody_writes_to_does_not_keep_a_stopped_run(
    pictures: Path, kind: signal.Signals, code: int
) -> None:
    os.mkfifo(pictures / "pipe")
    words = ["predict", str(pictures / "a.jpg"), str(pictures / "pipe"), str(pictures / "b.jpg")]
    with subprocess.Popen(
        [sys.executable, "-m", "maskspot", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == "image,target\n"
        running.send_signal(kind)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == code
    assert errors == ("interrupted\n" if code == 130 else "")


def shell(words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line in a shell, `maskspot` being this interpreter's."""
    line = words.replace("maskspot", f"{sys.executable} -m maskspot")
    return subprocess.run(
        line, shell=True, capture_output=True, check=False, env=os.environ | environment
    )


def test_a_closed_pipe_is_no_traceback(pictures: Path) -> None:
    done = shell(f"maskspot predict -q {pictures} | head -n 1")
    assert (done.stdout, done.stderr) == (b"image,target\n", b"")


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
@pytest.mark.parametrize("words", [["predict", "-q", "{}"], ["--help"], ["--version"]])
def test_a_closed_pipe_is_the_exit_code_that_a_shell_knows(
    pictures: Path, words: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words = [sys.executable, "-m", "maskspot", *(word.format(pictures) for word in words)]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_closed_streams_are_no_traceback(pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "sub.csv"
    assert shell("maskspot --version >&-").returncode == 0
    done = shell(f"maskspot predict {pictures} -o {output} >&- 2>&-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(output.read_text().splitlines()) == 7


def test_output_is_utf_8_whatever_the_terminal_has(pictures: Path) -> None:
    (pictures / "a.jpg").rename(pictures / "ü.jpg")
    done = shell(f"maskspot predict {pictures}", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0
    assert "\nü.jpg,".encode() in done.stdout


def test_a_device_is_written_to_and_not_replaced(pictures: Path) -> None:
    done = shell(f"maskspot predict -q {pictures} -o /dev/stdout | cat")
    assert done.stdout.startswith(b"image,target\na.jpg,")
    done = shell(f"maskspot predict -q {pictures} -o /dev/full")
    assert done.returncode == 3
    assert b"/dev/full: No space left on device\n" in done.stderr
