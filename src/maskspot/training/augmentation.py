"""Views of images as pixels, and random changes of their colours and sharpness."""

import cv2
import numpy as np
from numpy.typing import NDArray

from maskspot.training.settings import Settings
from maskspot.training.views import Map

cv2.setNumThreads(1)  # the pipeline has threads of its own

_BORDERS = {
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
    "constant": cv2.BORDER_CONSTANT,
}

# Rec. 601, as Pillow and OpenCV convert to grey.
_LUMA = np.array([0.299, 0.587, 0.114])

Image = NDArray[np.uint8]


def warp(image: Image, view: Map, size: int, fill: str = "nearest") -> Image:
    """Return a view of an image, uint8 (H, W, 3), as uint8 (size, size, 3), bilinear.

    An image that is much larger than its view is first reduced by area, against aliasing.
    """
    factor = np.sqrt(abs(np.linalg.det(view[:, :2])) * image.shape[0] * image.shape[1]) / size
    if factor > 1.25:  # noqa: PLR2004
        image = _resize(image, [max(1, round(side / factor)) for side in image.shape[1::-1]])
    sides = np.array(image.shape[1::-1], dtype=np.float64)
    # A pixel's centre lies half a pixel from its corner, on both sides.
    turn = sides[:, None] * view[:, :2] / size
    matrix = np.column_stack([turn, turn @ [0.5, 0.5] + sides * view[:, 2] - 0.5])
    return np.asarray(
        cv2.warpAffine(
            image,
            matrix,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=_BORDERS[fill],
        ),
        dtype=np.uint8,
    )


def distort(image: Image, rng: np.random.Generator, settings: Settings) -> Image:
    """Vary colours, sharpness and compression, and fill a rectangle: uint8 (S, S, 3)."""
    chance = rng.random(3)
    if settings.colour:
        image = vary_colour(image, 1 + rng.uniform(-1, 1, 3) * settings.colour)
    if chance[0] < settings.blur:
        image = _blur(image, rng.uniform(1.3, 4))
    if chance[1] < settings.cutout:
        image = _cut(image, rng)
    if chance[2] < settings.jpeg:
        image = _compress(image, int(rng.integers(25, 90)))
    return image


def vary_colour(image: Image, factors: NDArray[np.float64]) -> Image:
    """Scale brightness, contrast (about the mean grey) and saturation: uint8 (S, S, 3)."""
    brightness, contrast, saturation = factors
    mix = saturation * np.eye(3) + (1 - saturation) * _LUMA
    mean = cv2.mean(image)[:3] @ _LUMA
    shift = brightness * (1 - contrast) * mean
    matrix = np.column_stack([brightness * contrast * mix, np.full(3, shift)])
    return np.asarray(cv2.transform(image, matrix), dtype=np.uint8)


def mix(
    images: NDArray[np.uint8], targets: NDArray[np.float32], rng: np.random.Generator, alpha: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Mix each image and label of a batch with another's (mixup, Zhang et al. 2018)."""
    share, others = rng.beta(alpha, alpha), rng.permutation(len(images))
    pairs = zip(images, images[others], strict=True)
    mixed = np.stack([cv2.addWeighted(a, share, b, 1 - share, 0) for a, b in pairs])
    return mixed, (share * targets + (1 - share) * targets[others]).astype(np.float32)


def _blur(image: Image, factor: float) -> Image:
    height, width = image.shape[:2]
    small = _resize(image, [max(8, round(side / factor)) for side in (width, height)])
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _compress(image: Image, quality: int) -> Image:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)


def _cut(image: Image, rng: np.random.Generator) -> Image:
    """Fill a rectangle with one colour (cutout, DeVries and Taylor 2017)."""
    sides = np.array(image.shape[:2])
    extent = (sides * rng.uniform(0.1, 0.35, 2)).astype(int)
    top, left = rng.integers(0, sides - extent + 1)
    image = image.copy()
    image[top : top + extent[0], left : left + extent[1]] = rng.integers(0, 256, 3)
    return image


def _resize(image: Image, sides: list[int]) -> Image:
    return np.asarray(cv2.resize(image, sides, interpolation=cv2.INTER_AREA), dtype=np.uint8)
