"""Animations: the first frame, transparent where it does not cover the canvas, as in browsers."""

from typing import Any, BinaryIO

from PIL import Image

Box = tuple[int, int, int, int]
"""Left, upper, right, lower."""


def first_frame(image: Image.Image, file: BinaryIO) -> Box | None:
    """Return the part of an image that its first frame covers; None if it covers all of it.

    Args:
        image: the image, opened but not decoded.
        file: the file that it was opened from.
    """
    box: Box | None = None
    if image.format == "WEBP" and getattr(image, "is_animated", False):
        box = _webp_frame(file)
    elif image.format in ("GIF", "PNG"):
        tiles: list[Any] = getattr(image, "tile", [])
        box = tiles[0][1] if len(tiles) == 1 else None
    return None if box == (0, 0, *image.size) else box


def uncovered(image: Image.Image, box: Box) -> Image.Image:
    """Return a decoded image in mode RGBA, transparent outside of its first frame."""
    found = Image.new("RGBA", image.size)
    found.paste(image.crop(box).convert("RGBA"), box)
    return found


def _webp_frame(file: BinaryIO) -> Box | None:
    """Return the area of the first frame, from its chunk, whose numbers have three bytes."""
    at = 12
    while True:
        file.seek(at)
        head = file.read(20)
        if len(head) < 20:
            return None
        if head[:4] == b"ANMF":
            numbers = (int.from_bytes(head[i : i + 3], "little") for i in (8, 11, 14, 17))
            left, top, width, height = numbers
            return 2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1
        size = int.from_bytes(head[4:8], "little")
        at += 8 + size + size % 2
