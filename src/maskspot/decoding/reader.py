"""Reading one file: detect its format, check limits, decode, turn upright, convert to RGB."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO, cast

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from maskspot.decoding import jpeg, png, tiff
from maskspot.decoding.animations import first_frame, uncovered
from maskspot.decoding.budget import Budget
from maskspot.decoding.flatten import flatten
from maskspot.decoding.heif import open_other
from maskspot.errors import ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Supported formats, detected by content; none of them runs a program, as EPS does. HEIC is
supported if its plug-in is installed."""

_HEAD = 32
"""Bytes from which the format is detected, and in most formats the size."""

# What undoes each orientation (EXIF 2.32, tag 274). Pillow's exif_transpose also rewrites the
# EXIF block, and fails if that is damaged.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = [turn for orientation, turn in _UPRIGHT.items() if orientation > 4]


@dataclass(frozen=True, slots=True)
class Opened:
    """An image that was read.

    Attributes:
        rgb: the upright image in mode RGB; smaller than width x height if it was reduced.
        width: width of the upright image in pixels.
        height: height of the upright image in pixels.
        format: JPEG, PNG and so on, by content; None for pixels without a file.
    """

    rgb: Image.Image
    width: int
    height: int
    format: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to read an image.

    Attributes:
        budget: limits on decoding.
        least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if width and height keep at
            least this many pixels; 0 for never.
        srgb: convert images with an embedded ICC profile to sRGB.
    """

    budget: Budget
    least: int = 0
    srgb: bool = False


def read_file(file: BinaryIO, wanted: Wanted) -> Opened:
    """Read an image from a seekable file.

    Raises:
        ImageError: it cannot be read, for a known reason.
        Exception: it is damaged; the decoders of Pillow raise many kinds of errors.
    """
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith(jpeg.MAGIC):
        data = file.read()
        image, header = jpeg.open_jpeg(data, wanted.budget)
        with image:
            load = image.load if header is None else partial(jpeg.load_jpeg, image, data, header)
            return finish(image, wanted, load, 0 if header is None else header.memory)
    if head.startswith(png.MAGIC):
        return _read_png(file, head, wanted)
    if head.startswith(tiff.MAGIC):
        with tiff.open_tiff(file, wanted.budget) as picture:
            return finish(picture, wanted, picture.load)
    with _open(file, head, wanted.budget) as picture:
        return finish(picture, wanted, partial(_load, picture, file))


def _open(file: BinaryIO, head: bytes, budget: Budget) -> Image.Image:
    if head[8:12] == b"WEBP" and head[12:16] == b"VP8X":
        # Its decoder allocates the canvas when the file is opened.
        budget.check_size(*(int.from_bytes(head[i : i + 3], "little") + 1 for i in (24, 27)))
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        return open_other(file, FORMATS)
    except Image.DecompressionBombError:
        text = f"more than the limit of {budget.pixels:,} pixels"
        raise ImageError(text, "too large") from None


def _load(image: Image.Image, file: BinaryIO) -> Image.Image:
    """Decode an image that may be an animation."""
    box = first_frame(image, file)
    image.load()
    return image if box is None else uncovered(image, box)


def _read_png(file: BinaryIO, head: bytes, wanted: Wanted) -> Opened:
    def read(stream: BinaryIO) -> Opened:
        with _open(stream, head, wanted.budget) as image:
            png.mend_transparency(image, head)
            deep = png.has_deep_transparency(image, head)
            decode = png.load_deep if deep else _load
            return finish(image, wanted, partial(decode, cast("ImageFile", image), stream))

    try:
        return read(file)
    except (ImageError, MemoryError, Warning) as error:
        if getattr(error, "status", "") != "unreadable":
            raise
        problem: Exception = error
    except Exception as error:
        problem = error
    file.seek(0)
    mended = png.without_damage(file.read())
    if mended is None:
        raise problem
    return read(BytesIO(mended))


def finish(image: Image.Image, wanted: Wanted, load: Callable[[], Any], memory: int = 0) -> Opened:
    """Decode an image, turn it upright, and convert it to mode RGB.

    Args:
        image: the image, opened but not decoded.
        wanted: how to read it.
        load: decodes it, in place or as the image that it returns.
        memory: additional memory of its decoder, in bytes.
    """
    (width, height), format = image.size, image.format
    wanted.budget.check_size(width, height)
    if wanted.least:
        image.draft(None, (wanted.least, wanted.least))
    wanted.budget.check(image, memory)
    loaded = load()
    turn = _UPRIGHT.get(_orientation(image))
    profile = image.info.get("icc_profile") if wanted.srgb else None
    if isinstance(loaded, Image.Image):
        image = loaded
    if turn is not None:
        wanted.budget.check(image, 4 * image.width * image.height)
    rgb = flatten(image, profile)
    if turn is not None:
        rgb = rgb.transpose(turn)
    if turn in _SIDEWAYS:
        width, height = height, width
    return Opened(rgb, width, height, format)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Warning:  # which the caller turned into an error
        raise
    except Exception:  # the pixels may be fine although the EXIF block is damaged
        return 1
