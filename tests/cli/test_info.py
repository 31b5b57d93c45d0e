"""What a model file says of itself, and what this machine offers."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskspot import Predictor
from maskspot._version import __version__
from maskspot.model import describe as about
from maskspot.model import machine as here
from maskspot.model.shipped import MEASURED, find_model, shipped
from tests.helpers import ROOT

Cli = Callable[..., Any]


def test_a_shipped_model_is_described_in_full(cli: Cli, predictor: Predictor) -> None:
    found = json.loads(cli("info", "default", "--json").out)["model"]
    file = find_model("default")
    assert found["id"] == predictor.id
    assert found["backbone"] == predictor.info.backbone
    assert found["preprocessing"]["size"] == 256
    assert found["heatmap"] is True
    assert found["bytes"] == file.stat().st_size
    assert found["card"] == str(file.with_suffix(".md"))
    assert found["calibration"]["after"]["ece"] < found["calibration"]["before"]["ece"]


def test_the_table_says_it_in_80_columns(
    cli: Cli, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = cli("info", "default").out
    assert max(map(len, text.splitlines())) <= 80
    for word in (
        predictor.id,
        "efficientnet-lite0",
        "squash, bilinear",
        "heatmap",
        "onnxruntime",
        "cpu",
    ):
        assert word in text


def test_without_a_model_the_shipped_ones_are_listed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = json.loads(cli("info", "--json").out)
    assert [each["name"] for each in found["models"]] == shipped()
    text = cli("info").out
    assert all(name in text for name in shipped())
    assert re.search(r"(?m)^ *default +0\.976 +0\.065 +7\.1 MB +1 x +most photos", text)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(rf"^maskspot +{re.escape(__version__)} *$", text, re.MULTILINE)


@pytest.mark.parametrize("name", shipped())
def test_what_helps_to_choose_a_model_is_what_its_card_and_the_documents_say(name: str) -> None:
    card = find_model(name).with_suffix(".md").read_text("utf-8")
    row = re.search(r"\| all \| 509 \| 255 \| (\S+) \([^|]*\| (\S+) ", card)
    assert row
    assert (MEASURED[name].accuracy, MEASURED[name].log_loss) == tuple(map(float, row.groups()))
    page = (ROOT / "docs" / "predicting.md").read_text("utf-8")
    assert re.search(rf"\| `{name}` \|[^|]*\| {MEASURED[name].log_loss:.3f} \|", page)


def test_a_copy_elsewhere_has_no_card(cli: Cli, tmp_path: Path) -> None:
    copy = tmp_path / "mine.onnx"
    copy.write_bytes(find_model("fast").read_bytes())
    assert json.loads(cli("info", copy, "--json").out)["model"]["card"] is None


def test_a_file_that_is_no_model_is_named(cli: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no")
    result = cli("info", broken)
    assert (result.code, result.out) == (3, "")
    assert "broken.onnx" in result.err


def test_what_a_model_says_is_text(
    cli: Cli, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = about.describe("default") | {"name": "[red]x[/red]\x1b[2J"}
    monkeypatch.setattr(about, "describe", lambda model: facts)
    assert "[red]x[/red]\\x1b[2J" in cli("info", "default").out
    assert "\x1b" not in cli("info", "default", "--json").out


def test_two_runtimes_are_warned_of(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["onnxruntime", "onnxruntime-gpu"]
    monkeypatch.setattr(here, "installed_runtimes", lambda: iter(both))
    result = cli("info", "fast", "--json")
    assert "installed over each other" in result.err
    assert json.loads(result.out)["machine"]["runtimes"] == both


def test_tensorflow_is_not_imported_for_its_version() -> None:
    code = (
        "import sys; sys.argv = ['maskspot', 'info', '--json']\n"
        "from maskspot.cli import main\n"
        "try: main()\n"
        "finally: assert not {'tensorflow', 'keras', 'cv2', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
