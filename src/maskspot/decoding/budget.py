"""Limits on decoding one image, applied to its header before anything is decoded."""

from dataclasses import dataclass
from typing import NoReturn

from PIL import Image

from maskspot.errors import ImageError

MAX_PIXELS = 2 * 89_478_485
"""Default limit on width x height: beyond it Pillow itself reports a decompression bomb."""

MAX_BYTES = 400_000_000
"""Memory in bytes that decoding an image may take besides its file, with the default limit on
pixels. With a higher limit it grows in proportion."""

MAX_PARTS = 100_000
"""Largest number of strips or tiles of a TIFF; each takes time, whatever its content."""

_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes per pixel in Pillow by mode; four in all other modes."""

_DEEP = {"I;16": 4, "I;16B": 4, "I;16L": 4, "I": 6, "F": 6}
"""Bytes per pixel of the copies that are made to convert deep samples to 8 bits."""

_EXTRA = {"WEBP": 12, "AVIF": 12, "HEIF": 12}
"""Additional bytes per pixel of the decoder of a format: canvases, planes and copies."""

_COLUMN, _ROW = 48, 1024
"""Bytes per column and per row that resizing to the network's input takes: weights, and rows that
already have the width of the result."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on decoding one image.

    Attributes:
        pixels: largest width x height.
    """

    pixels: int = MAX_PIXELS

    @property
    def bytes(self) -> int:
        """Memory in bytes that decoding may take."""
        return MAX_BYTES * max(self.pixels, MAX_PIXELS) // MAX_PIXELS

    def check_size(self, width: int, height: int) -> None:
        """Raise `ImageError` if an image has too many pixels."""
        if width * height > self.pixels:
            text = f"{width} x {height} is more than the limit of {self.pixels:,} pixels"
            raise ImageError(text, "too large")

    def check_bytes(self, size: int, what: str = "decoding") -> None:
        """Raise `ImageError` if decoding takes too much memory."""
        if size > self.bytes:
            self.refuse(
                f"{what} takes {size / 1e6:,.0f} MB of memory", f"{self.bytes / 1e6:,.0f} MB"
            )

    def check_parts(self, count: int, what: str) -> None:
        """Raise `ImageError` if an image consists of too many parts."""
        if count > MAX_PARTS:
            self.refuse(f"it has {count:,} {what}", f"{MAX_PARTS:,}")

    def refuse(self, text: str, limit: str) -> NoReturn:
        """Raise an `ImageError` that names what exceeds which limit."""
        raise ImageError(f"{text}, more than the limit of {limit}", "too large")

    def check(self, image: Image.Image, more: int = 0) -> None:
        """Raise `ImageError` if decoding an image takes too much memory.

        Args:
            image: the image, opened but not decoded; a JPEG in the size in which it will be.
            more: additional memory in bytes.
        """
        width, height = image.size
        pixel = _PIXEL.get(image.mode, 4) + _EXTRA.get(image.format or "", 0)
        pixel += 4 * (image.mode != "RGB") + _DEEP.get(image.mode, 0)
        self.check_bytes(pixel * width * height + _COLUMN * width + _ROW * height + more)
