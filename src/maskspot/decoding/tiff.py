"""TIFF: which layouts of samples Pillow decodes rightly, and the others, decoded here or refused.

Pillow knows a table of layouts. For some that are not in it, it says that the file is no image; for
some that are (planes of 16 bits, 12 bits, deep samples whose least is white) its pixels are wrong.
So the tags are read first, and only layouts that `tests/decoding/test_tiff.py` compares with a
reference decoder are given to Pillow.
"""

from typing import BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from maskspot.decoding.budget import Budget
from maskspot.decoding.tiff_layout import (
    ASSOCIATED,
    FLOAT,
    RAW,
    SIGNED,
    UNSIGNED,
    TiffLayout,
    numbers,
    read_layout,
    read_tags,
)
from maskspot.decoding.tiff_samples import bytes_to_a_pixel, decode
from maskspot.errors import ImageError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_PLAIN = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions that give back the bytes that went in, whatever these stand for."""

_BY_LIBTIFF = (2, 3, 4, 6, 7, 32809)
"""Compressions of pixels, which libtiff undoes in Pillow."""

_IN_PILLOW = {
    (0, 1): (1, 2, 4, 8),
    (1, 1): (1, 2, 4, 8, 16),
    (2, 3): (8, 16),
    (2, 4): (8, 16),
    (3, 1): (1, 2, 4, 8),
    (3, 2): (8,),
    (5, 4): (8,),
    (6, 3): (8,),
}
"""Depths of unsigned samples that Pillow decodes rightly, by photometric interpretation and number
of samples."""


def open_tiff(file: BinaryIO, budget: Budget) -> Image.Image:
    """Open a TIFF's first image: as Pillow does where that is right, and decoded here otherwise.

    Args:
        file: at its start.
        budget: what decoding may take.

    Raises:
        ImageError: its layout is not supported, it is damaged, or beyond the limits.
    """
    tags = read_tags(file)
    layout = read_layout(tags)
    budget.check_size(layout.width, layout.height)
    size = _check_parts(layout, budget)
    file.seek(0)
    if _right_in_pillow(layout, tags):
        opened = Image.open(file, formats=("TIFF",))
        # Pillow turns it upright by itself.
        turned = 4 * layout.width * layout.height * (numbers(tags, 274, (1,)) != (1,))
        budget.check(opened, size * (layout.compression != RAW) + turned)
        _mend_palette(opened, tags)
        return opened
    reason = _not_supported(layout, tags)
    if reason:
        raise ImageError(f"this kind of TIFF is not supported: {layout} ({reason})", "unsupported")
    pixels = layout.width * layout.height
    # A part's bytes, and the numbers made of them; then the image's, and what it becomes.
    plain = layout.bits[0] in (8, 16, 32, 64) and layout.predictor == 1
    budget.check_bytes(size * (2 if plain else 8) + pixels * (bytes_to_a_pixel(layout) + 8))
    image = decode(file, layout)
    image.format = "TIFF"
    if isinstance(tags.get(34675), bytes):
        image.info["icc_profile"] = tags[34675]
    if tags.get(274, 1) != 1:
        image.getexif()[274] = tags[274]
    return image


def _check_parts(layout: TiffLayout, budget: Budget) -> int:
    """Count strips and tiles before anything is decoded, and return the bytes of one."""
    width, rows = layout.chunk
    if width < 1 or rows < 1:
        raise ImageError("damaged TIFF: its strips or tiles have no size")
    budget.check_parts(len(layout.offsets), "strips or tiles")
    samples = 1 if layout.planar else layout.samples
    size = -(-width * samples * max(layout.bits) // 8) * rows
    budget.check_bytes(size, "a tile of it")
    return size


def _right_in_pillow(layout: TiffLayout, tags: ImageFileDirectory_v2) -> bool:
    """Say whether Pillow's pixels are those of the reference decoders."""
    photometric, depth = layout.photometric, layout.bits[0]
    if {*layout.bits} != {depth} or {*layout.kinds} != {UNSIGNED}:
        return False
    if depth not in _IN_PILLOW.get((photometric, layout.samples), ()):
        return False
    if layout.compression == RAW and (
        numbers(tags, 284, (1,)) == (2,)
        or (photometric == 6 and numbers(tags, 530, (2, 2)) != (1, 1))
    ):
        return False
    reversed_well = photometric == 3 or depth == 1 or layout.compression in _BY_LIBTIFF
    return (
        not layout.planar
        and layout.compression in (*_PLAIN, *_BY_LIBTIFF)
        and (layout.fill_order == 1 or reversed_well)
    )


def _mend_palette(image: Image.Image, tags: ImageFileDirectory_v2) -> None:
    """Take a palette of 8-bit values for what it is, as libtiff does; TIFF's have 16 bits."""
    entries = numbers(tags, 320, ())
    if image.mode == "P" and entries and max(entries) < 256:
        third = len(entries) // 3
        image.putpalette([entries[i + third * c] for i in range(third) for c in range(3)])


def _not_supported(layout: TiffLayout, tags: ImageFileDirectory_v2) -> str:
    """Return why the samples cannot be decoded here, or nothing."""
    depth, kind, lab = layout.bits[0], layout.kinds[0], layout.photometric in (8, 9)
    depths = {UNSIGNED: range(1, 33), SIGNED: (32,), FLOAT: (16, 32, 64)}.get(kind, ())
    if lab:
        depths = (8, 16) if kind == UNSIGNED else ()
    elif layout.photometric == 0 and kind != UNSIGNED:
        depths = ()  # the reference decoders do not agree on what is white
    predictors = {1} | ({2} if depth in (8, 16, 32) else set()) | ({3} if kind == FLOAT else set())
    reasons = {
        "samples of several kinds": len({*layout.bits}) > 1 or len({*layout.kinds}) > 1,
        "colours": layout.photometric not in (0, 1, 2, 5, 8, 9),
        "depth": depth not in depths,
        "alpha": lab and layout.extra[:1] == (ASSOCIATED,),
        "compression": layout.compression not in _PLAIN,
        f"predictor {layout.predictor}": layout.predictor not in predictors,
        "inks that are not CMYK": layout.photometric == 5 and numbers(tags, 332, (1,)) != (1,),
        "samples are missing": layout.samples < layout.colours,
    }
    return next((reason for reason, true in reasons.items() if true), "")
