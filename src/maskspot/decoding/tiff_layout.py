"""The layout of the samples in a TIFF, from its tags."""

from dataclasses import dataclass
from typing import BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from maskspot.errors import ImageError

COLOURS = {
    0: ("grey (0 is white)", 1), 1: ("grey", 1), 2: ("RGB", 3), 3: ("palette", 1), 4: ("mask", 1),
    5: ("CMYK", 4), 6: ("YCbCr", 3), 8: ("Lab", 3), 9: ("ICC Lab", 3), 10: ("ITU Lab", 3),
    32803: ("raw camera data", 1), 32844: ("LogL", 1), 32845: ("LogLuv", 3),
    34892: ("linear raw camera data", 3),
}  # fmt: skip
"""Photometric interpretations of TIFF, and the number of samples of each."""

_KINDS = {1: "integer", 2: "signed integer", 3: "float", 4: "untyped", 5: "complex", 6: "complex"}
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
RAW, OLD_JPEG = 1, 6
ASSOCIATED = 1  # premultiplied alpha

_COMPRESSIONS = {
    1: "uncompressed", 2: "CCITT", 3: "CCITT group 3", 4: "CCITT group 4", 5: "LZW",
    6: "old JPEG", 7: "JPEG", 8: "deflate", 32773: "PackBits", 32809: "ThunderScan",
    32946: "deflate", 34676: "SGI log", 34677: "SGI log 24", 34712: "JPEG 2000", 34925: "LZMA",
    50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """The layout of the samples in a TIFF: its tags, by their names in TIFF 6.0."""

    order: str
    width: int
    height: int
    bits: tuple[int, ...]
    kinds: tuple[int, ...]
    photometric: int
    extra: tuple[int, ...]
    planar: bool
    compression: int
    predictor: int
    fill_order: int
    tiled: bool
    chunk: tuple[int, int]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Number of samples per pixel."""
        return len(self.bits)

    @property
    def colours(self) -> int:
        """Number of samples that are colours; those after them are alpha or anything else."""
        return COLOURS.get(self.photometric, ("", self.samples))[1]

    def __str__(self) -> str:
        """Return a description such as `32-bit float RGB, planar, LZW`."""
        depths = "/".join(map(str, sorted(set(self.bits))))
        kind = " and ".join(_KINDS.get(each, "unknown") for each in sorted(set(self.kinds)))
        colour = COLOURS.get(self.photometric, (f"photometric {self.photometric}", 0))[0]
        more = self.samples - self.colours
        words = [f"{depths}-bit {kind} {colour}" + (f" with {more} extra samples" if more else "")]
        words += ["planar"] if self.planar else []
        words.append(_COMPRESSIONS.get(self.compression, f"compression {self.compression}"))
        return ", ".join(words)


def not_supported(layout: TiffLayout, reason: str) -> ImageError:
    """Return the error for a layout that is not decoded."""
    text = f"this kind of TIFF is not supported: {layout} ({reason}); save it as PNG"
    return ImageError(text, "unsupported")


def read_tags(file: BinaryIO) -> ImageFileDirectory_v2:
    """Read the tags of the first image in a TIFF."""
    head = file.read(8)
    if head[2:4] in (b"+\0", b"\0+"):
        head += file.read(8)
    tags = ImageFileDirectory_v2(head)
    file.seek(tags.next)
    tags.load(file)
    return tags


def numbers(tags: ImageFileDirectory_v2, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers of a tag, one or several."""
    found = tags.get(tag, default)
    return tuple(map(int, found)) if isinstance(found, tuple) else (int(found),)


def read_layout(tags: ImageFileDirectory_v2) -> TiffLayout:
    """Read the layout of an image.

    Raises:
        ImageError: it has no width, height or pixels.
    """

    def number(tag: int, default: int) -> int:
        return numbers(tags, tag, (default,))[0]

    if 256 not in tags or 257 not in tags:
        raise ImageError("damaged TIFF: no width or height")
    width, height, compression = number(256, 0), number(257, 0), number(259, RAW)
    old = compression == OLD_JPEG
    samples = number(277, 3 if old else 1)
    if not 1 <= samples <= 65535 or width < 1 or height < 1:
        raise ImageError("damaged TIFF: no pixels")
    bits = numbers(tags, 258, (1,))[:samples]
    kinds = numbers(tags, 339, (UNSIGNED,))[:samples]
    tiled = 322 in tags
    chunk = (number(322, width), number(323, height))
    return TiffLayout(
        order=">" if tags.prefix == b"MM" else "<",
        width=width,
        height=height,
        bits=bits * samples if len(bits) == 1 else bits,
        kinds=kinds,
        photometric=6 if old else number(262, 0),
        extra=numbers(tags, 338, ()),
        planar=number(284, 1) == 2 and samples > 1,
        compression=compression,
        predictor=number(317, 1),
        fill_order=number(266, 1),
        tiled=tiled,
        chunk=chunk if tiled else (width, min(height, number(278, height))),
        offsets=numbers(tags, 324 if tiled else 273, ()),
        counts=numbers(tags, 325 if tiled else 279, ()),
    )
