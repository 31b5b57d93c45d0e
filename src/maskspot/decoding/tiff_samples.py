"""Decoding of TIFF strips and tiles, for layouts that Pillow does not decode correctly."""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskspot.decoding.samples import lowest_and_peak, to_8_bit
from maskspot.decoding.tiff_layout import (
    ASSOCIATED,
    FLOAT,
    RAW,
    SIGNED,
    UNSIGNED,
    TiffLayout,
    not_supported,
)
from maskspot.errors import ImageError

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Translation of bytes whose first bit is the least significant (`FillOrder` 2)."""


def bytes_to_a_pixel(layout: TiffLayout) -> int:
    """Return the bytes that a pixel takes before its samples have 8 bits."""
    kept = layout.colours + bool(_alpha(layout))
    return kept * 5 if _is_deep(layout) else kept


def decode(file: BinaryIO, layout: TiffLayout) -> Image.Image:
    """Decode an image to mode L, RGB, RGBA or CMYK.

    Raises:
        ImageError: it is damaged.
    """
    alpha, deep = _alpha(layout), _is_deep(layout)
    kept = layout.colours + bool(alpha)
    kinds: dict[int, Any] = {UNSIGNED: np.uint32, SIGNED: np.int32, FLOAT: np.float32}
    kind = kinds[layout.kinds[0]] if deep else np.uint8
    samples = np.zeros((layout.height, layout.width, kept), kind)
    for area, plane, chunk in _chunks(file, layout):
        part = samples[area] if plane is None else samples[area][..., plane : plane + 1]
        # Tiles at the edges extend beyond the image; samples other than colours are dropped.
        inside = chunk[: part.shape[0], : part.shape[1], : part.shape[2]]
        with np.errstate(over="ignore"):  # the largest float64 values become infinite
            part[...] = inside if deep else _shallow(inside, layout)
    return _image(_level(samples, layout) if deep else samples, layout, alpha)


def _is_deep(layout: TiffLayout) -> bool:
    """Return whether samples are only converted once all are known."""
    return layout.bits[0] > 16 or layout.kinds[0] != UNSIGNED


def _alpha(layout: TiffLayout) -> int:
    """Return which alpha follows the colours: associated (1), unassociated (2), or none (0)."""
    if layout.samples <= layout.colours:
        return 0
    if layout.extra:
        return layout.extra[0] if layout.extra[0] in (ASSOCIATED, 2) else 0
    # RGB with a fourth sample of unspecified meaning is alpha, as in Pillow.
    return 2 if layout.photometric == 2 and layout.samples == 4 else 0


def _is_lab(layout: TiffLayout) -> bool:
    return layout.photometric in (8, 9)


def _shallow(chunk: NDArray[Any], layout: TiffLayout) -> NDArray[np.uint8]:
    """Convert unsigned samples of up to 16 bits to 8 bits."""
    top = 2 ** layout.bits[0] - 1
    table = np.rint(np.arange(top + 1) * (255 / top)).astype(np.uint8)
    if _is_lab(layout):  # two of its samples are signed
        table = (np.arange(top + 1) >> layout.bits[0] - 8).astype(np.uint8)
    found = np.empty(chunk.shape, np.uint8)
    for row, numbers in zip(
        found, chunk, strict=True
    ):  # by rows, as numpy converts indices to 64 bits
        row[...] = table[numbers]
    return found


def _level(samples: NDArray[Any], layout: TiffLayout) -> NDArray[np.uint8]:
    lowest, peak = lowest_and_peak(samples)
    if layout.kinds[0] == SIGNED and lowest < 0:
        raise not_supported(layout, "samples below zero have no agreed meaning")
    if layout.kinds[0] == UNSIGNED and layout.bits[0] < 32:
        top = 2 ** layout.bits[0] - 1
        found: NDArray[np.uint8] = np.rint(samples * (255 / top)).astype(np.uint8)
        return found
    return to_8_bit(samples, peak)


def _image(samples: NDArray[np.uint8], layout: TiffLayout, alpha: int) -> Image.Image:
    colours, size = samples[..., : layout.colours], (layout.width, layout.height)
    mask = samples[..., -1:]
    if alpha == ASSOCIATED:  # premultiplied
        whole = (colours.astype(np.uint16) * 255 + mask // 2) // np.maximum(mask, 1)
        colours = np.minimum(whole, 255).astype(np.uint8)
    if layout.photometric == 0:
        colours = 255 - colours
    if layout.photometric == 9:  # as 8, with another zero
        colours = colours ^ np.array([0, 128, 128], np.uint8)
    mode = "LAB" if _is_lab(layout) else {1: "L", 3: "RGB", 4: "CMYK"}[layout.colours]
    image = Image.frombytes(mode, size, colours.tobytes())
    if mode == "LAB" or alpha:
        image = image.convert("RGB")
    if alpha:
        image.putalpha(Image.frombytes("L", size, mask.tobytes()))
    return image


def _chunks(
    file: BinaryIO, layout: TiffLayout
) -> Iterator[tuple[tuple[slice, slice], int | None, NDArray[Any]]]:
    """Yield each strip or tile: its area in the image, its plane (None for all), its samples."""
    width, rows = layout.chunk
    across, down = -(-layout.width // width), -(-layout.height // rows)
    planes = layout.samples if layout.planar else 1
    if len(layout.offsets) < across * down * planes:
        raise ImageError("damaged TIFF: strips or tiles are missing")
    kept = layout.colours + bool(_alpha(layout))
    for index in range(across * down * planes):
        plane, place = divmod(index, across * down)
        if plane >= kept:
            return
        top, left = (place // across) * rows, (place % across) * width
        height = rows if layout.tiled else min(rows, layout.height - top)
        each = 1 if layout.planar else layout.samples
        line = -(-width * each * layout.bits[0] // 8)
        file.seek(layout.offsets[index])
        count = layout.counts[index] if index < len(layout.counts) else None
        data = _unpacked(file, layout, count, line, height)
        area = slice(top, top + rows), slice(left, left + width)
        yield area, plane if layout.planar else None, _numbered(data, layout, (width, each))


def _unpacked(
    file: BinaryIO, layout: TiffLayout, count: int | None, line: int, rows: int
) -> NDArray[np.uint8]:
    """Return the bytes of a strip or tile, uint8 (rows, line).

    Compressed data are wrapped as an 8-bit grey TIFF with as many columns as a row has bytes, so
    that libtiff only decompresses them.
    """
    size = line * rows
    if layout.compression == RAW:
        data = file.read(size)
        if layout.fill_order == 2:
            data = data.translate(_REVERSED)
    else:
        if count is None:
            raise ImageError("damaged TIFF: the lengths of its strips are missing")
        packed = file.read(count)
        tags = {256: line, 257: rows, 258: 8, 259: layout.compression, 262: 1, 277: 1, 278: rows}
        tags |= {266: layout.fill_order, 273: 8 + 2 + 12 * 10 + 4, 279: len(packed)}
        table = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
        whole = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + table + b"\0\0\0\0" + packed
        with Image.open(BytesIO(whole), formats=("TIFF",)) as image:
            data = image.tobytes()
    if len(data) < size:
        raise ImageError("truncated TIFF: the image data end early")
    return np.frombuffer(data, np.uint8).reshape(rows, line)


def _numbered(data: NDArray[np.uint8], layout: TiffLayout, shape: tuple[int, int]) -> NDArray[Any]:
    """Return the samples (rows, width, samples) in the bytes of a strip."""
    depth, kind, (width, each) = layout.bits[0], layout.kinds[0], shape
    if layout.predictor == 3:
        # Adobe's predictor: each row has the first bytes of all samples, then the second ones and
        # so on, each as the difference to the byte before.
        size = depth // 8
        sums = data.reshape(len(data), -1, each).cumsum(axis=1, dtype=np.uint8)
        parts = sums.reshape(len(data), size, width * each).swapaxes(1, 2)
        return np.ascontiguousarray(parts).view(f">f{size}").reshape(-1, width, each)
    if depth in (8, 16, 32, 64):
        letter = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[kind]
        if layout.predictor == 2:
            letter = "u"
        found = data.view(f"{layout.order}{letter}{depth // 8}").reshape(-1, width, each)
        if layout.predictor == 2:
            found = found.cumsum(axis=1, dtype=f"u{depth // 8}")
            found = found.view({UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[kind] + str(depth // 8))
        return cast("NDArray[Any]", found)
    if depth == 24:
        three = data.reshape(-1, width, each, 3).astype(np.uint32)
        weights = np.array([0, 8, 16] if layout.order == "<" else [16, 8, 0], np.uint32)
        return cast("NDArray[Any]", (three << weights).sum(axis=-1, dtype=np.uint32))
    return np.concatenate([_from_bits(row, depth, shape) for row in data])


def _from_bits(row: NDArray[np.uint8], depth: int, shape: tuple[int, int]) -> NDArray[np.uint32]:
    """Return the samples of one row of packed bits, the most significant first."""
    bits = np.unpackbits(row)[: shape[0] * shape[1] * depth].reshape(-1, depth)
    weights = np.uint32(1) << np.arange(depth - 1, -1, -1, dtype=np.uint32)
    found: NDArray[np.uint32] = (bits * weights).sum(axis=1, dtype=np.uint32)
    return found.reshape(1, *shape)
