"""Writes TIFFs in layouts that Pillow does not write."""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

HEIGHT, WIDTH = 29, 37


def ramp(channels: int) -> np.ndarray:
    """Return samples from 0 to 1, (29, 37, channels): each channel another ramp."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    each = [x / (WIDTH - 1), y / (HEIGHT - 1), (x + y) / (WIDTH + HEIGHT - 2), 1 - x / WIDTH]
    return np.dstack(each[:channels])


@dataclass(frozen=True)
class Tiff:
    """A layout; `kind` is `u`, `i` or `f`."""

    kind: str = "u"
    bits: int = 8
    photometric: int = 1
    extra: tuple[int, ...] = ()
    planar: bool = False
    order: str = "<"
    rows: int = HEIGHT
    tile: tuple[int, int] | None = None
    deflate: bool = False
    tags: dict[int, list[int]] = field(default_factory=dict)

    def write(self, samples: np.ndarray) -> bytes:
        """Return a file of samples from 0 to 1, (H, W, N)."""
        channels = samples.shape[2]
        planes = np.split(samples, channels, 2) if self.planar else [samples]
        chunks = [self._packed(chunk) for plane in planes for chunk in self._chunks(plane)]
        offsets = [8, *(8 + np.cumsum([len(chunk) for chunk in chunks])).tolist()]
        tags = {256: [samples.shape[1]], 257: [samples.shape[0]], 258: [self.bits] * channels}
        tags |= {259: [8 if self.deflate else 1], 262: [self.photometric], 277: [channels]}
        tags |= {284: [1 + self.planar], 339: ["uif".index(self.kind) + 1] * channels}
        tags |= {338: list(self.extra)} if self.extra else {}
        places = (324, 325) if self.tile else (273, 279)
        tags |= {places[0]: offsets[:-1], places[1]: [len(chunk) for chunk in chunks]}
        tags |= {322: [self.tile[0]], 323: [self.tile[1]]} if self.tile else {278: [self.rows]}
        return self._file(b"".join(chunks), tags | self.tags)

    def _chunks(self, plane: np.ndarray) -> list[np.ndarray]:
        if self.tile is None:
            return [plane[top : top + self.rows] for top in range(0, len(plane), self.rows)]
        width, height = self.tile
        padded = np.pad(plane, ((0, height), (0, width), (0, 0)))
        return [
            padded[top : top + height, left : left + width]
            for top in range(0, len(plane), height)
            for left in range(0, plane.shape[1], width)
        ]

    def _packed(self, chunk: np.ndarray) -> bytes:
        rows = chunk.reshape(len(chunk), -1)
        if self.kind == "f":
            data = rows.astype(f"{self.order}f{self.bits // 8}").tobytes()
        else:
            numbers = np.rint(rows * (2 ** (self.bits - (self.kind == "i")) - 1)).astype(np.uint64)
            data = self._integers(numbers)
        return zlib.compress(data) if self.deflate else data

    def _integers(self, numbers: np.ndarray) -> bytes:
        if self.bits in (8, 16, 32):
            return numbers.astype(f"{self.order}u{self.bits // 8}").tobytes()
        if self.bits == 24:
            three = numbers.astype("<u4")[..., None].view(np.uint8)[..., :3]
            return (three if self.order == "<" else three[..., ::-1]).tobytes()
        places = np.arange(self.bits - 1, -1, -1, dtype=np.uint64)
        bits = (numbers[..., None] >> places & np.uint64(1)).astype(np.uint8)
        return np.packbits(bits.reshape(len(numbers), -1), axis=1).tobytes()

    def _file(self, data: bytes, tags: dict[int, list[int]]) -> bytes:
        data += b"\0" * (len(data) % 2)
        table, far = struct.pack(self.order + "H", len(tags)), b""
        after = 8 + len(data) + 2 + 12 * len(tags) + 4
        for tag, values in sorted(tags.items()):
            raw = struct.pack(f"{self.order}{len(values)}I", *values)
            place = raw if len(raw) == 4 else struct.pack(self.order + "I", after + len(far))
            far += b"" if len(raw) == 4 else raw
            table += struct.pack(self.order + "HHI", tag, 4, len(values)) + place
        head = b"II*\0" if self.order == "<" else b"MM\0*"
        first = struct.pack(self.order + "I", 8 + len(data))
        return head + first + data + table + b"\0" * 4 + far
