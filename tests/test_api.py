"""The flat names of `maskspot`, and the calls that docs/api.md gives for each command."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import maskspot
from maskspot.cli import COMMANDS
from tests.fake_zindi import Service
from tests.helpers import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
CALLS = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE))
OFFLINE = ("predict", "evaluate", "check", "fetch", "info")


def run(call: str, **replaced: str) -> Any:
    """Evaluate a call of the page, with words replaced."""
    for old, new in replaced.items():
        assert old in call
        call = call.replace(old, new)
    return eval(call, {"maskspot": maskspot})


@pytest.fixture
def here(demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the calls name; the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo_data, "photos")
    shutil.copyfile("photos/sample_sub_v2.csv", "sub.csv")
    return tmp_path


def test_every_command_has_a_call() -> None:
    assert {name.split()[0] for name in CALLS} == set(COMMANDS)


def test_every_name_is_there_and_on_the_page() -> None:
    for name in maskspot.__all__:
        assert getattr(maskspot, name) is not None
        assert name == "__version__" or name.endswith("Error") or name in PAGE
    assert set(dir(maskspot)) == set(maskspot.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        maskspot.nonsense  # noqa: B018


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", OFFLINE)
def test_the_calls_that_need_neither_network_nor_tensorflow_run(name: str) -> None:
    Path("sub.csv").unlink()
    result = run(CALLS[name])
    if name == "predict":
        assert (result.scored, result.failed) == (200, 0)
        assert len(Path("sub.csv").read_text().splitlines()) == 201
    elif name == "evaluate":
        assert result.quality.images == 160
    elif name == "check":
        assert result.sound
    elif name == "fetch":
        assert result.complete
    else:
        assert json.dumps(result)


@pytest.mark.usefixtures("here")
def test_a_submission_is_checked_from_python() -> None:
    doubts = run(CALLS["submit --dry-run"])
    assert any("every probability is" in doubt for doubt in doubts)


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


def test_the_leaderboard_is_read_from_python(here: Path, service: Service) -> None:
    pytest.importorskip("httpx", reason="needs maskspot[fetch]")
    (here / "token.txt").write_text(service.token)
    account = f"ZindiAccount(url={service.url!r}, "
    board = run(CALLS["leaderboard"], **{"ZindiAccount(": account})
    assert len(board.top) > 0


def test_the_server_is_run_from_python(here: Path) -> None:
    pytest.importorskip("uvicorn", reason="needs maskspot[serve]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"import maskspot; raise SystemExit({CALLS['serve'].replace('8000', str(port))})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=here) as running:
        try:
            ends = time.monotonic() + 60
            while time.monotonic() < ends and running.poll() is None:
                with suppress(URLError), urlopen(f"http://127.0.0.1:{port}/v1/model") as answer:
                    assert json.load(answer)["name"] == "fast"
                    break
                time.sleep(0.1)
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 0
        finally:
            running.kill()


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_run_is_trained_exported_and_compared_from_python() -> None:
    tiny = 'size=32, start_size=0, epochs=1, backbone="mobilenet-0.25", weights="none"'
    settings = 'backbone="efficientnet-lite0", weights="maskspot"'
    finished = run(CALLS["train"], **{settings: tiny})
    assert finished.folder == Path("runs/first")
    assert run(CALLS["export"]).info.passes == 2
    compared = run(CALLS["compare"], **{'"default"': '"model.onnx"', "rounds=3": "rounds=1"})
    assert sorted(entry.name for entry in compared.models) == ["fast", "model.onnx"]
