"""Pictures, folders and a command line that tests share; every picture is drawn here."""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
