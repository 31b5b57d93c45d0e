"""JPEG: decoded by Pillow's libjpeg, but told apart where the data end early.

libjpeg fills what is missing with grey and warns; Pillow drops the warning. So the end-of-image
marker is held back, and the decoder is asked for more: one that waits for a marker has all its
data, one that still decodes has not. A file that lacks nothing but the marker is whole.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image
from PIL.ImageFile import ImageFile

from maskspot.decoding.budget import Budget
from maskspot.errors import ImageError

MAGIC = b"\xff\xd8\xff"

MISSING = 100
"""A JPEG is taken for whole if at most one part in this many of it is missing, at its end."""

MAX_SCANS = 200
"""Scans of a JPEG, divided by its megapixels, but never fewer than `_SCANS`: each takes time,
however few bytes it has."""

_SCANS = 20
"""Encoders write ten."""

_EOI, _SOS = b"\xff\xd9", b"\xff\xda\0"  # with the upper byte of its length
_TAIL = 64
"""Bytes at a file's end in which its last marker is looked for first."""

_PROBES = 8
_ONES = b"\xff\x00"
"""Eight 1 bits. No Huffman code consists of ones: each block takes 17 bits of them or more."""

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE, _ARITHMETIC = 2, 8  # bits of the marker


_BLOCK = 34
"""Bits that a block takes at least when ones are decoded: two codes."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a JPEG says before its data.

    Attributes:
        frame: the marker of its frame, 0xC0 to 0xCF.
        blocks: of 8 x 8 samples, in all components.
        scans: it may have several: it is progressive, or its components come one by one.
        restarts: it has restart markers.
        data: where its first scan's data begin.
    """

    frame: int
    blocks: int
    scans: bool
    restarts: bool
    data: int

    @property
    def memory(self) -> int:
        """Bytes that its decoder takes: all coefficients where there are several scans."""
        return 128 * self.blocks if self.scans else 0


def read_header(file: bytes) -> Header | None:
    """Walk a JPEG's markers up to its data; None where they are damaged."""
    at, frame, blocks, components, restarts = 2, 0, 0, 0, False
    while at + 4 < len(file):
        if file[at] != 0xFF:
            at = file.find(b"\xff", at)  # as libjpeg, which skips to the next marker
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
            return Header(frame, blocks, several, restarts, at + 2 + length)
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
        file: the whole of it.
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
    """Decode a JPEG that was opened.

    Raises:
        ImageError: more than its last hundredth is missing, or it is damaged.
    """
    if header.frame & _ARITHMETIC:  # its decoder cannot wait
        image.load()
        return
    end = file.rfind(_EOI, max(header.data, len(file) - _TAIL))
    if end < 0 or image.format == "MPO":
        end = file.find(_EOI, header.data)
    if not _decoded(image, file, end if end >= 0 else len(file), header):
        # The marker was not the first: something else follows the image.
        _decoded(image, file, file.find(_EOI, header.data), header)
    image.tile, image.fp = [], None


def _decoded(image: ImageFile, file: bytes, end: int, header: Header) -> bool:
    """Decode data that end before a marker; say False if there was another in them."""
    spare = _ONES * (header.blocks * _BLOCK // (8 * MISSING) + 16)
    decoder = _Decoder(image)
    try:
        if decoder.feed(memoryview(file)[:end]):
            return file.find(_EOI, header.data, end) < 0
        if header.scans:
            whole = decoder.waits(spare)
            if whole and header.restarts:  # it may be a restart marker that it waits for
                whole = decoder.passes(_next_restart(file, end) + _ONES)
            whole = whole and decoder.feed(_EOI)
        else:  # the decoder has finished once it has all blocks
            whole = decoder.feed(spare) or decoder.feed(_ONES)
    finally:
        decoder.close()
    if not whole:
        raise ImageError("truncated JPEG: its data end early")
    return True


class _Decoder:
    """Pillow's decoder of an image, and the bytes that it did not use yet."""

    def __init__(self, image: ImageFile) -> None:
        image.load_prepare()
        name, extents, _, arguments = image.tile[0]
        self._decoder: Any = Image._getdecoder(image.mode, name, arguments, image.decoderconfig)
        self._decoder.setimage(image.im, extents)
        self._rest = b""

    def feed(self, data: bytes | memoryview) -> bool:
        """Decode, and say whether that finished the image."""
        rest = self._rest + data if self._rest else data
        used, error = self._decoder.decode(rest)
        if used < 0 and error < 0:
            raise ImageError("damaged JPEG")
        self._rest = bytes(rest[max(0, used) :])
        return bool(used < 0)

    def waits(self, data: bytes) -> bool:
        """Feed ones after `data`, and say whether it passes over them: it waits for a marker.

        One that decodes leaves the last of them, since they are fewer than a block takes.
        """
        self.feed(data)
        passed = [self.passes(_ONES) for _ in range(_PROBES)]
        return all(passed[_PROBES // 2 :])

    def passes(self, data: bytes) -> bool:
        """Feed something, and say whether it leaves nothing of it."""
        before = len(self._rest)
        self.feed(data)
        return len(self._rest) <= before

    def close(self) -> None:
        """Give its memory back."""
        self._decoder.cleanup()


def _next_restart(file: bytes, end: int) -> bytes:
    """Return the marker that follows the last restart marker."""
    last = max(range(8), key=lambda number: file.rfind(bytes([0xFF, 0xD0 + number]), 0, end))
    return bytes([0xFF, 0xD0 + (last + 1) % 8])
