"""From bytes to pixels: the one way in which images are read, in training and in prediction."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from maskspot.decoding.budget import MAX_PIXELS, Budget
from maskspot.decoding.reader import FORMATS, Opened, Wanted, finish, read_file
from maskspot.errors import ImageError, UsageError

__all__ = [
    "FILTERS",
    "FITS",
    "FORMATS",
    "MAX_PIXELS",
    "REDUCE",
    "ImageSource",
    "Opened",
    "Preprocessing",
    "keep_memory",
    "open_image",
    "open_rgb",
    "read_image",
]

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[np.uint8]
"""A path, the bytes of a file, an open binary file, a Pillow image, or RGB uint8 (H, W, 3)."""

FITS = ("squash", "pad")
FILTERS = {
    name: Image.Resampling[name.upper()]
    for name in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
}

_CALLERS, _WARNINGS = Lock(), Lock()

REDUCE = 2
"""Least ratio of the sides of a JPEG decoded at reduced size to those of the network's input."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image is converted to the network's square input; a property of the model.

    Attributes:
        size: side of the square in pixels.
        fit: `squash` scales width and height separately to fill the square; `pad` keeps the
            aspect ratio and centres the image on grey (128).
        filter: name of Pillow's resampling filter. All but `nearest` are antialiased.
        reduce: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its sides keep at least this
            many times `size`; 0 decodes it in full.
        srgb: whether images with an ICC profile are converted to sRGB.
    """

    size: int = 256
    fit: str = "squash"
    filter: str = "bilinear"
    reduce: int = 0
    srgb: bool = False

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 16 <= self.size <= 4096:  # noqa: PLR2004
            raise UsageError(
                f"must be an integer from 16 to 4096, not {self.size!r}", argument="size"
            )
        if self.fit not in FITS:
            raise UsageError(f"{self.fit!r} is not one of {', '.join(FITS)}", argument="fit")
        if self.filter not in FILTERS:
            text = f"{self.filter!r} is not one of {', '.join(FILTERS)}"
            raise UsageError(text, argument="filter")
        if type(self.reduce) is not int or not 0 <= self.reduce <= 16:  # noqa: PLR2004
            text = f"must be an integer from 0 to 16, not {self.reduce!r}"
            raise UsageError(text, argument="reduce")
        if type(self.srgb) is not bool:
            raise UsageError(f"must be true or false, not {self.srgb!r}", argument="srgb")

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return an RGB image as uint8 of shape (size, size, 3).

        Raises:
            ImageError: there is not enough memory.
        """
        shape, resample = (self.size, self.size), FILTERS[self.filter]
        try:
            if self.fit == "pad":
                image = ImageOps.pad(image, shape, resample, color=(128, 128, 128))
            elif image.size != shape:
                image = image.resize(shape, resample)
            return np.asarray(image)
        except MemoryError:
            raise ImageError("not enough memory to resize the image", "too large") from None

    def open(
        self, source: ImageSource, max_pixels: int = MAX_PIXELS, draft: bool | None = None
    ) -> Opened:
        """Read an image.

        Args:
            source: the image.
            max_pixels: an image with more pixels is refused.
            draft: decode JPEGs at a fraction of their size, or in full; None as `reduce` says.

        Raises:
            ImageError: it cannot be read.
        """
        times = self.reduce if draft is None else draft * (self.reduce or REDUCE)
        return open_image(source, max_pixels, times * self.size, self.srgb)

    def read(self, source: ImageSource, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
        """Read an image and return uint8 (size, size, 3).

        Raises:
            ImageError: it cannot be read.
        """
        return self.apply(self.open(source, max_pixels).rgb)

    def crop(self, grid: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Return the part of a grid over the network's input that covers the image.

        Args:
            grid: an array (h, w).
            size: width and height of the image.
        """
        if self.fit != "pad":
            return grid
        longest = max(size)
        columns, rows = (
            max(1, round(cells * side / longest))
            for cells, side in zip(grid.shape[::-1], size, strict=True)
        )
        top, left = (grid.shape[0] - rows) // 2, (grid.shape[1] - columns) // 2
        return grid[top : top + rows, left : left + columns]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as they are stored in a model file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Return an object from the result of `to_dict`.

        Raises:
            UsageError: a value is invalid.
            KeyError: a value is missing.
        """
        later = {"reduce": values.get("reduce", 0), "srgb": values.get("srgb", False)}
        return cls(values["size"], values["fit"], values["filter"], **later)


def read_image(source: ImageSource, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return the pixels of an image, upright, as RGB uint8 of shape (H, W, 3).

    Raises:
        ImageError: it is missing, empty, truncated, not an image, or larger than `max_pixels`.
    """
    return np.asarray(open_rgb(source, max_pixels))


def open_rgb(source: ImageSource, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return an image, upright and in mode RGB; this saves the last copy of `read_image`."""
    return open_image(source, max_pixels).rgb


def open_image(
    source: ImageSource, max_pixels: int = MAX_PIXELS, least: int = 0, srgb: bool = False
) -> Opened:
    """Read an image and return it with its size and format.

    Args:
        source: the image.
        max_pixels: an image with more pixels is refused.
        least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if width and height keep at
            least this many pixels; 0 for never.
        srgb: convert images with an embedded ICC profile to sRGB.

    Raises:
        ImageError: it is missing, empty, truncated, not an image, or larger than `max_pixels`.
    """
    # A limit above that of Pillow requires raising Pillow's, which holds for the whole process.
    if Image.MAX_IMAGE_PIXELS and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        source = BytesIO(source)
    elif not (isinstance(source, str | os.PathLike | Image.Image) or hasattr(source, "read")):
        raise TypeError(f"{type(source).__name__} is not an image, path, bytes or binary file")
    wanted = Wanted(Budget(max_pixels), least, srgb)
    try:
        if not isinstance(source, str | os.PathLike | Image.Image) and not source.seekable():
            source = BytesIO(source.read())
        try:
            return _read(source, wanted)
        except Warning:
            # The caller turns warnings into errors. That setting holds for the whole process, so it
            # is only changed if there is a warning, by one thread at a time.
            with _WARNINGS, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _read(source, wanted)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("not enough memory to decode the image", "too large") from None
    except FileNotFoundError as error:
        raise ImageError(_line(error.strerror or error), "missing") from error
    except UnidentifiedImageError as error:  # its text contains the address of an object
        raise ImageError("damaged at its start") from error
    except OSError as error:
        raise ImageError(_line(error.strerror or error)) from error
    except Exception as error:
        # The decoders of Pillow raise many kinds of errors for damaged files: struct.error,
        # SyntaxError, ValueError, IndexError and others. All mean that the image is unreadable.
        raise ImageError(f"damaged image ({_line(error)})") from error


def _read(source: str | os.PathLike[str] | BinaryIO | Image.Image, wanted: Wanted) -> Opened:
    if isinstance(source, Image.Image):
        with _CALLERS:  # several threads may have this image, and it may not be loaded yet
            # In full, as a draft would shrink the caller's image.
            held = 4 * source.width * source.height  # which the caller has already
            return finish(source, replace(wanted, least=0), source.load, -held)
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            return read_file(file, wanted)
    return read_file(source, wanted)


def keep_memory(threads: int) -> None:
    """Let Pillow reuse the memory of images, unless the process has already set that up.

    Otherwise the C library returns the memory of large images to the system, which clears it before
    each use. Pillow keeps `threads` + 1 blocks of up to 16 MiB for the whole process; keeping more
    costs time if images have different sizes.

    Args:
        threads: number of threads that read images.
    """
    allocator: Any = Image.core  # type: ignore[attr-defined]  # documented, but without types
    if not allocator.get_blocks_max():
        allocator.set_blocks_max(threads + 1)


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:  # noqa: PLR2004
        raise ImageError(f"an array must be uint8 (H, W, 3), not {array.dtype} {array.shape}")
    return Image.fromarray(array)


def _line(error: object) -> str:
    """Return the text of an error on one line."""
    return " ".join(str(error).split()) or type(error).__name__
