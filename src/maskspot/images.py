"""Bytes to pixels: the one way maskspot reads an image, in training and in prediction alike."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from maskspot.errors import ImageError, UsageError

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[np.uint8]
"""A path, the bytes of a file, an open binary file, a Pillow image, or RGB uint8 (H, W, 3)."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""What is decoded, told by content (never a format that runs a program, as EPS does); HEIC too
when its plug-in is installed."""

MAX_PIXELS = 2 * 89_478_485
"""Default limit on width x height: where Pillow itself refuses an image as a decompression bomb."""

FITS = ("squash", "pad")
FILTERS = {
    name: Image.Resampling[name.upper()]
    for name in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
}

# EXIF 2.32, tag 274: what undoes each orientation. Pillow's own exif_transpose
# rewrites the EXIF block too, and fails where that is damaged.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_SIDEWAYS = [turn for orientation, turn in _UPRIGHT.items() if orientation > 4]  # noqa: PLR2004


_CALLERS = Lock()

REDUCE = 2
"""Times the network's input that a JPEG decoded at a part of its size keeps at least, each way."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An image that was read.

    Attributes:
        rgb: its pixels, upright, in mode RGB; fewer than width x height where they were reduced.
        width: of the image, upright, in pixels.
        height: likewise.
        format: JPEG, PNG..., by its content; None for pixels that are no file.
    """

    rgb: Image.Image
    width: int
    height: int
    format: str | None


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
        """Return an RGB image as uint8 of shape (size, size, 3)."""
        shape, resample = (self.size, self.size), FILTERS[self.filter]
        if self.fit == "pad":
            image = ImageOps.pad(image, shape, resample, color=(128, 128, 128))
        elif image.size != shape:
            image = image.resize(shape, resample)
        return np.asarray(image)

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
    try:
        if isinstance(source, Image.Image):
            with _CALLERS:  # it may be in several threads' hands, and is not read yet
                return _to_rgb(source, max_pixels, 0, srgb)  # in full: a draft would shrink it
        if isinstance(source, str | os.PathLike):
            with Path(source).open("rb") as file:
                return _decode(file, max_pixels, least, srgb)
        return _decode(source, max_pixels, least, srgb)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("not enough memory to decode it") from None
    except FileNotFoundError as error:
        raise ImageError(_line(error.strerror or error), "missing") from error
    except OSError as error:
        raise ImageError(_line(error.strerror or error)) from error
    except Exception as error:
        # Pillow's decoders raise whatever a damaged file leads them to: struct.error,
        # SyntaxError, ValueError, IndexError... Each means that this image is unreadable.
        raise ImageError(f"damaged image ({_line(error)})") from error


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


def _decode(file: BinaryIO, max_pixels: int, least: int, srgb: bool) -> Opened:
    if not file.seekable():
        file = BytesIO(file.read())
    image: Image.Image
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        image = _open_heif(file)
    except Image.DecompressionBombError:
        raise ImageError(f"more than the limit of {max_pixels:,} pixels", "too large") from None
    with image:
        return _to_rgb(image, max_pixels, least, srgb)


def _open_heif(file: BinaryIO) -> Image.Image:
    """Open what Pillow alone did not know, if it is HEIC and the plug-in is installed."""
    file.seek(0)
    head = file.read(12)
    if not head:
        raise ImageError("empty file")
    if head[4:8] != b"ftyp" or head[8:] not in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        raise ImageError(f"not an image, or damaged from its start (known: {', '.join(FORMATS)})")
    try:
        import pillow_heif
    except ImportError:
        raise ImageError("HEIC image: pip install 'maskspot[heic]' to read it") from None
    pillow_heif.register_heif_opener()
    return Image.open(file, formats=("HEIF",))


def _to_rgb(image: Image.Image, max_pixels: int, least: int, srgb: bool) -> Opened:
    (width, height), format = image.size, image.format
    if width * height > max_pixels:
        raise ImageError(
            f"{width} x {height} is more than the limit of {max_pixels:,} pixels", "too large"
        )
    if least:
        image.draft(None, (least, least))
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    rgb = _flatten(image, image.info.get("icc_profile") if srgb else None)
    if turn is not None:
        rgb = rgb.transpose(turn)
    if turn in _SIDEWAYS:
        width, height = height, width
    return Opened(rgb, width, height, format)


def _flatten(image: Image.Image, profile: object) -> Image.Image:
    """Return decoded pixels in mode RGB, without transparency, their colours sRGB's."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _deep_grey_to_8_bit(image)
    elif image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        alpha = image.convert("RGBA")
        seen = _opaque(alpha.convert("L" if image.mode in ("L", "LA") else "RGB"), profile)
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(seen, mask=alpha.getchannel("A"))
        return rgb
    return _opaque(image, profile)


def _opaque(image: Image.Image, profile: object) -> Image.Image:
    if profile:
        from maskspot.colours import to_srgb

        plain = image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")
        image = to_srgb(plain, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a damaged EXIF block must not cost us the pixels
        return 1


_STRIP = 2**20  # pixels


def _deep_grey_to_8_bit(image: Image.Image) -> Image.Image:
    """Bring 16- and 32-bit integers and floats to 0..255.

    16-bit data span 0..65535. Others do not say what white is, so it is the least usual value
    (1 for floats; 255; 65535) that all but holds them, or else their peak.
    """
    pixels = np.asarray(image)
    grey = np.empty(pixels.shape, np.uint8)

    def strips() -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Give some rows at a time: of all at once, the floats would be eight times an image."""
        step = max(1, _STRIP // pixels.shape[1])
        for top in range(0, len(pixels), step):
            rows = slice(top, top + step)
            with np.errstate(invalid="ignore"):  # what is no number becomes black
                yield rows, np.nan_to_num(pixels[rows].astype(np.float64))

    peak = max((float(values.max()) for _, values in strips()), default=0.0)
    usual = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(image.mode, (65535.0,))
    white = next((value for value in usual if peak <= 1.1 * value), peak)
    transparent = image.info.get("transparency")
    for rows, values in strips():
        grey[rows] = np.rint(values.clip(0, white) * (255 / white))
        if isinstance(transparent, int):
            grey[rows][values == transparent] = 255
    return Image.fromarray(grey)


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:  # noqa: PLR2004
        raise ImageError(f"an array must be uint8 (H, W, 3), not {array.dtype} {array.shape}")
    return Image.fromarray(array)


def _line(error: object) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split()) or type(error).__name__
