import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspot.datasets.demo import TEST, TRAIN, draw
from maskspot.datasets.labels import read_folders
from maskspot.errors import UsageError
from maskspot.evaluation.metrics import auc
from maskspot.images import read_image


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_it_is_laid_out_as_the_competitions_data(demo_data: Path) -> None:
    items = read_folders([demo_data])
    assert len(items) == TRAIN
    assert sum(item.target for item in items) == TRAIN // 2
    sample = (demo_data / "sample_sub_v2.csv").read_bytes()
    assert sample.startswith(b"image,target\r\n")
    names = [line.split(b",")[0].decode() for line in sample.splitlines()[1:]]
    assert names == sorted(names)
    assert len(names) == TEST
    images = {path.name for path in (demo_data / "images").iterdir()}
    assert images == {item.name for item in items} | set(names)


def test_sizes_formats_and_orientations_vary(demo_data: Path) -> None:
    found = set()
    for path in (demo_data / "images").iterdir():
        with Image.open(path) as image:
            found |= {path.suffix, image.size, f"turn {image.getexif().get(0x0112)}"}
    assert {".jpg", ".JPG", ".jpeg", ".png", "turn 1", "turn 3", "turn 6", "turn 8"} <= found
    assert len(found) > 50


@pytest.mark.slow
def test_the_same_seed_draws_the_same_files_and_another_seed_others(
    demo_data: Path, tmp_path: Path
) -> None:
    draw(tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(demo_data)
    draw(tmp_path / "other", seed=1)
    assert not set(hashes(tmp_path / "other" / "images")) & set(hashes(demo_data / "images"))


@pytest.mark.slow
def test_mean_colour_does_not_give_the_answer_away(demo_data: Path) -> None:
    """A linear classifier of mean and spread of colour, fitted to train, is near chance on test."""

    def features(name: str) -> list[float]:
        pixels = read_image(demo_data / "images" / name) / 255
        return [1.0, *pixels.mean((0, 1)), *pixels.std((0, 1))]

    def load(file: str) -> tuple[np.ndarray, np.ndarray]:
        with (demo_data / file).open() as stream:
            rows = list(csv.DictReader(stream))
        return (
            np.array([features(row["image"]) for row in rows]),
            np.array([float(row["target"]) for row in rows]),
        )

    x, y = load("train_labels.csv")
    weights, *_ = np.linalg.lstsq(x, y, rcond=None)
    x, y = load("test_labels.csv")
    assert 0.25 < auc(y, x @ weights) < 0.75


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        draw(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    draw(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
