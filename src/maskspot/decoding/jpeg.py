"""JPEG: decoded by Pillow's libjpeg, with an error where the data end early.

libjpeg fills missing data with grey and warns, and Pillow drops the warning. So the end-of-image
marker is withheld from the decoder, which then gets more data: if it waits for a marker it has
all its data, if it still decodes some are missing. A file that lacks only the marker is complete.
A decoder of arithmetic coding cannot wait; it gets two kinds of more data, which must make no
difference.
"""

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from maskspot.decoding.budget import Budget
from maskspot.errors import ImageError

MAGIC = b"\xff\xd8\xff"

MISSING = 100
"""A JPEG counts as complete if at most one part in this many is missing at its end."""

MAX_SCANS = 200
"""Largest number of scans times megapixels, but at least `_SCANS` scans are accepted: each takes
time, even if it has only few bytes."""

_SCANS = 20
"""Scans that a JPEG of any size may have; encoders write ten."""

_EOI, _SOS = b"\xff\xd9", b"\xff\xda\0"  # with the upper byte of its length
_TAIL = 64
"""Bytes at the end of a file in which its last marker is searched first."""

_PROBES = 8
_ONES = b"\xff\x00"
"""Eight 1 bits. No Huffman code consists of ones, so each block takes at least 17 of them."""

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
"""Those that may end a scan, other than restart markers."""

_OTHER = bytes(range(1, 0xFF))
_UNKNOWN = 16
"""Number of bits of a coefficient that no scan has."""

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE, _ARITHMETIC = 2, 8  # bits of the marker


_BLOCK = 34
"""Bits that a block takes at least when ones are decoded: two codes."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a JPEG.

    Attributes:
        frame: marker of the frame, 0xC0 to 0xCF.
        components: number of components.
        blocks: number of blocks of 8 x 8 samples, in all components.
        scans: whether it may have several scans: it is progressive, or has one for each component.
        restarts: whether it has restart markers.
        start: offset of the header of the first scan.
        data: offset of the data of the first scan.
    """

    frame: int
    components: int
    blocks: int
    scans: bool
    restarts: bool
    start: int
    data: int

    @property
    def memory(self) -> int:
        """Memory of its decoder in bytes: with several scans, all coefficients."""
        copies = 256 if self.frame & _ARITHMETIC else 0
        return (128 * self.scans + copies) * self.blocks


def read_header(file: bytes) -> Header | None:
    """Read the markers of a JPEG up to its data; None if they are damaged."""
    at, frame, blocks, components, restarts = 2, 0, 0, 0, False
    while at + 4 < len(file):
        if file[at] != 0xFF:
            at = file.find(b"\xff", at)  # like libjpeg, which skips to the next marker
            if at < 0:
                return None
            continue
        marker, length = file[at + 1], file[at + 2] << 8 | file[at + 3]
        if marker in (0, 1, 0xFF) or 0xD0 <= marker <= 0xD8:
            at += 1
            continue
        if marker in _FRAMES:
            frame, components = marker, file[at + 9] if at + 9 < len(file) else 0
            blocks = _blocks(file[at + 4 : at + 2 + length])
        elif marker == 0xDD:
            restarts = file[at + 4 : at + 6] != b"\0\0"
        elif marker == 0xDA:
            several = frame & 3 == _PROGRESSIVE or file[at + 4] < components
            return Header(frame, components, blocks, several, restarts, at, at + 2 + length)
        at += 2 + length
    return None


