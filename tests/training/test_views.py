"""Crops, and the labels that follow from the boxes still in view."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskspot.datasets.boxes import Boxes, read_boxes
from maskspot.datasets.labels import Labelled
from maskspot.errors import DataError
from maskspot.images import Preprocessing
from maskspot.training.presets import resolve
from maskspot.training.views import draw_view, mask_grid

CROPS = resolve(options={"boxes": "boxes.csv", "box_crops": 1.0, "crop": 0.3})


def box(*corners: float, masked: bool = True) -> Boxes:
    return Boxes(np.array([corners]), np.array([masked]), 1.5)


def shown(view: np.ndarray, corners: np.ndarray) -> float:
    """The share of a box that a view shows, by points."""
    x, y = (np.mgrid[:40, :40] + 0.5).reshape(2, -1) / 40
    points = corners[:2] + np.column_stack([x, y]) * (corners[2:] - corners[:2])
    placed = np.linalg.solve(view[:, :2], (points - view[:, 2]).T)
    return float(((placed >= 0) & (placed <= 1)).all(0).mean())


@given(st.integers(0, 10_000), st.floats(0, 0.85), st.floats(0, 0.85), st.floats(0.05, 0.5))
def test_a_label_is_what_the_view_shows(seed: int, x: float, y: float, side: float) -> None:
    boxes = box(x, y, min(1, x + side), min(1, y + side))
    upright = replace(CROPS, rotation=0.0, shear=0.0)
    view, target, masks = draw_view(np.random.default_rng(seed), upright, 1.0, boxes)
    share = shown(view, boxes.corners[0])
    assert target == (share > 0.4)
    assert share > 0.57 or share < 0.18
    assert len(masks) == target
    assert ((masks >= 0) & (masks <= 1)).all()


def test_crops_of_one_scene_are_of_both_labels_and_every_scale() -> None:
    boxes = Boxes(
        np.array([[0.1, 0.1, 0.2, 0.3], [0.7, 0.6, 0.8, 0.8]]), np.array([True, False]), 1.0
    )
    rng = np.random.default_rng(0)
    drawn = [draw_view(rng, CROPS, 1.0, boxes) for _ in range(400)]
    assert 0.3 < np.mean([target for _, target, _ in drawn]) < 0.7
    scales = [np.sqrt(abs(np.linalg.det(view[:, :2]))) for view, _, _ in drawn]
    assert min(scales) < 0.3
    assert max(scales) > 0.8


def test_an_image_without_boxes_keeps_its_label_and_most_of_its_area() -> None:
    still = replace(CROPS, zoom=0.0)
    rng = np.random.default_rng(1)
    drawn = [draw_view(rng, still, 1.0, None) for _ in range(200)]
    assert {target for _, target, _ in drawn} == {1.0}
    assert min(abs(np.linalg.det(view[:, :2])) for view, _, _ in drawn) > 0.27


def test_a_face_without_a_mask_never_makes_a_positive() -> None:
    boxes = box(0.2, 0.2, 0.6, 0.6, masked=False)
    rng = np.random.default_rng(2)
    assert not any(draw_view(rng, CROPS, 0.0, boxes)[1] for _ in range(100))


def test_a_grid_has_each_masks_area_where_it_is() -> None:
    grid = mask_grid(np.array([[0.0, 0.0, 0.5, 0.25]]), 4)
    assert grid.sum() == pytest.approx(1)
    assert (grid[0, :2] == 0.5).all()
    assert mask_grid(np.empty((0, 4)), 8).sum() == 0


@pytest.fixture
def scenes(tmp_path: Path) -> list[Labelled]:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (80, 40), "grey").save(tmp_path / name)
    return [
        Labelled("a.jpg", tmp_path / "a.jpg", 1),
        Labelled("b.jpg", tmp_path / "b.jpg", 0),
        Labelled("c.jpg", tmp_path / "c.jpg", 1),
    ]


def read(
    folder: Path, images: list[Labelled], text: str, fit: str = "squash"
) -> list[Boxes | None]:
    (folder / "boxes.csv").write_text("image,xmin,ymin,xmax,ymax,label\n" + text)
    return read_boxes("boxes.csv", [folder], images, Preprocessing(64, fit))


@pytest.mark.parametrize(
    ("fit", "corners"), [("squash", [0.25, 0.5, 0.5, 1]), ("pad", [0.25, 0.5, 0.5, 0.75])]
)
def test_boxes_lie_where_the_square_shows_them(
    tmp_path: Path, scenes: list[Labelled], fit: str, corners: list[float]
) -> None:
    found = read(tmp_path, scenes, "a.jpg,20,20,40,40,mask\n", fit)
    assert found[0]
    assert found[0].corners.tolist() == [corners]
    assert found[1:] == [None, None]


def test_a_mask_worn_wrongly_counts_and_boxes_against_the_label_do_not(
    tmp_path: Path, scenes: list[Labelled]
) -> None:
    rows = "a.jpg,0,0,9,9,incorrect\na.jpg,9,9,20,20,no_mask\nb.jpg,0,0,9,9,mask\n"
    a, b, c = read(tmp_path, scenes, rows)
    assert a
    assert a.masked.tolist() == [True, False]
    assert b is None
    assert c is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg,9,0,0,9,mask\n", "row 2: not a box"),
        ("a.jpg,0,0,x,9,mask\n", "row 2: a corner is not a number"),
        ("a.jpg,0,0,nan,9,mask\n", "row 2: not a box"),
        ("z.jpg,0,0,9,9,mask\n", "has no box of any image"),
    ],
)
def test_wrong_boxes_are_one_line(
    tmp_path: Path, scenes: list[Labelled], rows: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, scenes, rows)


def test_boxes_need_their_columns(tmp_path: Path, scenes: list[Labelled]) -> None:
    (tmp_path / "boxes.csv").write_text("image,x,y\na.jpg,1,2\n")
    with pytest.raises(DataError, match="needs the columns image, xmin"):
        read_boxes("boxes.csv", [tmp_path], scenes, Preprocessing(64))


def test_close_ups_are_of_images_without_masks_alone_and_keep_their_label() -> None:
    settings = resolve(options={"close_ups": 1.0, "crop": 1.0, "rotation": 0, "shear": 0})
    areas: dict[float, list[float]] = {0.0: [], 1.0: []}
    for target, found in areas.items():
        for seed in range(60):
            view, label, _ = draw_view(np.random.default_rng(seed), settings, target, None)
            found.append(abs(float(np.linalg.det(view[:, :2]))))
            assert label == target
    assert min(areas[0.0]) < 0.15 < min(areas[1.0])
