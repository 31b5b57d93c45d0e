"""What decoding one image may take, counted from its header before anything is decoded."""

from dataclasses import dataclass
from typing import NoReturn

from PIL import Image

from maskspot.errors import ImageError

MAX_PIXELS = 2 * 89_478_485
"""Default limit on width x height: where Pillow itself refuses an image as a decompression bomb."""

MAX_BYTES = 400_000_000
"""Memory that decoding an image may take, its file not counted, up to the default limit on pixels;
beyond that, it grows with the limit."""

MAX_PARTS = 100_000
"""Strips or tiles that a TIFF may have: each takes time, whatever is in it."""

_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
"""Bytes that Pillow takes for a pixel, by mode; four in all others."""

_DEEP = {"I;16": 4, "I;16B": 4, "I;16L": 4, "I": 6, "F": 6}
"""Bytes a pixel for the copies in which deep samples are brought to 8 bits."""

_EXTRA = {"WEBP": 12, "AVIF": 12, "HEIF": 12}
"""Bytes a pixel that a format's decoder takes besides: canvases, planes, and copies."""

_COLUMN, _ROW = 48, 1024
"""Bytes that resizing to the network's input takes: weights for each column and row, and rows that
are as wide as the result already."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one image may take.

    Attributes:
        pixels: width x height.
    """

    pixels: int = MAX_PIXELS

    @property
    def bytes(self) -> int:
        """Memory that decoding may take."""
        return MAX_BYTES * max(self.pixels, MAX_PIXELS) // MAX_PIXELS

    def check_size(self, width: int, height: int) -> None:
        """Raise `ImageError` if an image has too many pixels."""
        if width * height > self.pixels:
            text = f"{width} x {height} is more than the limit of {self.pixels:,} pixels"
            raise ImageError(text, "too large")

    def check_bytes(self, size: int, what: str = "decoding it") -> None:
        """Raise `ImageError` if decoding takes too much memory."""
        if size > self.bytes:
            self.refuse(f"{what} takes {size / 1e6:,.0f} MB of memory", f"{self.bytes / 1e6:,.0f}")

    def check_parts(self, count: int, what: str) -> None:
        """Raise `ImageError` if an image consists of too many parts."""
        if count > MAX_PARTS:
            self.refuse(f"it has {count:,} {what}", f"{MAX_PARTS:,}")

    def refuse(self, text: str, limit: str) -> NoReturn:
        """Raise an `ImageError` that says what is over which limit."""
        raise ImageError(f"{text}, more than the limit of {limit}", "too large")

    def check(self, image: Image.Image, more: int = 0) -> None:
        """Raise `ImageError` if decoding an image that was opened takes too much memory.

        Args:
            image: not decoded yet; a JPEG's size is the one at which it will be.
            more: bytes that are taken besides.
        """
        width, height = image.size
        pixel = _PIXEL.get(image.mode, 4) + _EXTRA.get(image.format or "", 0)
        pixel += 4 * (image.mode != "RGB") + _DEEP.get(image.mode, 0)
        self.check_bytes(pixel * width * height + _COLUMN * width + _ROW * height + more)
