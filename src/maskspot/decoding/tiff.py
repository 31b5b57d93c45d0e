"""TIFF: layouts that Pillow decodes correctly, and others that are decoded here or refused.

Pillow has a table of layouts. It does not recognise files with some other layouts as images, and
decodes some in the table wrongly (planar 16-bit samples, 12-bit samples, deep samples where 0 is
white). So the tags are read first, and Pillow decodes only the layouts for which
`tests/decoding/test_tiff.py` compares it with a reference decoder.
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
    not_supported,
    numbers,
    read_layout,
    read_tags,
)
from maskspot.decoding.tiff_samples import bytes_to_a_pixel, decode
from maskspot.errors import ImageError

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_PLAIN = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions of bytes, independent of what these mean."""

_BY_LIBTIFF = (2, 3, 4, 6, 7, 32809)
"""Compressions of pixels, which libtiff decodes in Pillow."""

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
"""Bit depths of unsigned samples that Pillow decodes correctly, by photometric interpretation and
number of samples."""


def open_tiff(file: BinaryIO, budget: Budget) -> Image.Image:
    """Open the first image of a TIFF: by Pillow if that is correct, otherwise decoded here.

    Args:
        file: the file, at its start.
        budget: limits on decoding.

    Raises:
        ImageError: its layout is not supported, it is damaged, or it exceeds the budget.
    """
    tags = read_tags(file)
    layout = read_layout(tags)
    budget.check_size(layout.width, layout.height)
    size = _check_parts(layout, budget)
    file.seek(0)
    if _right_in_pillow(layout, tags):
        opened = Image.open(file, formats=("TIFF",))
        # Pillow turns it upright itself.
        turned = 4 * layout.width * layout.height * (numbers(tags, 274, (1,)) != (1,))
        budget.check(opened, size * (layout.compression != RAW) + turned)
        _mend_palette(opened, tags)
        return opened
    reason = _reason_against(layout, tags)
    if reason:
        raise not_supported(layout, reason)
    pixels = layout.width * layout.height
    # The bytes of a part and the samples made of them, then those of the image and the result.
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
    """Check strips or tiles before anything is decoded; return the size of one in bytes."""
    width, rows = layout.chunk
    if width < 1 or rows < 1:
        raise ImageError("damaged TIFF: strips or tiles without a size")
    budget.check_parts(len(layout.offsets), "strips or tiles")
    samples = 1 if layout.planar else layout.samples
    size = -(-width * samples * max(layout.bits) // 8) * rows
    budget.check_bytes(size, "one of its tiles")
    return size


def _right_in_pillow(layout: TiffLayout, tags: ImageFileDirectory_v2) -> bool:
    """Return whether Pillow decodes a layout like the reference decoders."""
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
    """Accept a palette of 8-bit values, as libtiff does; TIFF requires 16 bits."""
    entries = numbers(tags, 320, ())
    if image.mode == "P" and entries and max(entries) < 256:
        third = len(entries) // 3
        image.putpalette([entries[i + third * c] for i in range(third) for c in range(3)])


def _reason_against(layout: TiffLayout, tags: ImageFileDirectory_v2) -> str:
    """Return why the samples cannot be decoded here, or an empty string."""
    depth, kind, lab = layout.bits[0], layout.kinds[0], layout.photometric in (8, 9)
    depths = {UNSIGNED: range(1, 33), SIGNED: (32,), FLOAT: (16, 32, 64)}.get(kind, ())
    if lab:
        depths = (8, 16) if kind == UNSIGNED else ()
    elif layout.photometric == 0 and kind != UNSIGNED:
        depths = ()  # the reference decoders disagree about what is white
    predictors = {1} | ({2} if depth in (8, 16, 32) else set()) | ({3} if kind == FLOAT else set())
    reasons = {
        "different kinds of samples": len({*layout.bits}) > 1 or len({*layout.kinds}) > 1,
        "unsupported colour space": layout.photometric not in (0, 1, 2, 5, 8, 9),
        "unsupported bit depth": depth not in depths,
        "Lab with premultiplied alpha": lab and layout.extra[:1] == (ASSOCIATED,),
        "unsupported compression": layout.compression not in _PLAIN,
        f"unsupported predictor {layout.predictor}": layout.predictor not in predictors,
        "inks other than CMYK": layout.photometric == 5 and numbers(tags, 332, (1,)) != (1,),
        "missing samples": layout.samples < layout.colours,
    }
    return next((reason for reason, true in reasons.items() if true), "")
