from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2", reason="needs maskspot[train]")
import cv2

from maskspot.training.augmentation import distort, mix, vary_colour, warp
from maskspot.training.presets import PRESETS, resolve
from maskspot.training.settings import Settings
from maskspot.training.views import random_warp

pytestmark = pytest.mark.train

STILL = resolve(
    options={
        "size": 65, "rotation": 0.0, "zoom": 0.0, "shear": 0.0, "width_shift": 0.0,
        "height_shift": 0.0, "horizontal_flip": False, "crop": 1.0, "colour": 0.0, "blur": 0.0,
        "jpeg": 0.0, "cutout": 0.0,
    }
)  # fmt: skip


def dot(x: int, y: int) -> np.ndarray:
    """A black 65 x 65 image with a white spot of 3 x 3 pixels about (x, y)."""
    image = np.zeros((65, 65, 3), np.uint8)
    image[y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


def centre(image: np.ndarray) -> tuple[float, float]:
    """Where the mass of an image is, (x, y)."""
    weights = image[..., 0].astype(float)
    y, x = np.mgrid[:65, :65]
    return float((x * weights).sum() / weights.sum()), float((y * weights).sum() / weights.sum())


def warped(settings: Settings, image: np.ndarray, seed: int) -> np.ndarray:
    return warp(image, random_warp(np.random.default_rng(seed), settings), 65, "constant")


def test_without_ranges_an_image_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (65, 65, 3), dtype=np.uint8)
    assert (warped(STILL, image, 1) == image).all()
    assert (distort(image, np.random.default_rng(1), STILL) == image).all()


def test_a_mirror_is_exact_and_of_half_the_images() -> None:
    image = np.random.default_rng(0).integers(0, 256, (65, 65, 3), dtype=np.uint8)
    settings = replace(STILL, horizontal_flip=True)
    results = [warped(settings, image, seed) for seed in range(200)]
    mirrored = [bool((result == image[:, ::-1]).all()) for result in results]
    assert all(m or (r == image).all() for m, r in zip(mirrored, results, strict=True))
    assert 70 < sum(mirrored) < 130


def test_rotation_turns_about_the_centre_by_at_most_its_degrees() -> None:
    settings = replace(STILL, rotation=20.0)
    assert (warped(settings, dot(32, 32), 3)[32, 32] > 200).all()
    angles = []
    for seed in range(50):
        x, y = centre(warped(settings, dot(52, 32), seed))
        assert np.hypot(x - 32, y - 32) == pytest.approx(20, abs=0.5)
        angles.append(np.rad2deg(np.arctan2(y - 32, x - 32)))
    assert -20.5 < min(angles) < -12
    assert 12 < max(angles) < 20.5


@pytest.mark.parametrize(("name", "axis"), [("width_shift", 0), ("height_shift", 1)])
def test_a_shift_moves_along_its_own_axis_by_at_most_its_share(name: str, axis: int) -> None:
    settings = replace(STILL, **{name: 0.2})
    moves = [np.subtract(centre(warped(settings, dot(32, 32), seed)), 32) for seed in range(50)]
    assert max(abs(move[1 - axis]) for move in moves) < 0.1
    reach = [move[axis] for move in moves]
    assert 9 < max(reach) < 13.5
    assert -13.5 < min(reach) < -9


def test_zoom_scales_width_and_height_apart() -> None:
    settings = replace(STILL, zoom=0.5)
    places = [np.subtract(centre(warped(settings, dot(40, 40), seed)), 32) for seed in range(50)]
    assert min(min(place) for place in places) > 8 / 1.55
    assert max(max(place) for place in places) < 8 / 0.45
    assert max(abs(x - y) for x, y in places) > 3


def test_shear_slants_columns_by_the_row() -> None:
    settings = replace(STILL, shear=30.0)
    above = [centre(warped(settings, dot(32, 12), seed))[0] - 32 for seed in range(20)]
    below = [centre(warped(settings, dot(32, 52), seed))[0] - 32 for seed in range(20)]
    assert max(map(abs, above)) > 4
    assert np.allclose(above, np.negative(below), atol=0.6)


