"""Where the mask is: maps that add up to the logit, and pictures of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskspot import Predictor, Score
from maskspot.errors import DataError, ModelFileError
from maskspot.images import Preprocessing
from maskspot.model import predictor as predicting
from maskspot.model.heatmaps import Overlays, overlay, peak, strength

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
        bound = predictor.info.calibration.get("bound", 0.0)
        p = (np.float64(score.probability) - bound) / (1 - 2 * bound)
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
    with pytest.raises(ModelFileError, match="fast: has no heatmap output; export its run again"):
        Predictor("fast").predict(pictures / "a.jpg", heatmap=True)
    assert cli("predict", pictures).code == 0
    result = cli("predict", pictures, "--heatmaps", tmp_path / "maps")
    assert result.code == 3
    assert (
        result.err.splitlines()[-1] == "error: default: has no heatmap output; export its run again"
    )


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


GROUNDS = [(220, 20, 20), (255, 255, 255), (0, 0, 0), (250, 230, 40), (225, 180, 150)]


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_overlay_shows_on_every_ground_and_outlines_the_mask(
    ground: tuple[int, int, int],
) -> None:
    plain = Image.new("RGB", (1024, 512), ground)
    found = np.asarray(overlay(plain, score([[0.0, 0.0, 0.0, 1.0]], 1.0)), np.int32)
    assert plain.getpixel((1000, 250)) == ground
    assert tuple(found[250, 10]) == ground
    row = found[250, 400:]
    bright, dark = (row >= 240).all(1), (row <= 15).all(1)
    assert bright.any()
    assert dark.any()
    inside = found[250, 1000]
    assert tuple(inside) != ground
    assert np.abs(inside - (253, 231, 37)).max() < 90


def corner(probability: float, size: tuple[int, int] = (600, 400)) -> Any:
    image = Image.new("RGB", size, (90, 120, 90))
    found = np.asarray(overlay(image, score([[0.0] * 8 + [1.0]] * 6, probability)))
    return found[: size[1] // 8, : size[0] // 5]


def test_the_probability_is_written_whole_in_the_corner_where_there_is_room() -> None:
    box = corner(0.985)
    black, white = (box == 0).all(2), (box >= 250).all(2)
    assert black[0, 0]
    edge = np.flatnonzero(~black[0])[0]  # no letter touches the edge of its ground
    assert not white[0].any()
    assert not white[:, edge - 1].any()
    assert white.any()
    assert not np.array_equal(box, corner(0.1))
    assert (corner(0.985, (20, 8)) == (90, 120, 90)).all()


def test_an_image_that_is_no_mask_has_no_outline() -> None:
    grey = Image.new("RGB", (400, 400), (90, 90, 90))
    for probability, outlined in ((0.4, False), (0.6, True)):
        found = np.asarray(overlay(grey, score([[0.0, 0.0, 1.0, 0.0]], probability)))[60:]
        assert (found == 255).all(2).any() == outlined


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("a/b.png", "a/b.png.heatmap.jpg"),
        ("/etc/x.jpg", "etc/x.heatmap.jpg"),
        ("//tmp/x.jpg", "tmp/x.heatmap.jpg"),
        ("\\\\tmp\\x.jpg", "tmp/x.heatmap.jpg"),
        ("../../up.jpg", "up-29b18949100a.heatmap.jpg"),
        ("a/../../b", "a/b-feddf1677abc.heatmap.jpg"),
        ("..\\c.jpg", "c-4d6ea0d7cccc.heatmap.jpg"),
        ("C:\\d.jpg", "C_/d.heatmap.jpg"),
        ("https://h.org/e.jpg", "https_/h.org/e.heatmap.jpg"),
        ("new\nline\udcff.jpg", "new_line_-fc68aa7edf09.heatmap.jpg"),
        ("nul.jpg", "_nul-99e624275901.heatmap.jpg"),
        ("-", "-.heatmap.jpg"),
    ],
)
def test_a_picture_is_named_after_its_image_and_stays_in_the_folder(
    tmp_path: Path, source: str, file: str
) -> None:
    maps = Overlays(tmp_path / "in" / "maps")
    maps.save(Image.new("RGB", (8, 8)), score([[1.0]], source=source))
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / "in" / "maps" / file]


def test_predict_writes_a_picture_for_each_image_that_it_can_read(
    cli: Run, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "b.jpg").write_bytes(b"no image")
    maps = tmp_path / "maps"
    result = cli("predict", pictures, "--heatmaps", maps)
    assert result.code == 1
    assert result.out == cli("predict", pictures).out
    assert sorted(path.name for path in maps.iterdir()) == [f"{c}.heatmap.jpg" for c in "acdef"]
    with Image.open(maps / "a.heatmap.jpg") as found, Image.open(pictures / "a.jpg") as image:
        assert found.size == image.size
    result = cli("predict", pictures, "--heatmaps", maps, "--cache", tmp_path / "cache")
    assert (result.code, result.err) == (
        2,
        "error: --cache: provides no pictures for --heatmaps or --report; leave it out\n",
    )


def test_an_image_that_comes_twice_has_two_pictures(tmp_path: Path) -> None:
    maps = Overlays(tmp_path)
    for name in ("p.png", "p.png", "P.png", "p.jpg", "p", "p.png.jpg"):
        maps.save(Image.new("RGB", (8, 8)), score([[1.0]], source=name))
    assert len(list(tmp_path.iterdir())) == 6


def test_a_picture_replaces_another_but_never_a_photo(tmp_path: Path) -> None:
    photo = tmp_path / "a.heatmap.jpg"
    Image.new("RGB", (8, 8)).save(photo)
    before = photo.read_bytes()
    with pytest.raises(DataError, match=r"a\.heatmap\.jpg: exists and is not a heatmap"):
        Overlays(tmp_path).save(Image.new("RGB", (8, 8)), score([[1.0]], source="a"))
    assert photo.read_bytes() == before
    for _ in range(2):
        Overlays(tmp_path).save(Image.new("RGB", (8, 8)), score([[1.0]], source="b"))
    assert sorted(os.listdir(tmp_path)) == ["a.heatmap.jpg", "b.heatmap.jpg"]


def test_what_a_kill_left_of_a_picture_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / ".maskspot-12345678.tmp.jpg").write_text("half")
    Overlays(tmp_path).save(Image.new("RGB", (8, 8)), score([[1.0]], source="in/b"))
    assert os.listdir(tmp_path / "in") == ["b.heatmap.jpg"]
