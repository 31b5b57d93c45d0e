"""The documentation agrees with the code: its commands run, and its lists are complete."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from maskspot.cli import COMMANDS
from maskspot.errors import MaskspotError
from maskspot.images import MAX_PIXELS
from maskspot.inputs.folders import SUFFIXES
from maskspot.training.presets import PRESETS
from maskspot.training.run import Run
from maskspot.training.settings import Settings
from tests.helpers import ROOT, blocks, commands

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
Cli = Callable[..., Any]


@pytest.fixture
def photos(demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples of the documentation name."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo_data, "photos")
    shutil.copyfile(next(Path("photos/images").glob("*.jpg")), "photos/images/example.jpg")
    Path("my.toml").write_text("batch_size = 8\n")
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_example_runs(
    page: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for code in blocks(page, "python"):
        if "spark." in code:
            continue  # tests/engines/test_spark.py runs it
        exec(compile(code, str(page), "exec"), {})
        probability, error = capsys.readouterr().out.split()
        assert 0 <= float(probability) <= 1
        assert error == "None"


def test_the_predict_examples_run_on_the_shipped_model(cli: Cli, photos: Path) -> None:
    examples = [line for line in commands(ROOT / "README.md") if "predict" in line]
    assert len(examples) == 2
    for line in examples:
        words = shlex.split(line.replace("-m model.onnx", ""))
        assert cli(*words[1:]).code == 0, line
    assert len(Path("sub.csv").read_text().splitlines()) == 41


@pytest.mark.parametrize("name", ["evaluate", "check", "info"])
def test_the_readmes_examples_of_evaluating_run(cli: Cli, photos: Path, name: str) -> None:
    (line,) = [each for each in commands(ROOT / "README.md") if f"maskspot {name}" in each]
    assert cli(*shlex.split(line)[1:]).code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_what_every_argument_and_option_is(
    cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = cli(name, "--help").out
    command = getattr(import_module(f"maskspot.cli.commands.{COMMANDS[name]}"), name)
    helps = [
        each.help
        for annotation in command.__annotations__.values()
        for each in getattr(annotation, "__metadata__", ())
    ]
    assert len(helps) > 1
    assert [text for text in helps if text[:25] not in shown] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["inputs.md", "outputs.md", "predicting.md"])
def test_the_examples_of_predict_run(name: str, photos: Path) -> None:
    lines = "\n".join(blocks(ROOT / "docs" / name, "sh")).splitlines()
    assert len(lines) > 1
    for line in lines:
        words = line.replace("maskspot predict", f"{sys.executable} -m maskspot predict -m fast")
        done = subprocess.run(words, shell=True, check=False, capture_output=True)
        assert done.returncode == 0, line


@pytest.mark.train
@pytest.mark.slow
def test_the_readmes_training_examples_run(
    cli: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small preset, as the real one takes hours."""
    small = replace(
        PRESETS["default"], size=32, epochs=1, backbone="mobilenet-0.25", weights="none"
    )
    monkeypatch.setitem(PRESETS, "default", small)
    lines = commands(ROOT / "README.md")
    assert sum("maskspot train" in line for line in lines) == 1
    for line in lines[-3:]:
        assert cli(*shlex.split(line)[1:]).code == 0, line


@pytest.mark.parametrize(
    "page", ["README.md", pytest.param("docs/fetching.md", marks=pytest.mark.slow)]
)
def test_the_examples_of_fetching_and_submitting_run(
    page: str, cli: Cli, photos: Path, demo_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpx", reason="needs maskspot[fetch]")
    from tests.fake_zindi import Service

    names = ("train_labels.csv", "sample_sub_v2.csv")
    files = {name: (demo_data / name).read_bytes() for name in names}
    archive = shutil.make_archive("images", "zip", demo_data, "images")
    shutil.copytree(demo_data, "downloads", ignore=lambda *_: ["images", "test_labels.csv"])
    shutil.copy(archive, "downloads")
    shutil.copy("downloads/sample_sub_v2.csv", "sub.csv")
    kinds = ("fetch", "submit", "leaderboard")
    lines = [line for line in commands(ROOT / page) if line.split()[1] in kinds]
    assert len(lines) >= 2
    with Service(files=files | {"images.zip": Path(archive).read_bytes()}, joined=True) as service:
        monkeypatch.setenv("MASKSPOT_ZINDI_URL", service.url)
        monkeypatch.setenv("MASKSPOT_ZINDI_TOKEN", service.token)
        for line in lines:
            if "--demo" not in line:
                assert cli(*shlex.split(line)[1:]).code == 0, line


@pytest.mark.train
def test_the_other_training_examples_start_what_they_say(
    cli: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def start(run: Run, *_: object) -> None:
        started.append(run.settings)
        scores = {"log_loss": 0.5, "accuracy": 0.5, "auc": 0.5}
        run.write_json("metrics.json", {"kept_epoch": 1, "epochs": 1, "validation": scores})

    monkeypatch.setattr("maskspot.training.train_run.train_run", start)
    weights = Path("mobilenet_2_5_224_tf_no_top.h5")
    weights.touch()
    for line in commands(ROOT / "docs" / "training.md"):
        assert cli(*shlex.split(line)[1:]).code == 0, line
    seed = replace(PRESETS["seed"], batch_size=8, epochs=3)
    mobile = Settings(backbone="mobilenet-0.25", weights=str(weights.resolve()))
    assert started == [seed, mobile]


def test_ci_runs_the_readmes_test_command() -> None:
    line = next(line for line in blocks(ROOT / "README.md", "sh") if "pytest" in line).strip()
    assert line in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_page_on_training_names_every_option_that_says_where_labels_are() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for name in asdict(Settings().layout):
        assert f"--{name.replace('_', '-')}" in text


def test_the_readme_names_every_exit_code_and_format() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    codes = {each.exit_code for each in subclasses(MaskspotError)} | {0, 130}
    listed = text.partition("Exit codes:")[2]
    assert all(re.search(rf"\b{code} ", listed) for code in codes)
    for word in ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "AVIF", "HEIC"):
        assert word in text
        assert any(word[:3].lower() in suffix for suffix in SUFFIXES) or word == "JPEG"


def subclasses(kind: type[MaskspotError]) -> set[type[MaskspotError]]:
    return {kind} | {each for child in kind.__subclasses__() for each in subclasses(child)}


def test_the_help_states_the_limit_on_pixels(cli: Cli) -> None:
    assert str(MAX_PIXELS) in cli("predict", "--help").out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("maskspot pre", ["predict"]), ("maskspot predict --thr", ["--threshold", "--threads"])],
)
def test_the_shell_completes_commands_and_options(typed: str, offered: list[str]) -> None:
    asked = {
        "_MASKSPOT_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    code = "import sys; from maskspot.cli import main; sys.argv = ['maskspot']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | asked,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == offered
