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
    of Keras' `ImageDataGenerator` (`apply_affine_transform` in its legacy image module), so
    that the preset `seed` augments as the original did; the mirror comes first.
    """
    angle, shear = np.deg2rad(rng.uniform(-1, 1, 2) * (settings.rotation, settings.shear))
    shift = rng.uniform(-1, 1, 2) * (settings.width_shift, settings.height_shift) * settings.size
    zoom = 1 + rng.uniform(-1, 1, 2) * settings.zoom
    if rng.random() < 0.5 and settings.horizontal_flip:  # noqa: PLR2004
        zoom[0] = -zoom[0]
    cos, sin = np.cos(angle), np.sin(angle)
    rotate = np.array([[cos, -sin], [sin, cos]])
    slant = np.array([[1, -np.sin(shear)], [0, np.cos(shear)]])
    turn = rotate @ slant @ np.diag(zoom)
    centre = (settings.size - 1) / 2
    # input = centre + rotate (shift + slant zoom (output - centre))
    return np.column_stack([turn, centre + rotate @ shift - turn @ [centre, centre]])


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
