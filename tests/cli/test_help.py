"""What `--help` shows, and other ways to ask: short options, `maskspot help`, `-v`, mistakes."""

import re
import shlex
import shutil
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from maskspot.cli import COMMANDS, build
from tests.helpers import on_terminal

Cli = Callable[..., Any]
ANYWHERE = {"--quiet", "--verbose", "--help"}
EXAMPLES = [
    line
    for name in COMMANDS
    for line in import_module(f"maskspot.cli.commands.{COMMANDS[name]}").EXAMPLES
]
OFFLINE = [
    line
    for line in EXAMPLES
    if line.split()[1] in ("predict", "check", "evaluate", "compare", "info")
    or "--demo" in line
    or "--dry-run" in line
]


@pytest.fixture
def photos(demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo_data, "photos")
    Path("sub.csv").write_bytes(Path("photos/sample_sub_v2.csv").read_bytes().replace(b",0", b",1"))
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_one_text_however_it_is_asked_for(cli: Cli, name: str) -> None:
    shown = cli(name, "--help")
    assert shown.code == 0
    assert cli(name, "-h").out == cli("help", name).out == shown.out


def test_help_of_all_lists_every_command_and_a_version_has_a_short_option(cli: Cli) -> None:
    shown = cli("help").out
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert cli().out == cli("-h").out == shown
    assert cli("-V").out == cli("--version").out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_but_the_common_ones_stands_below_a_heading(cli: Cli, name: str) -> None:
    shown = cli(name, "-h").out
    last = re.search(r"(?m)^Options:\n((?:  .*\n)+)", shown)
    assert last
    assert set(re.findall(r"--[a-z][a-z-]*", last[1])) <= ANYWHERE
    assert "TEXT" not in shown.replace("--message TEXT", "")


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_the_terminal_and_no_line_of_its_text_is_ragged(
    cli: Cli, name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = cli(name, "-h").out.splitlines()
    until = lines.index("Examples:")
    assert max(map(len, lines[:until])) <= columns
    text = (
        lines[2 : next(at for at, line in enumerate(lines) if line.endswith("ments:"))]
        if ("Arguments:" in lines)
        else lines[2:4]
    )
    for line, following in pairwise(text):
        if line.strip() and following.strip():
            assert len(f"{line} {following.split()[0]}") > columns - 2


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_fits_its_command(line: str) -> None:
    _, name, *words = shlex.split(line)
    assert len(line) <= 78
    group: Any = typer.main.get_command(build())
    group.commands[name].make_context(name, words)


@pytest.mark.parametrize("line", OFFLINE)
def test_an_example_that_needs_no_network_runs(line: str, cli: Cli, photos: Path) -> None:
    result = cli(*shlex.split(line)[1:])
    assert result.code == 0, result.err


def test_choices_stand_in_place_of_a_name_and_are_completed(cli: Cli) -> None:
    shown = cli("predict", "-h").out
    assert "--format csv|jsonl|parquet" in shown
    assert "--engine local|ray" in shown
    group: Any = typer.main.get_command(build())
    (device,) = [each for each in group.commands["predict"].params if each.name == "device"]
    context = group.commands["predict"].make_context("predict", ["a.jpg"])
    offered = [item.value for item in device.shell_complete(context, "c")]
    assert offered == ["cpu", "cuda", "coreml"]


def test_a_mistyped_command_is_corrected_once(cli: Cli) -> None:
    result = cli("predic")
    assert result.code == 2
    assert result.err.count("Did you mean 'predict'?") == 1


@pytest.mark.parametrize("words", [["-v", "predict"], ["predict", "-v"]])
def test_verbose_goes_before_and_after_the_command(pictures: Path, words: list[str]) -> None:
    text = on_terminal(*words, pictures / "a.jpg", "-m", "fast", "-q")
    assert "maskspot: maskspot 0" in text
    assert re.search(r"maskspot: scoring: \d+\.\d s\n", text)
