"""Random rotation, shift, shear, zoom and mirroring, composed into one warp of each image."""

import cv2
import numpy as np
from numpy.typing import NDArray

from maskspot.training.config import Settings

_BORDERS = {
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
    "constant": cv2.BORDER_CONSTANT,
}


def random_warp(rng: np.random.Generator, settings: Settings) -> NDArray[np.float64]:
    """Draw one affine map, float64 (2, 3), from output to input pixels (x, y, 1).

    The ranges, and the order rotation, shift, shear, zoom about the image's centre, are those
    of Keras' `ImageDataGenerator` (keras_preprocessing/image/affine_transformations.py), so
    that the preset `seed` augments as the original did; the mirror comes first.
    """
    angle, shear = np.deg2rad(
        rng.uniform(-1, 1, 2) * (settings.rotation, settings.shear)  # degrees, either way
    )
    shift_y, shift_x = (
        rng.uniform(-1, 1, 2) * (settings.height_shift, settings.width_shift) * settings.size
    )
    zoom_y, zoom_x = 1 + rng.uniform(-1, 1, 2) * settings.zoom
    mirror = -1.0 if rng.random() < 0.5 and settings.horizontal_flip else 1.0  # noqa: PLR2004
    cos, sin = np.cos(angle), np.sin(angle)
    # In (row, column, 1), as Keras has it.
    rotate = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    move = np.array([[1, 0, shift_y], [0, 1, shift_x], [0, 0, 1]])
    slant = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    scale = np.diag([zoom_y, zoom_x * mirror, 1])
    centre = (settings.size - 1) / 2
    there = np.array([[1, 0, centre], [0, 1, centre], [0, 0, 1]])
    back = np.array([[1, 0, -centre], [0, 1, -centre], [0, 0, 1]])
    warp = there @ rotate @ move @ slant @ scale @ back
    return np.asarray(warp[:2, :][::-1][:, [1, 0, 2]])


def augment(
    images: NDArray[np.uint8], rng: np.random.Generator, settings: Settings
) -> NDArray[np.uint8]:
    """Return a batch, uint8 (N, S, S, 3), each image warped by a map of its own (bilinear)."""
    return np.stack([warp(image, random_warp(rng, settings), settings.fill) for image in images])


def warp(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], fill: str = "nearest"
) -> NDArray[np.uint8]:
    """Return the image, uint8 (H, W, 3), sampled at `matrix` (2, 3) times each output pixel."""
    height, width = image.shape[:2]
    return np.asarray(
        cv2.warpAffine(
            image,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=_BORDERS[fill],
        ),
        dtype=np.uint8,
    )
