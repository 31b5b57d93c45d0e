"""Bytes to pixels: the one way maskspot reads an image, in training and in prediction alike."""

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
"""Times the network's input that a JPEG decoded at a part of its size keeps at least, each way."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's square input: a property of the model.

    Attributes:
        size: side of the square, in pixels.
        fit: `squash` scales width and height apart to fill the square; `pad` keeps the
            proportions and centres the image on grey (128).
        filter: Pillow's resampling filter. All but `nearest` are antialiased.
        reduce: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where its sides keep so many
            times `size`; 0 decodes it in full.
        srgb: an image with an ICC profile of other colours is brought to sRGB.
    """

    size: int = 256
    fit: str = "squash"
    filter: str = "bilinear"
    reduce: int = 0
    srgb: bool = False

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 16 <= self.size <= 4096:  # noqa: PLR2004
            raise UsageError(f"size: {self.size!r} is not a whole number from 16 to 4096")
        if self.fit not in FITS:
            raise UsageError(f"fit: {self.fit!r} is not one of {', '.join(FITS)}")
        if self.filter not in FILTERS:
            raise UsageError(f"filter: {self.filter!r} is not one of {', '.join(FILTERS)}")
        if type(self.reduce) is not int or not 0 <= self.reduce <= 16:  # noqa: PLR2004
            raise UsageError(f"reduce: {self.reduce!r} is not a whole number from 0 to 16")
        if type(self.srgb) is not bool:
            raise UsageError(f"srgb: {self.srgb!r} is not true or false")

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
            raise ImageError("not enough memory to resize it", "too large") from None

    def open(
        self, source: ImageSource, max_pixels: int = MAX_PIXELS, draft: bool | None = None
    ) -> Opened:
        """Read an image.

        Args:
            source: the image.
            max_pixels: it is refused if it has more.
            draft: decode JPEGs at a part of their size, or in full; None does as `reduce` says.

        Raises:
            ImageError: it cannot be read.
        """
        times = self.reduce if draft is None else draft * (self.reduce or REDUCE)
        return open_image(source, max_pixels, times * self.size, self.srgb)

    def read(self, source: ImageSource, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
        """Read `source` and return uint8 (size, size, 3); raises `ImageError`."""
        return self.apply(self.open(source, max_pixels).rgb)

    def crop(self, grid: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        """Return the part of a grid over the network's input that lies over the image.

        Args:
            grid: (h, w).
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
        """Return plain values, as they stand in a model file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Return what `to_dict` was made from; raises `UsageError` or `KeyError`."""
        later = {"reduce": values.get("reduce", 0), "srgb": values.get("srgb", False)}
        return cls(values["size"], values["fit"], values["filter"], **later)


def read_image(source: ImageSource, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return an image's pixels, upright, as RGB uint8 of shape (H, W, 3).

    Raises:
        ImageError: it is missing, empty, truncated, no image, or larger than `max_pixels`.
    """
    return np.asarray(open_rgb(source, max_pixels))


def open_rgb(source: ImageSource, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return an image decoded, upright and in mode RGB: `read_image` without its last copy."""
    return open_image(source, max_pixels).rgb


def open_image(
    source: ImageSource, max_pixels: int = MAX_PIXELS, least: int = 0, srgb: bool = False
) -> Opened:
    """Read an image, and say what it was.

    Args:
        source: the image.
        max_pixels: it is refused if it has more.
        least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, by its decoder, if width and
            height keep this many pixels; 0 for never.
        srgb: bring the colours of an embedded ICC profile to sRGB.

    Raises:
        ImageError: it is missing, empty, truncated, no image, or larger than `max_pixels`.
    """
    # Asked for more than Pillow's own guard allows, we must lift that too: it is one
    # number for the process.
    if Image.MAX_IMAGE_PIXELS and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        source = BytesIO(source)
    elif not (isinstance(source, str | os.PathLike | Image.Image) or hasattr(source, "read")):
        raise TypeError(f"a {type(source).__name__} is no image, path, bytes or binary file")
    wanted = Wanted(Budget(max_pixels), least, srgb)
    try:
        if not isinstance(source, str | os.PathLike | Image.Image) and not source.seekable():
            source = BytesIO(source.read())
        try:
            return _read(source, wanted)
        except Warning:
            # The caller turned warnings into errors. Which they are is one setting for the
            # process, so it is changed only then, and by one thread at a time.
            with _WARNINGS, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return _read(source, wanted)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("not enough memory to decode it", "too large") from None
    except FileNotFoundError as error:
        raise ImageError(_line(error.strerror or error), "missing") from error
    except UnidentifiedImageError as error:  # whose text has an object's address in it
        raise ImageError("damaged from its start") from error
    except OSError as error:
        raise ImageError(_line(error.strerror or error)) from error
    except Exception as error:
        # Pillow's decoders raise whatever a damaged file leads them to: struct.error,
        # SyntaxError, ValueError, IndexError... Each means that this image is unreadable.
        raise ImageError(f"damaged image ({_line(error)})") from error


def _read(source: str | os.PathLike[str] | BinaryIO | Image.Image, wanted: Wanted) -> Opened:
    if isinstance(source, Image.Image):
        with _CALLERS:  # it may be in several threads' hands, and is not read yet
            # In full: a draft would shrink the caller's image.
            held = 4 * source.width * source.height  # are the caller's own
            return finish(source, replace(wanted, least=0), source.load, -held)
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            return read_file(file, wanted)
    return read_file(source, wanted)


def keep_memory(threads: int) -> None:
    """Let Pillow keep some images' memory for the next ones, unless it keeps any already.

    The C library would give that of large images back, and the system clear it each time: a tenth
    of the time of photos of 12 megapixels. What is kept is `threads` + 1 blocks of up to 16 MiB,
    for the whole process. With twice as many, images of mixed sizes cost more than they save.

    Args:
        threads: how many read images.
    """
    allocator: Any = Image.core  # type: ignore[attr-defined]  # in Pillow's documentation alone
    if not allocator.get_blocks_max():
        allocator.set_blocks_max(threads + 1)


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:  # noqa: PLR2004
        raise ImageError(f"an array must be uint8 (H, W, 3), not {array.dtype} {array.shape}")
    return Image.fromarray(array)


def _line(error: object) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__