def _blocks(frame: bytes) -> int:
    height, width = int.from_bytes(frame[1:3]), int.from_bytes(frame[3:5])
    factors = [(each >> 4, each & 15) for each in frame[7::3]]
    columns = max((h for h, _ in factors), default=1) or 1
    rows = max((v for _, v in factors), default=1) or 1
    units = -(-width // (8 * columns)) * -(-height // (8 * rows))
    return units * sum(h * v for h, v in factors)


def open_jpeg(file: bytes, budget: Budget) -> tuple[ImageFile, Header | None]:
    """Open a JPEG.

    Args:
        file: the bytes of the file.
        budget: what decoding may take.

    Raises:
        ImageError: it has too many scans.
    """
    header = read_header(file)
    if header is not None and header.scans:
        count = file.count(_SOS, header.data) + 1
        most = max(_SCANS, MAX_SCANS * 1_000_000 // max(1, header.blocks * 64))
        if count > most:
            budget.refuse(f"it has {count:,} scans", f"{most:,}")
    return Image.open(BytesIO(file), formats=("JPEG",)), header


def load_jpeg(image: ImageFile, file: bytes, header: Header) -> None:
    """Decode a JPEG.

    Raises:
        ImageError: more than a hundredth is missing at its end, or it is damaged.
    """
    if header.scans and not _has_all_scans(file, header):
        raise _truncated()
    if header.frame & _ARITHMETIC:
        _load_arithmetic(image, file, header)
        return
    end = file.rfind(_EOI, max(header.data, len(file) - _TAIL))
    if end < 0 or image.format == "MPO":
        end = file.find(_EOI, header.data)
    if not _decoded(image, file, end if end >= 0 else len(file), header):
        # There is an earlier marker: other data follow the image.
        _decoded(image, file, file.find(_EOI, header.data), header)
    image.tile, image.fp = [], None


def _decoded(image: ImageFile, file: bytes, end: int, header: Header) -> bool:
    """Decode data that end before a marker; return False if they contain another one."""
    spare = _ONES * (header.blocks * _BLOCK // (8 * MISSING) + 16)
    decoder = _Decoder(image)
    try:
        if decoder.feed(memoryview(file)[:end]):
            return file.find(_EOI, header.data, end) < 0
        if header.scans:
            whole = decoder.waits(spare)
            if whole and header.restarts:  # it may wait for a restart marker
                whole = decoder.passes(_next_restart(file, end) + _ONES)
            whole = whole and decoder.feed(_EOI)
        else:  # the decoder has finished when it has all blocks
            whole = decoder.feed(spare) or decoder.feed(_ONES)
    finally:
        decoder.close()
    if not whole:
        raise _truncated()
    return True


def _truncated() -> ImageError:
    return ImageError("truncated JPEG: the image data end early")


def _has_all_scans(file: bytes, header: Header) -> bool:
    """Return whether there are scans with all bits of all coefficients of all components.

    A file that ends between two scans is valid, but a coarse or discoloured picture.
    """
    at, left = header.start, dict[int, list[int]]()
    while (found := _MARKER.search(file, at)) and found[0] != _EOI:
        at = found.start()
        body = file[at + 4 : at + 2 + int.from_bytes(file[at + 2 : at + 4])]
        at += 4 + len(body)
        if found[0] == _SOS[:2] and body and len(body) == 4 + 2 * body[0]:
            first, last, bits = body[-3:]
            for component in body[1:-3:2]:
                levels = left.setdefault(component, [_UNKNOWN] * 64)
                levels[first : last + 1] = [bits & 15] * len(levels[first : last + 1])
    progressive = header.frame & 3 == _PROGRESSIVE
    complete = not progressive or not any(map(any, left.values()))
    return len(left) == header.components and complete


def _load_arithmetic(image: ImageFile, file: bytes, header: Header) -> None:
    """Decode arithmetic coding, which goes on without an error where the data have ended."""
    if header.restarts:
        raise ImageError("a JPEG of arithmetic coding with restart markers", "unsupported")
    end = header.start
    while (found := _MARKER.search(file, end)) and found[0] != _EOI:
        end = found.start() + 2 + int.from_bytes(file[found.start() + 2 : found.start() + 4])
    data = file[: found.start() if found else None].rstrip(b"\xff")
    pictures = []
    for more in (_OTHER * (len(data) // len(_OTHER) + 1), b""):
        decoder = _Decoder(image)
        try:
            if not decoder.feed(data + more + _EOI):
                raise _truncated()
        finally:
            decoder.close()
        pictures.append(np.asarray(image._new(image.im.copy())))
    if np.mean(pictures[0] != pictures[1]) > 1 / MISSING:
        raise _truncated()
    image.tile, image.fp = [], None


class _Decoder:
    """Pillow's decoder of an image, and the bytes that it has not used yet."""

    def __init__(self, image: ImageFile) -> None:
        image.load_prepare()
        name, extents, _, arguments = image.tile[0]
        self._decoder: Any = Image._getdecoder(image.mode, name, arguments, image.decoderconfig)
        self._decoder.setimage(image.im, extents)
        self._rest = b""

    def feed(self, data: bytes | memoryview) -> bool:
        """Decode data; return whether the image is finished."""
        rest = self._rest + data if self._rest else data
        used, error = self._decoder.decode(rest)
        if used < 0 and error < 0:
            raise ImageError("damaged JPEG")
        self._rest = bytes(rest[max(0, used) :])
        return bool(used < 0)

    def waits(self, data: bytes) -> bool:
        """Feed `data` and then ones; return whether the decoder skips them to wait for a marker.

        A decoder that still decodes leaves the last ones, as they are too few for a block.
        """
        self.feed(data)
        passed = [self.passes(_ONES) for _ in range(_PROBES)]
        return all(passed[_PROBES // 2 :])

    def passes(self, data: bytes) -> bool:
        """Feed data; return whether the decoder uses all of them."""
        before = len(self._rest)
        self.feed(data)
        return len(self._rest) <= before

    def close(self) -> None:
        """Free its memory."""
        self._decoder.cleanup()


def _next_restart(file: bytes, end: int) -> bytes:
    """Return the marker that follows the last restart marker."""
    last = max(range(8), key=lambda number: file.rfind(bytes([0xFF, 0xD0 + number]), 0, end))
    return bytes([0xFF, 0xD0 + (last + 1) % 8])
