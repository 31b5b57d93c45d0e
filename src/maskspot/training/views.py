"""Random parts of images for training, with their labels."""

import numpy as np
from numpy.typing import NDArray

from maskspot.datasets.boxes import Boxes
from maskspot.training.settings import Settings

Map = NDArray[np.float64]
"""An affine map, float64 (2, 3), from a point (x, y, 1) of the view to one of the image, both as
shares of the side."""

_TRIES = 8
_SHOWN, _HIDDEN = 0.6, 0.15
"""A mask is visible from the first share of its box in view, and out of view up to the second. In
between, the label would be unclear."""

_CLOSEST = 0.25
"""Minimum share of the side in a close-up."""

_WHOLE: Map = np.eye(2, 3)


def draw_view(
    rng: np.random.Generator, settings: Settings, target: float, boxes: Boxes | None
) -> tuple[Map, float, NDArray[np.float64]]:
    """Draw a view of an image: a crop, turned, shifted, slanted, zoomed and mirrored.

    For images with boxes the label depends on the masks in view; a view whose label is unclear is
    drawn again.

    Returns:
        The map; the view's label; the boxes of its masks, float64 (K, 4), in shares of its side.
    """
    nowhere = np.empty((0, 4))
    by_box = boxes is not None and rng.random() < settings.box_crops
    close = boxes is None and not target and rng.random() < settings.close_ups
    for _ in range(_TRIES):
        if boxes and by_box:
            crop = _around_a_face(rng, boxes)
        else:
            crop = _close_up(rng) if close else _anywhere(rng, settings.crop)
        view = _compose(crop, random_warp(rng, settings))
        if boxes is None:
            return view, target, nowhere
        shares, seen = _visible(view, boxes.corners[boxes.masked])
        if (shares >= _SHOWN).any():
            return view, 1.0, seen[shares >= _SHOWN]
        if (shares <= _HIDDEN).all():
            return view, 0.0, nowhere
    return _WHOLE, target, boxes.corners[boxes.masked] if boxes else nowhere


def random_warp(rng: np.random.Generator, settings: Settings) -> Map:
    """Draw rotation, shift, shear, zoom and mirror.

    The ranges, and the order rotation, shift, shear, zoom about the image's centre, are those
    of Keras' `ImageDataGenerator` (`apply_affine_transform` in its legacy image module), so
    that the preset `seed` augments as the original did; the mirror comes first.
    """
    angle, shear = np.deg2rad(rng.uniform(-1, 1, 2) * (settings.rotation, settings.shear))
    shift = rng.uniform(-1, 1, 2) * (settings.width_shift, settings.height_shift)
    zoom = 1 + rng.uniform(-1, 1, 2) * settings.zoom
    if rng.random() < 0.5 and settings.horizontal_flip:  # noqa: PLR2004
        zoom[0] = -zoom[0]
    cos, sin = np.cos(angle), np.sin(angle)
    rotate = np.array([[cos, -sin], [sin, cos]])
    slant = np.array([[1, -np.sin(shear)], [0, np.cos(shear)]])
    turn = rotate @ slant @ np.diag(zoom)
    # image = centre + rotate (shift + slant zoom (view - centre))
    return np.column_stack([turn, 0.5 + rotate @ shift - turn @ [0.5, 0.5]])


def mask_grid(boxes: NDArray[np.float64], cells: int) -> NDArray[np.float32]:
    """Return the distribution of the masks' area over a grid, float32 (cells, cells); or zeros."""
    edges = np.arange(cells + 1) / cells
    grid = np.zeros((cells, cells))
    for left, top, right, bottom in boxes:
        across = np.diff(edges.clip(left, right))
        down = np.diff(edges.clip(top, bottom))
        grid += np.outer(down, across)
    total = grid.sum()
    return (grid / total if total else grid).astype(np.float32)


def _anywhere(rng: np.random.Generator, least: float) -> Map:
    """Draw a crop of at least a share of the area, with an aspect ratio of 3:4 to 4:3."""
    if least >= 1:
        return _WHOLE
    area, proportion = rng.uniform(least, 1), np.exp(rng.uniform(-1, 1) * np.log(4 / 3))
    sides = np.minimum(1, np.sqrt([area * proportion, area / proportion]))
    return np.column_stack([np.diag(sides), rng.uniform(0, 1, 2) * (1 - sides)])


def _close_up(rng: np.random.Generator) -> Map:
    """Draw a crop of any scale of an image without a mask, no part of which shows one."""
    side = np.exp(rng.uniform(np.log(_CLOSEST), 0))
    return np.column_stack([np.diag([side, side]), rng.uniform(0, 1 - side, 2)])


def _around_a_face(rng: np.random.Generator, boxes: Boxes) -> Map:
    """Draw a crop around a face with a box, or away from all, from a close-up to the scene."""
    masked = boxes.masked if rng.random() < 0.5 else ~boxes.masked  # noqa: PLR2004
    rows = np.flatnonzero(masked)
    left, top, right, bottom = boxes.corners[rng.choice(rows if len(rows) else len(boxes.masked))]
    side = max((right - left) * boxes.aspect, bottom - top) * np.exp(rng.uniform(0.2, 2.5))
    proportion = np.exp(rng.uniform(-0.3, 0.3))
    width, height = min(1, side * proportion / boxes.aspect), min(1, side / proportion)
    if rng.random() < 0.25:  # noqa: PLR2004
        x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    else:
        x = rng.uniform(*sorted((max(0, right - width), min(left, 1 - width))))
        y = rng.uniform(*sorted((max(0, bottom - height), min(top, 1 - height))))
    return np.array([[width, 0, x], [0, height, y]])


def _compose(outer: Map, inner: Map) -> Map:
    """Return the map that applies `inner` first."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def _visible(view: Map, corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], Map]:
    """Return the share of each box that is in view, (M,), and its visible part, (M, 4)."""
    x, y = corners[:, [0, 2, 0, 2]], corners[:, [1, 1, 3, 3]]
    points = np.stack([x, y], -1) - view[:, 2]
    placed = points @ np.linalg.inv(view[:, :2]).T
    low, high = placed.min(1), placed.max(1)
    part = np.concatenate([low.clip(0, 1), high.clip(0, 1)], 1)
    area = np.prod(high - low, 1)
    return np.prod(part[:, 2:] - part[:, :2], 1) / np.maximum(area, 1e-12), part
