"""Unpacking with LZMA, whose streams state how much memory they need."""

import io
import lzma
from typing import IO, TYPE_CHECKING

from maskspot.archives.limits import BLOCK, DICTIONARY, refusal

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def open_xz(file: IO[bytes]) -> IO[bytes]:
    """Return the stream that an xz file is the compressed form of; `lzma.open` has no limit.

    Raises:
        ArchiveError: when it is read, and needs a larger dictionary than `DICTIONARY`.
    """
    return io.BufferedReader(_Reader(file), BLOCK)


def raw_decoder(properties: bytes) -> lzma.LZMADecompressor:
    """Return what unpacks a member of a zip.

    Args:
        properties: five bytes before its data.

    Raises:
        ArchiveError: it needs a larger dictionary than `DICTIONARY`.
    """
    size, rest = int.from_bytes(properties[1:5], "little"), properties[0]
    if size > DICTIONARY:
        raise _too_large()
    filter = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": size,
        "lc": rest % 9,
        "lp": rest // 9 % 5,
        "pb": rest // 45,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filter])


class _Reader(io.RawIOBase):
    """Reads the streams of an xz file one after another."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = _decoder()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        while True:
            packed = b""
            if self._decoder.eof:  # more streams may follow, after zeros
                packed = self._decoder.unused_data.lstrip(b"\0")
                while not packed and (more := self._file.read(BLOCK)):
                    packed = more.lstrip(b"\0")
                if not packed:
                    return 0
                self._decoder = _decoder()
            elif self._decoder.needs_input and not (packed := self._file.read(BLOCK)):
                raise EOFError
            try:
                data = self._decoder.decompress(packed, len(view))
            except lzma.LZMAError as error:
                if "limit" in str(error):
                    raise _too_large() from None
                raise
            if data:
                view[: len(data)] = data
                return len(data)


def _decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DICTIONARY + 2**20)


def _too_large() -> Exception:
    return refusal(f"needs more than {DICTIONARY} bytes of memory to unpack")
