"""PNG: transparency in every bit depth, and damaged chunks other than pixels."""

import struct
import zlib
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

MAGIC = b"\x89PNG\r\n\x1a\n"

_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_WORTH = (b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT")
"""Other chunks that change the result; they are kept unless they are damaged."""

_LONGEST = 2**20
"""Size in bytes of a text or profile beyond which Pillow refuses an image."""


def without_damage(file: bytes) -> bytes | None:
    """Return a PNG without damaged chunks and without those that do not change the pixels.

    Args:
        file: the bytes of a file that could not be read.

    Returns:
        None if all chunks are needed.
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
    """Convert a transparent grey to the 8 bits to which Pillow converts the pixels.

    Args:
        image: a PNG, opened.
        head: the first bytes of the file.
    """
    transparent = image.info.get("transparency")
    depth = head[24]
    if isinstance(transparent, int) and image.mode == "L":
        image.info["transparency"] = (transparent & (2**depth - 1)) * 255 // (2**depth - 1)
    elif isinstance(transparent, tuple) and depth == 8:
        image.info["transparency"] = tuple(each & 255 for each in transparent)


def has_deep_transparency(image: Image.Image, head: bytes) -> bool:
    """Return whether a PNG has 16-bit colours, one of which is transparent."""
    return head[24:26] == b"\x10\x02" and isinstance(image.info.get("transparency"), tuple)


def load_deep(image: ImageFile, file: BinaryIO) -> Image.Image:
    """Decode 16-bit colours, one of which is transparent, to mode RGBA.

    Pillow compares only the upper bytes with the transparent colour, so the image is decoded a
    second time for the lower bytes.

    Args:
        image: the image, opened but not decoded.
        file: the file that it was opened from.
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
