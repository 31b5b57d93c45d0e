"""Where the mask is: maps that add up to the logit, and pictures of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskspot import Predictor, Score
from maskspot import predictor as predicting
from maskspot.errors import ModelFileError
from maskspot.images import Preprocessing
from maskspot.overlays import overlay, peak, save_overlay, strength

Run = Callable[..., Any]


@pytest.mark.parametrize("model", ["default", "int8", "fast"])
def test_the_map_and_one_constant_for_all_images_are_the_logit(model: str, pictures: Path) -> None:
    predictor = Predictor(model)
    constants = []
    for path in sorted(pictures.iterdir()):
        score, plain = predictor.predict(path, heatmap=True), predictor.predict(path)
        assert plain.heatmap is None
        assert (score.probability, score.width) == (plain.probability, plain.width)
        assert score.heatmap is not None
        assert (score.heatmap.shape, score.heatmap.dtype) == ((8, 8), np.float32)
        p = np.float64(score.probability)
        constants.append(np.log(p) - np.log1p(-p) - score.heatmap.sum(dtype=np.float64))
    assert np.ptp(constants) < 1e-4


def test_many_images_have_their_maps_in_order(predictor: Predictor, pictures: Path) -> None:
    paths = [*sorted(pictures.iterdir()), pictures / "missing.jpg"]
    *scores, missing = predictor.predict(paths, heatmap=True)
    assert missing.heatmap is None
    for path, score in zip(paths, scores, strict=False):
        assert np.array_equal(score.heatmap, predictor.predict(path, heatmap=True).heatmap)


def test_a_model_without_a_map_says_so_and_scores(
    cli: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicting, "HEATMAP", "none")
    with pytest.raises(ModelFileError, match="fast: has no heatmap; export its run again"):
        Predictor("fast").predict(pictures / "a.jpg", heatmap=True)
    assert cli("predict", pictures).code == 0
    result = cli("predict", pictures, "--heatmaps", tmp_path / "maps")
    assert result.code == 3
    assert result.err.splitlines()[-1] == "error: default: has no heatmap; export its run again"


@pytest.mark.parametrize(
    ("size", "expected"), [((100, 100), (8, 8)), ((200, 100), (4, 8)), ((10, 1000), (8, 1))]
)
def test_a_padded_images_map_is_that_of_the_image_alone(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    grid = np.arange(64).reshape(8, 8)
    part = Preprocessing(fit="pad").crop(grid, size)
    assert part.shape == expected
    middle = grid[(8 - expected[0]) // 2, (8 - expected[1]) // 2]
    assert part[0, 0] == middle
    assert Preprocessing(fit="squash").crop(grid, size) is grid


def score(heatmap: list[list[float]], probability: float = 0.9, source: str = "x.jpg") -> Score:
    return Score(source, probability, heatmap=np.array(heatmap, np.float32))


def test_what_speaks_most_for_a_mask_has_the_probability_and_what_speaks_against_it_nothing() -> (
    None
):
    found = strength(score([[0.0, 8.0, 0.0, -8.0, 0.0]]))
    assert found == pytest.approx(np.array([[0.45, 0.9, 0.0, 0.0, 0.0]]))
    assert strength(score([[-1.0, -2.0]])).max() == 0


def test_the_peak_is_between_the_cells_that_share_a_mask() -> None:
    x, y = peak(score([[0.0, 0.0, 0.0, 0.0], [0.0, 4.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    assert (x, y) == pytest.approx((0.5, 0.5), abs=0.04)
    x, _ = peak(score([[0.0, 9.0, 0.0, 0.0, 7.0, 7.0, 0.0]]))
    assert x == pytest.approx(5 / 7, abs=0.02)  # two beside each other are more than one


def test_the_overlay_is_red_where_the_map_is() -> None:
    white = Image.new("RGB", (1024, 512), "white")
    found = overlay(white, score([[0.0, 0.0, 0.0, 1.0]], 1.0))
    assert white.getpixel((1000, 250)) == (255, 255, 255)
    assert found.getpixel((10, 250)) == (255, 255, 255)
    red, green, _ = found.getpixel((1000, 250))  # type: ignore[misc]
    assert (red, green < 130) == (255, True)


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("a/b.png", "a/b.png.jpg"),
        ("/etc/x.jpg", "etc/x.jpg.jpg"),
        ("../../up.jpg", "up.jpg.jpg"),
        ("a/../../b", "a/b.jpg"),
        ("..\\c.jpg", "c.jpg.jpg"),
        ("C:\\d.jpg", "C_/d.jpg.jpg"),
        ("https://h.org/e.jpg", "https_/h.org/e.jpg.jpg"),
        ("new\nline\udcff.jpg", "new_line_.jpg.jpg"),
        ("-", "-.jpg"),
    ],
)
def test_a_picture_is_named_after_its_image_and_stays_in_the_folder(
    tmp_path: Path, source: str, file: str
) -> None:
    save_overlay(Image.new("RGB", (8, 8)), score([[1.0]], source=source), tmp_path / "in" / "maps")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "in" / "maps" / file]


def test_predict_writes_a_picture_for_each_image_that_it_can_read(
    cli: Run, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "b.jpg").write_bytes(b"no image")
    maps = tmp_path / "maps"
    result = cli("predict", pictures, "--heatmaps", maps)
    assert result.code == 1
    assert result.out == cli("predict", pictures).out
    assert sorted(path.name for path in maps.iterdir()) == [f"{c}.jpg.jpg" for c in "acdef"]
    with Image.open(maps / "a.jpg.jpg") as found, Image.open(pictures / "a.jpg") as image:
        assert found.size == image.size
    result = cli("predict", pictures, "--heatmaps", maps, "--cache", tmp_path / "cache")
    assert (result.code, result.err) == (
        2,
        "error: --cache: has no pictures for --heatmaps or --report; leave it out\n",
    )
