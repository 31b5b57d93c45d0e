"""PNG: transparency in every depth, and damage in chunks that are not pixels."""

import struct
import zlib
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

MAGIC = b"\x89PNG\r\n\x1a\n"

_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_WORTH = (b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT")
"""Other chunks that change what is seen, kept where they are whole."""

_LONGEST = 2**20
"""Bytes beyond which Pillow refuses an image for its text or profile."""


def without_damage(file: bytes) -> bytes | None:
    """Return a PNG without its damaged chunks, and without those that do not change the pixels.

    Args:
        file: what could not be read.

    Returns:
        None if there is nothing to leave out.
    """
    at, kept = len(MAGIC), [MAGIC]
    while at + 12 <= len(file):
        length, name = struct.unpack_from(">I4s", file, at)
        end = at + 12 + length
        chunk = file[at:end]
        whole = len(chunk) == end - at and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])
        if name in _PIXELS or (name in _WORTH and whole and not _is_bomb(name, chunk)):
            kept.append(chunk)
        at = end
    mended = b"".join(kept)
    return mended if len(mended) < len(file) else None


def _is_bomb(name: bytes, chunk: bytes) -> bool:
    if name != b"iCCP":
        return False
    packed = chunk[8:-4].partition(b"\0")[2][1:]
    try:
        return len(zlib.decompressobj().decompress(packed, _LONGEST + 1)) > _LONGEST
    except zlib.error:
        return True


def mend_transparency(image: Image.Image, head: bytes) -> None:
    """Bring a transparent grey to the 8 bits that Pillow gives of one to four.

    Args:
        image: a PNG that was opened.
        head: its first bytes.
    """
    transparent = image.info.get("transparency")
    depth = head[24]
    if isinstance(transparent, int) and image.mode == "L":
        image.info["transparency"] = (transparent & (2**depth - 1)) * 255 // (2**depth - 1)
    elif isinstance(transparent, tuple) and depth == 8:
        image.info["transparency"] = tuple(each & 255 for each in transparent)


def has_deep_transparency(image: Image.Image, head: bytes) -> bool:
    """Say whether a PNG has colours of 16 bits, one of which is transparent."""
    return head[24:26] == b"\x10\x02" and isinstance(image.info.get("transparency"), tuple)


def load_deep(image: ImageFile, file: BinaryIO) -> Image.Image:
    """Decode colours of 16 bits, one of which is transparent, to mode RGBA.

    Pillow compares the transparent colour with the upper bytes alone. So the image is decoded
    again, to its lower bytes.

    Args:
        image: opened, not decoded yet.
        file: what it was opened from.
    """
    colour = image.info["transparency"]
    image.load()
    del image.info["transparency"]
    file.seek(0)
    lower = Image.open(file, formats=("PNG",))
    lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]
    opaque = np.full(image.size[::-1], False)
    for part, shift in ((image, 8), (lower, 0)):
        opaque |= (np.asarray(part) != [each >> shift & 255 for each in colour]).any(axis=2)
    found = image.convert("RGBA")
    found.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return found