def test_the_composition_is_that_of_keras_imagedatagenerator() -> None:
    """Against `apply_affine_transform` of the legacy image module that Keras still carries."""
    from keras.src.legacy.preprocessing import image as legacy

    settings = replace(PRESETS["seed"], size=65)
    rng = np.random.default_rng(5)
    angle, shear = rng.uniform(-1, 1, 2) * (settings.rotation, settings.shear)
    tx, ty = rng.uniform(-1, 1, 2) * 0.2 * 65
    zx, zy = 1 + rng.uniform(-1, 1, 2) * settings.zoom
    smooth = np.mgrid[:65, :65].astype(np.float32).sum(0)[..., None].repeat(3, 2)
    theirs = legacy.apply_affine_transform(
        smooth, angle, tx, ty, shear, zx, zy, row_axis=0, col_axis=1, channel_axis=2,
        fill_mode="nearest", order=1,
    )  # fmt: skip
    ours = warp(smooth.astype(np.uint8), random_warp(np.random.default_rng(5), settings), 65)
    assert np.abs(theirs - ours).max() < 1.5


@pytest.mark.parametrize(("fill", "value"), [("nearest", 200), ("reflect", 200), ("constant", 0)])
def test_beyond_the_border_is_what_fill_says(fill: str, value: int) -> None:
    image = np.full((65, 65, 3), 200, np.uint8)
    matrix = np.array([[1.0, 0, 30 / 65], [0, 1, 0]])
    assert (warp(image, matrix, 65, fill)[:, 40:] == value).all()


@pytest.mark.parametrize("size", [16, 48, 64, 96, 200])
def test_a_view_of_the_whole_keeps_places_at_any_size(size: int) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:32, 32:48] = 240
    view = warp(image, np.eye(2, 3), size).astype(float)[..., 0]
    y, x = np.mgrid[:size, :size] + 0.5
    assert (view * x).sum() / view.sum() == pytest.approx(40 / 64 * size, abs=0.1)
    assert (view * y).sum() / view.sum() == pytest.approx(24 / 64 * size, abs=0.1)


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    view = warp(stripes, np.array([[0.9, 0, 0.05], [0, 0.9, 0.05]]), 32)
    assert np.abs(view.astype(int) - 128).max() < 25


def test_colour_scales_brightness_contrast_and_saturation_alone() -> None:
    image = np.random.default_rng(0).integers(90, 150, (32, 32, 3), dtype=np.uint8)
    as_float = image.astype(float)
    assert (vary_colour(image, np.ones(3)) == image).all()
    brighter = vary_colour(image, np.array([1.5, 1, 1]))
    assert np.abs(brighter - 1.5 * as_float).max() <= 1
    flatter = vary_colour(image, np.array([1, 0.5, 1])).astype(float)
    assert flatter.std() == pytest.approx(as_float.std() / 2, rel=0.05)
    assert flatter.mean() == pytest.approx(as_float.mean(), abs=1)
    grey = vary_colour(image, np.array([1, 1, 0.0]))
    assert (grey.max(-1).astype(int) - grey.min(-1)).max() <= 1


def mean_change(**values: float) -> float:
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), (5, 5), 0
    )
    changed = distort(image, np.random.default_rng(3), replace(STILL, size=64, **values))
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    return float(np.abs(changed.astype(int) - image).mean())


@pytest.mark.parametrize("name", ["blur", "jpeg", "cutout", "colour"])
def test_a_disturbance_changes_an_image_but_leaves_it_recognisable(name: str) -> None:
    assert 0.5 < mean_change(**{name: 0.9}) < 40


def test_mixup_mixes_images_and_labels_by_the_same_share() -> None:
    images = np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8)])
    targets = np.array([0, 1], np.float32)
    for seed in range(20):
        mixed, labels = mix(images, targets, np.random.default_rng(seed), 1.0)
        assert np.allclose(mixed[:, 0, 0, 0] / 200, labels, atol=0.01)
