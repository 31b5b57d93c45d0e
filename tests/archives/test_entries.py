"""The walk of archives: every format has the same entries, and damage is one kind of error."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from maskspot.archives.entries import ArchiveEntry, is_archive, walk_archive
from maskspot.archives.limits import ArchiveError, ArchiveLimits

FILES = {"a.jpg": b"one" * 99, "d/é.png": b"", "d/n.txt": bytes(range(256)) * 4000}
MODES = ["w", "w:gz", "w:bz2", "w:xz"]


def make_tar(path: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("d/l.png")
        link.type, link.linkname = tarfile.SYMTYPE, "../a.jpg"
        archive.addfile(link)
        pipe = tarfile.TarInfo("pipe")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    return path


def make_zip(path: Path, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    special = {"d/l.png": (stat.S_IFLNK, "../a.jpg"), "pipe": (stat.S_IFIFO, "")}
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("d/", b"")
        for name, data in FILES.items():
            archive.writestr(name, data)
        for name, (mode, content) in special.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, content)
    return path


def described(entry: ArchiveEntry) -> tuple[str, str, str, bytes]:
    content = b"".join(entry.blocks()) if entry.kind == "file" else b""
    assert entry.kind != "file" or entry.size == len(content)
    return entry.name, entry.kind, entry.target, content


EXPECTED = [
    ("d/", "folder", "", b""),
    *((name, "file", "", data) for name, data in FILES.items()),
    ("d/l.png", "link", "a.jpg", b""),
    ("pipe", "other", "", b""),
]


@pytest.mark.parametrize("mode", [*MODES, "stored", "deflated"])
def test_every_format_has_the_same_entries(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if mode in MODES:
        make_tar(path, mode)
    else:
        make_zip(path, zipfile.ZIP_STORED if mode == "stored" else zipfile.ZIP_DEFLATED)
    assert is_archive(str(path))
    assert [described(entry) for entry in walk_archive(str(path))] == EXPECTED


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_entries_that_last_are_read_when_the_walk_is_over(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    entries = list(walk_archive(str(make(tmp_path / "x"))))
    assert all(entry.lasting for entry in entries)
    assert [described(entry) for entry in reversed(entries)] == EXPECTED[::-1]


@pytest.mark.parametrize("mode", MODES)
def test_content_of_a_tar_that_is_not_read_is_skipped(mode: str, tmp_path: Path) -> None:
    path = str(make_tar(tmp_path / "x", mode))
    assert [entry.name for entry in walk_archive(path)] == [name for name, *_ in EXPECTED]


def test_more_data_after_the_end_of_a_tar_is_refused_where_that_is_checked(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x")
    path.write_bytes(path.read_bytes() * 2)
    assert len(list(walk_archive(str(path)))) == len(EXPECTED)
    with pytest.raises(ArchiveError, match="damaged"):
        list(walk_archive(str(path), check_end=True))


def test_an_extended_header_without_an_entry_is_damage(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type = tarfile.XHDTYPE
    (tmp_path / "x").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(ArchiveError, match="damaged"):
        list(walk_archive(str(tmp_path / "x")))


def test_the_entries_of_a_zip_are_counted_before_the_first(tmp_path: Path) -> None:
    path = str(make_zip(tmp_path / "x"))
    assert len(list(walk_archive(path, ArchiveLimits(files=len(EXPECTED))))) == len(EXPECTED)
    with pytest.raises(ArchiveError, match="holds more than 3 files"):
        next(walk_archive(path, ArchiveLimits(files=3)))


def test_a_compressed_tar_is_bounded_by_its_size(tmp_path: Path) -> None:
    path = str(make_tar(tmp_path / "x", "w:xz"))
    with pytest.raises(ArchiveError, match="too many for its size"):
        list(walk_archive(path, ArchiveLimits(floor=0, ratio=2)))


@pytest.mark.parametrize("content", [b"", b"P", b"\xff\xd8\xff", b"BZh9" + bytes(99)])
def test_what_is_not_an_archive_is_one_kind_of_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ArchiveError, match="not a zip or tar archive; replace it"):
        list(walk_archive(str(tmp_path / "x")))
