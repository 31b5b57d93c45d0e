"""The scripts in `examples/` run on drawn pictures and do what they say."""

import csv
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import ROOT

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example as a script, and return what it prints."""

    def run_script(name: str, *words: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run_script


def test_score_folder_writes_a_row_of_details_for_each_image(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scores.csv"
    assert run("score_folder.py", pictures, output) == "6 scored, 0 failed\n"
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == [f"{letter}.jpg" for letter in "abcdef"]
    assert all(row["status"] == "ok" and 0 <= float(row["probability"]) <= 1 for row in rows)


def test_list_masks_prints_the_photos_from_the_threshold_on(run: Run, pictures: Path) -> None:
    lines = run("list_masks.py", pictures, 0).splitlines()
    assert len(lines) == 6
    numbers = [line.split()[0] for line in lines]
    assert numbers == sorted(numbers, reverse=True)
    assert run("list_masks.py", pictures, 1) == ""


def test_heatmap_writes_a_picture_of_the_same_size(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "map.jpg"
    assert run("heatmap.py", pictures / "a.jpg", output).startswith("probability 0.")
    with Image.open(output) as shown, Image.open(pictures / "a.jpg") as photo:
        assert shown.size == photo.size


def test_evaluate_arrays_finds_the_better_probabilities_better(run: Run) -> None:
    *metrics, difference = run("evaluate_arrays.py").splitlines()
    assert [line.split()[0] for line in metrics] == ["log_loss", "accuracy", "auc", "brier"]
    assert float(difference.split()[-1].rstrip(")")) < 0


def test_submission_follows_the_sample(run: Run, demo_data: Path, tmp_path: Path) -> None:
    output, sample = tmp_path / "sub.csv", demo_data / "sample_sub_v2.csv"
    assert "40 images" in run("submission.py", demo_data / "images", sample, output)
    names = [[line.split(",")[0] for line in f.read_text().splitlines()] for f in (output, sample)]
    assert names[0] == names[1]


def test_every_example_has_a_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [f.name for f in (ROOT / "examples").glob("*.py") if f'"{f.name}"' not in text] == []
