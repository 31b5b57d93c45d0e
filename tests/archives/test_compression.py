"""What compressed archives may ask for: memory is bounded, whatever their headers state."""

import io
import lzma
import random
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from maskspot.archives.entries import walk_archive
from maskspot.archives.limits import ArchiveError, ArchiveLimits
from maskspot.errors import DataError, ImageError
from maskspot.inputs.items import find_items
from maskspot.zindi.unpack import unpack

NOISE = random.Random(1).randbytes(3000)
CONTENTS = [b"", b"x", NOISE, bytes(2**20), random.Random(2).randbytes(2**19 + 1)]
LZMA2 = b"\x21\x01"  # how an xz file names its filter, before the byte of the dictionary's size


def tar(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("a.jpg")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def xz(content: bytes, dictionary: int) -> bytes:
    """Compress, and state another size of the dictionary."""
    data = bytearray(lzma.compress(content))
    start, end = 12, 12 + 4 * (data[12] + 1)
    data[data.index(LZMA2, start, end) + 2] = dictionary
    data[end - 4 : end] = struct.pack("<I", zlib.crc32(data[start : end - 4]))
    return bytes(data)


def lzma_zip(path: Path, dictionary: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.jpg", NOISE)
    data = bytearray(path.read_bytes())
    at = data.index(b"a.jpg") + len("a.jpg") + 5
    data[at : at + 4] = struct.pack("<I", dictionary)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("content", CONTENTS, ids=len)
@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_members_of_a_zip_are_unpacked_whatever_compressed_them(
    tmp_path: Path, kind: int, content: bytes
) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w", kind) as archive:
        archive.writestr("first.jpg", b"other")
        archive.writestr("é.jpg", content)
    _, entry = walk_archive(str(tmp_path / "z"))
    assert b"".join(entry.blocks()) == content


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_an_xz_may_have_several_streams_with_zeros_between_them(
    tmp_path: Path, content: bytes
) -> None:
    whole = tar(content)
    middle = len(whole) // 2
    parts = lzma.compress(whole[:middle], preset=9), lzma.compress(whole[middle:], preset=0)
    (tmp_path / "t").write_bytes(parts[0] + bytes(8) + parts[1] + bytes(4))
    entries = walk_archive(str(tmp_path / "t"), ArchiveLimits(floor=2**26))
    assert [b"".join(entry.blocks()) for entry in entries] == [content]


@pytest.mark.parametrize("cut", [30, 500, 2000, -8])
def test_an_xz_that_is_cut_short_is_damaged(tmp_path: Path, cut: int) -> None:
    (tmp_path / "t").write_bytes(lzma.compress(tar(NOISE))[:cut])
    with pytest.raises(ArchiveError, match="damaged"):
        [b"".join(entry.blocks()) for entry in walk_archive(str(tmp_path / "t"))]


@pytest.mark.parametrize("dictionary", [36, 40])  # 1 GiB, 4 GiB
def test_an_xz_cannot_ask_for_any_memory(tmp_path: Path, dictionary: int) -> None:
    archive = tmp_path / "t.tar.xz"
    archive.write_bytes(xz(tar(NOISE), 30))  # 128 MiB
    (item,) = find_items([str(archive)])
    assert item.load() == NOISE
    archive.write_bytes(xz(tar(NOISE), dictionary))
    with pytest.raises(DataError, match="needs more than 134217728 bytes of memory"):
        list(find_items([str(archive)]))
    with pytest.raises(DataError, match="needs more than 134217728 bytes of memory"):
        unpack(archive, tmp_path / "images")


@pytest.mark.parametrize("dictionary", [2**27, 2**27 + 1, 2**32 - 1])
def test_a_member_of_a_zip_cannot_ask_for_any_memory(tmp_path: Path, dictionary: int) -> None:
    (item,) = find_items([str(lzma_zip(tmp_path / "z.zip", dictionary))])
    if dictionary == 2**27:
        assert item.load() == NOISE
        return
    with pytest.raises(ImageError, match="needs more than 134217728 bytes") as caught:
        item.load()
    assert caught.value.status == "too large"


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_states_less_than_it_holds_is_not_unpacked_further(
    tmp_path: Path, kind: int
) -> None:
    """A bzip2 member of 2 kB would take 4 GB."""
    with zipfile.ZipFile(tmp_path / "z", "w", kind) as archive:
        archive.writestr("a.jpg", bytes(2**27))
    data = bytearray((tmp_path / "z").read_bytes())
    for mark, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = data.index(mark) + at
        data[start : start + 4] = struct.pack("<I", 50_000)
    (tmp_path / "z").write_bytes(data)
    (item,) = find_items([str(tmp_path / "z")])
    tracemalloc.start()
    with pytest.raises(ImageError, match="damaged in its archive"):
        item.load()
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_damage_in_a_member_is_told(tmp_path: Path) -> None:
    for kind in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "z", "w", kind) as archive:
            archive.writestr("a.jpg", NOISE)
        whole = (tmp_path / "z").read_bytes()
        for at in range(50, len(NOISE), 97):
            data = bytearray(whole)
            data[at] ^= 0x55
            (tmp_path / "z").write_bytes(data)
            (item,) = find_items([str(tmp_path / "z")])
            with pytest.raises(ImageError):
                item.load()
