"""Pictures, folders and a command line that tests share; every picture is drawn here."""

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import maskspot
from maskspot import Predictor
from maskspot.cli import main
from maskspot.datasets import demo

settings.register_profile(
    "maskspot", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("maskspot")


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run `maskspot ARGS` in this process, through the entry point."""

    def run(*args: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["maskspot", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            main()
        streams = capsys.readouterr()
        return Result(int(end.value.code or 0), streams.out, streams.err)

    return run


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo data set, drawn once."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    demo.draw(folder)
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of six small scenes, a.jpg to f.jpg."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = random.Random(1)
    for at, name in enumerate("abcdef"):
        demo.draw_picture(rng, masked=at % 2 == 1).save(folder / f"{name}.jpg")
    return folder


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    """The model that predict uses when none is named."""
    return maskspot.load()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless browser, that makes no connection by itself."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium")
    with sync_api.sync_playwright() as playwright:
        quiet = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync")
        offline = ("disable-background-networking", "disable-component-update")
        camera = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
        options = [f"--{name}" for name in (*quiet, *offline, *camera)]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()
