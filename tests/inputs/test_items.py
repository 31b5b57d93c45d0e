"""What may be pointed at: folders, patterns, archives, URLs and lists, whoever made them."""

import bz2
import gzip
import io
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from copy import copy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskspot.archives.limits import ArchiveLimits
from maskspot.errors import DataError, DownloadError, ImageError, MaskspotError, UsageError
from maskspot.inputs import archives as containers
from maskspot.inputs import folders
from maskspot.inputs import urls as remote
from maskspot.inputs.folders import natural_key
from maskspot.inputs.items import Item, find_images, find_items, items_from
from maskspot.inputs.lists import listed
from maskspot.inputs.names import match_items, match_names
from maskspot.inputs.web_listings import links

ROOT = Path(__file__).parents[2]
PICTURE = b"the bytes of a picture"
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), min_size=1)


def names(*arguments: object) -> list[str]:
    return [item.name for item in find_items([str(each) for each in arguments])]


def read(item: Item) -> bytes:
    source = item.load()
    return source if isinstance(source, bytes) else Path(str(source)).read_bytes()


def plant(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    return folder


def until_error(items: Iterator[Item]) -> tuple[list[Item], str]:
    seen: list[Item] = []
    with pytest.raises(MaskspotError) as caught:
        deque(map(seen.append, items))
    assert "\n" not in str(caught.value)
    return seen, str(caught.value)


# Natural order


@given(st.lists(st.integers(min_value=0), min_size=2), st.text(alphabet="img_0"))
def test_names_with_numbers_sort_as_the_numbers_do(numbers: list[int], before: str) -> None:
    before = before.rstrip("0")
    found = sorted((f"{before}{number}.jpg" for number in numbers), key=natural_key)
    assert found == [f"{before}{number}.jpg" for number in sorted(numbers)]


@given(st.lists(st.text(st.characters()) | st.text(alphabet="0123²٣ab\udc80")))
def test_natural_order_is_total_and_does_not_depend_on_where_it_starts(texts: list[str]) -> None:
    found = sorted(set(texts), key=natural_key)
    assert found == sorted(dict.fromkeys(texts[::-1]), key=natural_key)
    assert all(natural_key(one) < natural_key(other) for one, other in pairwise(found))


def test_a_number_of_any_length_has_its_place() -> None:
    long = ["9" * 9000, "1" + "0" * 9000, "007", "7", "70"]
    assert sorted(long, key=natural_key) == ["007", "7", "70", "9" * 9000, "1" + "0" * 9000]


# Folders


def test_a_folder_is_walked_depth_first_files_and_folders_together(tmp_path: Path) -> None:
    order = ["a.jpg", "b/1.png", "b/2/x.JPEG", "b/10.png", "img2.jpg", "img02b.jpg", "img10.jpg"]
    plant(tmp_path, *random.Random(2).sample(order, len(order)))
    plant(tmp_path, "notes.txt", ".hidden.jpg", ".git/x.jpg", "b/.x/y.jpg", "pack.zip")
    assert names(tmp_path) == order
    assert [read(item) for item in find_items([str(tmp_path)])] == [each.encode() for each in order]


def test_names_are_paths_as_written_unless_one_folder_is_all_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant(tmp_path, "a/1.jpg", "b/2.jpg", "c.jpg"))
    assert names("a") == names("a/") == ["1.jpg"]
    assert names("b/", "c.jpg", "./a") == ["b/2.jpg", "c.jpg", "./a/1.jpg"]
    assert names("c.jpg") == ["c.jpg"]
    assert [item.name for item in items_from(["a"])] == ["a/1.jpg"]


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path: Path) -> None:
    plant(tmp_path / "in", "a/x.jpg")
    (tmp_path / "in/a/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/self.jpg").symlink_to(tmp_path / "in/self.jpg")
    (tmp_path / "in/nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "in/b.jpg").symlink_to(tmp_path / "in/a/x.jpg")
    assert names(tmp_path / "in") == ["a/x.jpg", "b.jpg"]


def test_what_is_no_file_is_passed_over_in_a_folder_and_not_looked_into(tmp_path: Path) -> None:
    os.mkfifo(plant(tmp_path, "a.jpg") / "pipe.jpg")
    assert names(tmp_path) == ["a.jpg"]
    assert names(tmp_path / "pipe.jpg") == [str(tmp_path / "pipe.jpg")]


def test_names_that_are_no_text_come_through(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n.jpg")
    (tmp_path / name).write_bytes(PICTURE)
    (item,) = find_items([str(tmp_path)])
    assert (item.name, read(item)) == (name, PICTURE)


def test_a_folder_that_cannot_be_listed_costs_its_own_images_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "a.jpg", "b/x.jpg", "c.jpg")
    scan = os.scandir

    def scandir(path: str) -> object:
        if path.rstrip("/").endswith("b"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = list(find_items([str(tmp_path)]))
    assert [item.name for item in found] == ["a.jpg", "b", "c.jpg"]
    with pytest.raises(ImageError, match=r"cannot be listed: Permission denied") as caught:
        found[1].load()
    assert caught.value.status == "unreadable"
    with pytest.raises(DataError, match=r"/b: Permission denied$"):
        names(tmp_path / "b")


def test_a_folder_without_images_is_an_error_where_its_turn_comes(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.jpg", "b/readme.txt")
    seen, error = until_error(find_items([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert len(seen) == 1
    assert error.startswith(f"{tmp_path}/b: no images in this folder")


def test_what_is_named_must_exist_and_needs_no_ending(tmp_path: Path) -> None:
    plant(tmp_path, "photo")
    here = str(tmp_path / "photo")
    assert [item.path for item in find_items([here])] == [Path(here)]
    for absent in ("gone.jpg", f"{here}/x.jpg", "x" * 300):
        with pytest.raises(DataError, match=f"{absent}: .*nothing was written"):
            next(find_items([here, absent]))
    with pytest.raises(UsageError):
        next(find_items([""]))


def test_what_a_list_names_need_not_exist() -> None:
    assert [read_error(item) for item in items_from(["gone.jpg"])] == ["missing"]


def read_error(item: Item) -> str:
    from maskspot.images import open_rgb

    with pytest.raises(ImageError) as caught:
        open_rgb(item.load())
    return caught.value.status


def test_standard_input_is_an_image_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(PICTURE)))
    (item,) = find_items(["-"])
    assert (item.name, read(item), item.path) == ("-", PICTURE, None)
    with pytest.raises(UsageError, match="once"):
        names("-", "-")


# Large folders


@pytest.mark.parametrize("files", [3, 64])
def test_a_large_folder_is_sorted_through_files_that_are_closed_again(
    files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = os.fsdecode(b"\xff\n.jpg")
    plant(tmp_path, *(f"{number}.jpg" for number in range(300)), "7/x.jpg", odd)
    monkeypatch.setattr(folders, "_RUN", 20)
    monkeypatch.setattr(folders, "_OPEN", files)
    order = [f"{number}.jpg" for number in range(300)]
    order.insert(8 - 1, "7/x.jpg")
    before = os.listdir("/proc/self/fd")
    assert names(tmp_path) == [*order, odd]
    with closing(find_items([str(tmp_path)])) as half:  # type: ignore[type-var]
        next(half)
        assert len(os.listdir("/proc/self/fd")) > len(before)
    assert os.listdir("/proc/self/fd") == before


class Listing:
    """A folder of empty files that are nowhere."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> Iterator[SimpleNamespace]:
        for number in range(self.count):
            yield SimpleNamespace(
                name=f"{number * 7919 % self.count}.jpg",
                is_dir=lambda follow_symlinks: False,
                is_file=lambda: True,
            )

    def __exit__(self, *_: object) -> None: ...


def test_memory_does_not_grow_with_the_images_of_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_RUN", 200)
    monkeypatch.setattr(folders, "_OPEN", 8)
    peaks = []
    for count in (2_003, 8_009):
        monkeypatch.setattr(os, "scandir", lambda path, count=count: Listing(count))
        tracemalloc.start()
        last = -1
        for each in folders.walk("nowhere"):  # without pathlib, which interns names
            assert int(each.name.removesuffix(".jpg")) == last + 1
            last += 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert last == count - 1
    assert peaks[1] < 1.1 * peaks[0]


def test_no_room_to_sort_is_told_apart_from_a_bad_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "a.jpg", "b.jpg")
    monkeypatch.setattr(folders, "_RUN", 1)

    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(DataError, match=r"no disk space .*No space left on device.*TMPDIR"):
        names(tmp_path)


# Patterns


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a/*.jpg", "a/1.jpg a/2.jpg a/10.jpg"),
        ("a/?.jpg", "a/1.jpg a/2.jpg"),
        ("[ab]/1.*", "a/1.jpg b/1.png"),
        ("**/*.png", "b/1.png b/c/3.png"),
        ("b/**", "b/1.png b/c/3.png"),
        ("**/c/**/*.png", "b/c/3.png"),
        ("*", "a/1.jpg a/2.jpg a/10.jpg b/1.png b/c/3.png x[1].jpg"),
        ("./?/c", "./b/c/3.png"),
        ("*.bin", "x.bin"),
        ("x[1].jpg", "x[1].jpg"),
    ],
)
def test_a_pattern_stands_for_what_the_shell_would_put_there(
    pattern: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant(tmp_path, "a/1.jpg", "a/2.jpg", "a/10.jpg", "b/1.png", "b/c/3.png"))
    plant(tmp_path, "x[1].jpg", "x.bin", "a/notes.txt", ".h/1.jpg")
    assert names(pattern) == expected.split()
    assert names(f"{tmp_path}/{pattern}") == [
        f"{tmp_path}/{each}" for each in names(pattern.removeprefix("./"))
    ] or pattern.startswith("./")


def test_a_pattern_without_a_match_is_an_error(tmp_path: Path) -> None:
    for pattern in ("*.jpg", "none/*.jpg"):
        with pytest.raises(DataError):
            names(tmp_path / pattern)


def test_stars_in_a_row_cost_no_more_than_one(tmp_path: Path) -> None:
    deep = "d/" * 24
    plant(tmp_path, f"{deep}a.jpg", f"{deep}b.png")
    assert names(f"{tmp_path}/{'**/' * 24}*.jpg") == [f"{tmp_path}/{deep}a.jpg"]


def test_a_pattern_opens_archives_where_it_says_how_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant(tmp_path, "a.jpg"))
    make_zip(tmp_path / "1.zip", {"x.jpg": PICTURE})
    make_zip(tmp_path / "2.zip", {"x.jpg": PICTURE})
    assert names("*.zip") == ["1.zip/x.jpg", "2.zip/x.jpg"]
    assert names("*") == ["a.jpg"]


# Archives


def make_zip(path: Path, files: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w", form: int = 2) -> Path:
    with tarfile.open(path, mode, format=form) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


LONG = "long/" * 40 + "é.jpg"
FILES = {"b/img10.jpg": b"ten", "b/img2.jpg": b"two", "a.png": PICTURE * 9999, LONG: b"", "n": b"-"}
LEFT_OUT = {".h/a.jpg": b"", "__MACOSX/a.jpg": b"", "._a.jpg": b"", "readme.txt": b"no"}


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, 14])
def test_a_zip_is_read_in_place_in_natural_order_by_many_threads(kind: int, tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "pack.bin", FILES | LEFT_OUT, kind)
    found = list(find_items([str(archive)]))
    assert [item.name for item in found] == ["a.png", "b/img2.jpg", "b/img10.jpg", LONG]
    assert {item.path for item in found} == {archive}
    with ThreadPoolExecutor(8) as pool:
        for item, data in zip(found * 20, pool.map(read, found * 20), strict=True):
            assert data == FILES[item.name]
    assert names(archive, tmp_path / "pack.bin")[:1] == [f"{archive}/a.png"]


def test_names_in_a_zip_are_utf_8_where_they_can_be_whatever_it_says(tmp_path: Path) -> None:
    files = {"été/写真2.jpg": b"1", "été/写真10.jpg": b"2", "caf_.jpg": b"3"}
    data = bytearray(make_zip(tmp_path / "z.zip", files).read_bytes())
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        for each in re.finditer(mark, bytes(data)):
            data[each.start() + flags + 1] &= ~8  # that they are UTF-8
    (tmp_path / "z.zip").write_bytes(data.replace(b"caf_", "café".encode("cp437")))
    found = list(find_items([str(tmp_path / "z.zip")]))
    assert [item.name for item in found] == ["café.jpg", "été/写真2.jpg", "été/写真10.jpg"]
    assert [read(item) for item in found] == [b"3", b"1", b"2"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_read_in_its_own_order(mode: str, form: int, tmp_path: Path) -> None:
    files = {"./" + name: data for name, data in FILES.items()}
    archive = make_tar(tmp_path / "pack", LEFT_OUT | files, mode, form)
    found = list(find_items([str(archive)]))
    assert [item.name for item in found] == ["b/img10.jpg", "b/img2.jpg", "a.png", LONG]
    assert all(read(item) == FILES[item.name] for item in found)


def test_links_and_devices_in_archives_are_passed_over(tmp_path: Path) -> None:
    tar, packed = tmp_path / "t.tar", tmp_path / "z.zip"
    with tarfile.open(tar, "w") as archive:
        for name, kind in (
            ("l.jpg", tarfile.SYMTYPE),
            ("p.jpg", tarfile.FIFOTYPE),
            ("d.jpg", b"5"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("../../x.jpg"))
    with zipfile.ZipFile(packed, "w") as target:
        link = zipfile.ZipInfo("l.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        target.writestr(link, "/etc/passwd")
        target.writestr("d.jpg/", "")
        target.writestr("..\\..\\x.jpg", "")
    assert names(tar) == names(packed) == ["../../x.jpg"]


def test_compressed_tars_of_several_streams_are_read_to_their_end(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "t", FILES).read_bytes()
    for pack in (gzip.compress, bz2.compress):
        (tmp_path / "p").write_bytes(pack(whole[:1000]) + pack(whole[1000:]))
        assert len(names(tmp_path / "p")) == 4


def test_a_compressed_file_that_is_no_tar_is_for_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.jpg.gz").write_bytes(gzip.compress(PICTURE))
    (item,) = find_items([str(tmp_path / "a.jpg.gz")])
    assert read_error(item) == "unreadable"


def test_an_archive_without_images_is_an_error(tmp_path: Path) -> None:
    for archive in (make_zip(tmp_path / "z", LEFT_OUT), make_tar(tmp_path / "t", LEFT_OUT)):
        with pytest.raises(DataError, match="no images in this archive"):
            names(archive)


def test_a_bad_member_of_a_zip_is_an_error_of_its_own(tmp_path: Path) -> None:
    files = {f"{at}.jpg": bytes([at]) * 99 for at in range(6)}
    archive = make_zip(tmp_path / "z.zip", files, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    data[data.index(b"\1" * 99)] ^= 1  # its CRC is wrong now
    entries = [each.start() for each in re.finditer(b"PK\1\2", data)]
    data[entries[2] + 8] |= 1  # encrypted
    data[entries[3] + 10] = 97  # compressed in a way that nobody knows
    data[entries[4] + 42 : entries[4] + 46] = b"\xff\xff\xff\x7f"  # where no file is
    archive.write_bytes(data)
    found = list(find_items([str(archive)]))
    assert [read(found[at]) for at in (0, 5)] == [files["0.jpg"], files["5.jpg"]]
    for at, why in ((1, "damaged"), (2, "encrypted"), (3, "unusual"), (4, "damaged")):
        with pytest.raises(ImageError, match=why):
            found[at].load()


def test_members_that_are_too_large_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "LARGEST", 10_000)
    files = {"a.jpg": b"0" * 10_001, "b.jpg": b"0" * 9_999}
    archives = [make_zip(tmp_path / "z", files, zipfile.ZIP_STORED)]
    archives += [make_tar(tmp_path / f"t{mode[2:]}", files, mode) for mode in ("w", "w:gz")]
    for archive in archives:
        large, fine = find_items([str(archive)])
        assert read(fine) == files["b.jpg"]
        assert read_error(large) == "too large"
    monkeypatch.setattr(containers, "LARGEST", 2**30)
    monkeypatch.setattr(containers, "LIMITS", ArchiveLimits(floor=1000))
    files = {"a.jpg": b"0" * 10**5, "b.jpg": random.Random(0).randbytes(3000)}
    bomb, _ = find_items([str(make_zip(tmp_path / "y", files))])
    assert read_error(bomb) == "too large"


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("name", ["a{}.jpg", "a{}.txt"])
def test_a_tar_that_grows_without_end_is_given_up(
    mode: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "LIMITS", ArchiveLimits(floor=2**20))
    files = {name.format(at): bytes(2**16) for at in range(20)}
    archive = make_tar(tmp_path / "t", files, mode)
    seen, error = until_error(find_items([str(archive)]))
    assert error.startswith(
        f"{archive}: holds more than {2**20} bytes, too many for its size; replace"
    )
    assert len(seen) == (15 if name.endswith("jpg") else 0)


def test_a_zip_whose_images_are_too_many_for_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "LIMITS", ArchiveLimits(floor=2**20))
    archive = make_zip(tmp_path / "z", {f"{at}.jpg": bytes(2**16) for at in range(20)})
    seen, error = until_error(find_items([str(archive)]))
    assert not seen
    assert error.startswith(f"{archive}: holds 1310720 bytes of images, too many for its size")
    stored = make_zip(tmp_path / "s", {"a.jpg": bytes(10), "b.jpg": b""}, zipfile.ZIP_STORED)
    assert len(list(find_items([str(stored)]))) == 2


def test_a_zip_whose_members_share_bytes_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("0.jpg", bytes(10**6))
        file.writestr("pad", random.Random(0).randbytes(10**5))  # so that it is large enough
        for at in range(1, 20):
            info = copy(file.infolist()[0])
            info.filename = f"{at}.jpg"
            file.filelist.append(info)
    seen, error = until_error(find_items([str(tmp_path / "z")]))
    assert not seen
    assert error.startswith(f"{tmp_path}/z: holds files that overlap; replace it")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_only_an_archive_that_is_compressed_has_a_most_of_files(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "LIMITS", ArchiveLimits(files=3))
    items = find_items([str(make_tar(tmp_path / "t", FILES, mode))])
    if mode == "w":
        assert len(list(items)) == 4
    else:
        seen, error = until_error(items)
        assert (len(seen), "holds more than 3 files" in error) == (3, True)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_of_a_tar_that_is_cut_short_stands_what_came_before(mode: str, tmp_path: Path) -> None:
    files = {f"{at}.jpg": random.Random(at).randbytes(2000) for at in range(8)}
    data = make_tar(tmp_path / "t", files, mode).read_bytes()
    for size in (len(data) // 2, len(data) // 2 + 700, 2560 * 4 if mode == "w" else len(data) - 20):
        (tmp_path / "cut").write_bytes(data[:size])
        seen, error = until_error(find_items([str(tmp_path / "cut")]))
        assert all(read(item) == files[item.name] for item in seen)
        assert seen or mode == "w:bz2"
        assert re.match(rf"{tmp_path}/cut: .*is damaged.* cut short.*; replace it", error)


def test_damage_in_the_middle_of_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    files = {f"{at}.jpg": b"x" * 500 for at in range(6)}
    data = bytearray(make_tar(tmp_path / "t", files).read_bytes())
    data[1024 * 3 + 5] ^= 1
    (tmp_path / "t").write_bytes(data)
    seen, error = until_error(find_items([str(tmp_path / "t")]))
    assert [item.name for item in seen] == ["0.jpg", "1.jpg", "2.jpg"]
    assert "damaged" in error


def test_a_damaged_directory_of_a_zip_is_an_error_that_names_it(tmp_path: Path) -> None:
    data = make_zip(tmp_path / "z", FILES).read_bytes()
    (tmp_path / "z").write_bytes(data[:-30])
    seen, error = until_error(find_items([str(tmp_path / "z")]))
    assert not seen
    assert error.startswith(f"{tmp_path}/z: is damaged, cut short")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_no_damage_to_an_archive_has_another_outcome_than_an_error(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    rng = random.Random(5)
    whole = make(tmp_path / "whole", {f"{at}.jpg": rng.randbytes(300) for at in range(4)})
    data = whole.read_bytes().rstrip(b"\0") + bytes(1024)
    for _ in range(150):
        bad = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        (tmp_path / "bad").write_bytes(bad[: rng.choice([len(bad), rng.randrange(len(bad))])])
        with suppress(DataError):
            for item in find_items([str(tmp_path / "bad")]):
                with suppress(ImageError):
                    item.load()


def test_a_tar_cannot_make_us_hold_a_header_of_any_size(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**24
    header = info.tobuf(tarfile.USTAR_FORMAT)
    with gzip.open(tmp_path / "t", "wb") as stream:
        stream.write(header + bytes(2**24))
    tracemalloc.start()
    seen, _ = until_error(find_items([str(tmp_path / "t")]))
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert not seen


def test_archives_are_closed_with_the_last_of_their_images(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for archive in (make_zip(tmp_path / "z", FILES), make_tar(tmp_path / "t", FILES, "w:gz")):
        items = find_items([str(archive)])
        item = next(items)
        del items
        read(item)
        del item
    assert os.listdir("/proc/self/fd") == before


# URLs


@pytest.fixture
def server() -> Iterator[str]:
    """A loopback server: a page of links, images, and refusals."""
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            links = ("img10.jpg", "img2.jpg?C=N", "../", "/", "sub/", "n.txt", "x.bin", ".h.jpg")
            page = "".join(f'<a href="{each}">x</a>' for each in links).encode()
            pages = {
                "/in/": page,
                "/out/": b"<a href=/in/a.jpg><a href=sub/b.png><a href=/in/><a href=sub/c.txt>",
                "/in/img2.jpg": PICTURE,
                "/in/a::b.jpg": PICTURE,
                "/in/::reference::http://x.jpg": PICTURE,
                "/in/img10.jpg": PICTURE,
                "/large": b"0" * 999,
            }
            if path.startswith("/echo"):
                pages[path] = self.path.encode()
            code = 403 if path == "/secret.jpg" else 200 if path in pages else 404
            self.send_response(code)
            self.send_header("Content-Type", "text/html" if path.endswith("/") else "image/jpeg")
            body = pages.get(path, b"")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_an_image_on_the_web_is_read_in_a_thread(server: str) -> None:
    url = f"http://{server}/in/img2.jpg"
    (item,) = find_items([url])
    assert (item.name, item.path) == (url, None)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, [item] * 8)) == [PICTURE] * 8


def test_a_page_of_links_is_a_folder(server: str) -> None:
    assert names(f"http://{server}/in/") == ["img2.jpg", "img10.jpg"]
    assert names(f"http://{server}/in/*2.jpg") == [f"http://{server}/in/img2.jpg"]
    assert names(f"http://{server}/in/*.bin") == [f"http://{server}/in/x.bin"]
    first, _ = items_from([f"http://{server}/in/"])
    assert (first.name, read(first)) == (f"http://{server}/in/img2.jpg", PICTURE)
    with pytest.raises(DataError, match="no images there"):
        names(f"http://{server}/in/*.png")
    with pytest.raises(DownloadError, match=r"/none/: cannot be listed"):
        names(f"http://{server}/none/")


def test_what_a_page_links_to_and_is_no_image_there_is_counted(server: str) -> None:
    passed = Counter[str]()
    assert len(list(find_items([f"http://{server}/in/"], passed))) == 2
    assert passed == {"not named as images": 2, "hidden": 1, "linked as folders": 1}
    passed.clear()
    list(items_from([f"http://{server}/in/*.jpg"], passed))
    assert not passed
    with pytest.raises(DataError):
        list(find_items([f"http://{server}/out/"], passed))
    assert passed == {"linked in other folders": 2}


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<a href=./a.png><A HREF='b.png' >", ["a.png", "b.png"]),
        ('<a href="a&amp;b.png"><a href=" c d.png\n">', ["a&b.png", "c d.png"]),
        (
            '<a href="x%3Ay.png"><a href="/in/e.png#top"><a href="/on/f.png">',
            ["x%3Ay.png", "e.png"],
        ),
        (
            '<!-- <a href="no.png"> --><script>"<a href=no.png>"</script><a x=">" href=g.png>',
            ["g.png"],
        ),
        ("<a href=a.png><a href=http://[.png><a name=x>", ["a.png"]),
        ('<base href="sub/.."><a href="h.png"><a href="i.png', ["h.png"]),
        ("<abbr href=no.png></a href=no.png><a href=no.png href2", []),
    ],
)
def test_links_are_resolved_as_browsers_do(page: str, found: list[str]) -> None:
    every = (each.removeprefix("http://h/in/") for each in links(page, "http://h/in/"))
    assert [each for each in every if not each.startswith("http")] == found


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<a ",
            "<a href",
            "<a href=",
            '<a href="',
            "<a b='",
            "<!--",
            "<",
            "</",
            "<script>",
            "<a\t",
        ),
        *("&", "&#", "<a href='x'", "<base href=x>", " ", "=", "<a =", "<a href=x>", "<a a a a a"),
    ],
)
def test_no_page_takes_longer_than_its_length_says(piece: str) -> None:
    def seconds(count: int) -> float:
        started = time.process_time()
        deque(links(piece * count, "http://h/"), maxlen=0)
        return time.process_time() - started

    seconds(10)
    count = 40_000 // len(piece)
    assert seconds(4 * count) < 12 * seconds(count) + 0.1


@pytest.mark.parametrize("scheme", ["reference::http", "simplecache::file", "zip", "github", "git"])
def test_only_known_kinds_of_urls_are_read_and_no_chains(scheme: str) -> None:
    for give in (find_items, items_from):
        with pytest.raises(UsageError, match=f"{scheme}://: not a supported kind of URL"):
            list(give([f"{scheme}://h/a.jpg"]))


@pytest.mark.parametrize(
    "url",
    ["http://{}/in/a::b.jpg", "http://{}/in/::reference::http://x.jpg", "http://[::1]:9/a.jpg"],
)
def test_colons_inside_a_url_are_no_chain(
    url: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a chain was parsed")

    monkeypatch.setattr("fsspec.core._un_chain", fail)
    (item,) = find_items([url.format(server)])
    if "[" in url:
        with pytest.raises(ImageError, match="Connect"):
            item.load()
    else:
        assert read(item) == PICTURE


def test_a_page_without_an_end_is_given_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LONGEST", 20)
    with pytest.raises(DownloadError, match="the page has more than 20 bytes"):
        names(f"http://{server}/in/")


def test_a_url_is_asked_for_as_it_was_given(server: str) -> None:
    query = "%3A/a%27b%40c%28d%29.png?Signature=a%2Fb%7Ec%40d"
    (item,) = find_items([f"http://{server}/echo{query}"])
    assert read(item).decode() == f"/echo{query}"


def test_what_a_server_refuses_has_its_reason_and_status(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LARGEST", 998)
    found = find_items([f"http://{server}/{name}" for name in ("gone.jpg", "secret.jpg", "large")])
    reasons = []
    for item in found:
        with pytest.raises(ImageError) as caught:
            item.load()
        reasons.append((caught.value.status, str(caught.value)))
    assert [status for status, _ in reasons] == ["missing", "unreadable", "too large"]
    assert reasons[1][1] == "the server answered 403"


@pytest.mark.parametrize(
    "url",
    [
        "http://annie:hunter2@{}/in/img2.jpg?sig=hunter2#hunter2",
        "http://annie:hunter2@{}/gone.jpg?sig=hunter2",
        "http://annie:hunter2@{}/secret.jpg?sig=hunter2",
        "http://annie:hunter2@{}/in/?sig=hunter2",
        "http://annie:hunter2@{}/gone/*.jpg?sig=hunter2",
        "http://annie:hunter2@{}/*/*.jpg",
        "http://annie:hunter2@127.0.0.1:1/in/?sig=hunter2",
        "http://annie:hunter2@127.0.0.1:1/x.jpg?sig=hunter2",
        "http://annie:hunter/2@{}/x.jpg",
        "http://annie:hunter?2@{}/x.jpg",
        "http://annie:hunter2@{}:x/",
        "ftp://annie:hunter2@127.0.0.1:1/x.jpg",
        "ftp://annie:hunter2@127.0.0.1:1/x/",
        "none://annie:hunter2@host/x.jpg?hunter2",
        "none://annie:hunter2@host/x/",
        "simplecache::http://annie:hunter2@{}/secret.jpg?sig=hunter2",
    ],
)
def test_what_is_secret_in_a_url_is_in_no_name_and_no_error(url: str, server: str) -> None:
    shown = []
    try:
        for item in find_items([url.format(server)]):
            shown.append(item.name)
            item.load()
    except MaskspotError as error:
        shown += [str(error), str(error.__cause__)]
    assert shown
    assert not any("hunter" in text or "annie" in text or "\n" in text for text in shown)


def test_a_store_of_objects_is_listed_and_read() -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    stored = ("d/img10.jpg", "d/img2.jpg", "d/e/1.png", "d/n.txt", "d/.h/1.jpg", "d/q[1]?.jpg")
    for name in stored:
        memory.pipe(f"/{name}", PICTURE)
    try:
        assert names("memory://d/") == ["e/1.png", "img2.jpg", "img10.jpg", "q[1]"]
        assert names("memory://d/img?.jpg") == ["memory://d/img2.jpg"]
        assert names("memory://d/**/*.png") == ["memory://d/e/1.png"]
        assert names("memory://d/*.txt") == ["memory://d/n.txt"]
        passed = Counter[str]()
        for pattern in ("memory://d/", "memory://d/*.jpg"):
            list(find_items([pattern], passed))
            assert passed == {"not named as images": 1, "hidden": 1}
        assert all(read(item) == PICTURE for item in find_items(["memory://d/"]))
        assert read_error(next(find_items(["memory://gone.jpg"]))) == "missing"
        with pytest.raises(DataError, match="must end in a slash"):
            names("memory://gone/")
    finally:
        memory.rm("/d", recursive=True)


def test_a_url_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"http://host/a.jpg .*pip install 'maskspot\[remote\]'"):
        names("http://u:p@host/a.jpg")


def test_nothing_but_a_url_asks_for_fsspec(tmp_path: Path) -> None:
    make_zip(tmp_path / "z.zip", FILES)
    code = (
        "import sys; from maskspot.inputs.items import find_items; "
        "light = {'zipfile', 'tarfile', 'csv', 'numpy', 'PIL', 'fsspec'} & set(sys.modules); "
        f"list(find_items([{str(tmp_path)!r} + '/*.zip'])); "
        "print(light, 'fsspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set() False\n"


# Lists


@settings(max_examples=40)
@given(st.lists(WORDS, min_size=1))
@example(["caf\udce9.jpg", " ", "b.jpg "])
def test_a_list_gives_what_was_written_into_it(paths: list[str]) -> None:
    encoded = [path.encode("utf-8", "surrogateescape") for path in paths]
    for end in (b"\n", b"\r\n", b"\n\n", b"\0"):
        for mark in (b"", b"\xef\xbb\xbf"):
            data = mark + b"".join(each + end for each in encoded)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
                expected = [
                    each.removeprefix("\ufeff") if not mark and not at else each
                    for at, each in enumerate(paths)
                ]
                expected = [each for each in expected if each.strip()]
                if expected:
                    assert list(listed("-")) == expected
                    continue
                with pytest.raises(DataError):
                    list(listed("-"))


@pytest.mark.parametrize(
    ("name", "text"), [("list.txt", ""), ("list.txt", "\n \n\n"), ("list.csv", "image\n\n")]
)
def test_a_list_that_names_nothing_is_an_error_as_a_folder_without_images_is(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"^listing: .*{name}: names no images"):
        list(listed(str(tmp_path / name)))


def test_a_list_is_read_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = os.pipe()
    with open(source, "rb") as reading, open(target, "wb", buffering=0) as writing:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=reading))
        lines = listed("-")
        writing.write(b"a.jpg\nb.j")
        assert next(lines) == "a.jpg"
        writing.write(b"pg\n")
        assert next(lines) == "b.jpg"


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("id,Image\n1,a.jpg\n\n2,\n3,b.jpg\n", None, ["a.jpg", "b.jpg"]),
        ("target,ID\r\n0,a.jpg\r\n", None, ["a.jpg"]),
        ('\ufefffile\n"a, b.jpg"\n', None, ["a, b.jpg"]),
        ("image,Photo\nx,a.jpg\n", "photo", ["a.jpg"]),
        ("image, path\nx, a.jpg\n", "path", ["a.jpg"]),
    ],
)
def test_a_column_of_a_csv_is_a_list(
    text: str, column: str | None, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text(text)
    assert list(listed(str(tmp_path / "list.csv"), column)) == expected


@pytest.mark.parametrize(
    ("data", "column", "error"),
    [
        (b"name,label\na.jpg,1\n", None, "name one of its columns; its first line is name,"),
        (
            b"name,label\na.jpg,1\n",
            "image",
            "no column image; its first line is name, label",
        ),
        (b"a.jpg\nb.jpg\n", None, "name one of its columns; its first line is a.jpg"),
        (b"", None, "empty"),
        (b"x,image\n1\n", None, "row 2: no column image"),
        (b"image\n" + b"x" * 200_000, None, "row 2: field larger"),
    ],
)
def test_a_csv_that_is_no_list_is_an_error(
    data: bytes, column: str | None, error: str, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(MaskspotError, match=rf"^listing: .*list.csv.*{error}"):
        list(listed(str(tmp_path / "list.csv"), column))


def test_a_list_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "wide.txt").write_text("a.jpg\n", encoding="utf-16")
    (tmp_path / "data.bin").write_bytes(b"x" * 3_000_000)
    for source, why in (
        (tmp_path / "gone.txt", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "wide.txt", "save it as UTF-8"),
        (tmp_path / "data.bin", "not a list of paths"),
        ("https://annie:hunter2@host/list.txt", "not a URL"),
    ):
        with pytest.raises(MaskspotError, match=rf"^listing: .*{why}") as caught:
            list(listed(str(source)))
        assert "hunter2" not in str(caught.value)


def test_paths_of_a_list_are_images_folders_and_archives_named_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant(tmp_path, "d/1.jpg"))
    make_zip(tmp_path / "z.zip", {"x.jpg": b""})
    found = items_from(["./d", "z.zip", "gone*.jpg", "-", "d/1.jpg"])
    assert [each.name for each in found] == [
        *("./d/1.jpg", "z.zip/x.jpg", "gone*.jpg", "-", "d/1.jpg"),
    ]


# Submissions


def test_a_submissions_images_are_chosen_as_training_chooses_them(tmp_path: Path) -> None:
    plant(tmp_path / "d", "a.jpg", "in/b.png", "in/c.jpg", "c.png")
    wanted = ["b", " in/c.jpg", "a.jpg", "c.png"]
    chosen = match_items(wanted, find_items([str(tmp_path / "d")]), Path("sample.csv"))
    images = match_names(wanted, find_images([tmp_path / "d"]), Path("sample.csv"))
    assert [item.name for item in chosen] == wanted == list(images)
    assert [item.path for item in chosen] == list(images.values())
    for bad, error in (
        ("c", "c may be c.png or in/c.jpg; say which"),
        ("z", "1 of the .* there: z$"),
    ):
        with pytest.raises(DataError, match=f"^sample.csv: {error}"):
            match_items([bad], find_items([str(tmp_path / "d")]), Path("sample.csv"))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_of_a_tar_only_what_a_submission_names_stays_in_memory(mode: str, tmp_path: Path) -> None:
    files = {f"{at}.jpg": random.Random(at).randbytes(100_000) for at in range(200)}

    def peak(count: int) -> int:
        archive = make_tar(tmp_path / "t", dict(list(files.items())[:count]), mode)
        tracemalloc.start()
        chosen[:] = match_items(["7", "3.jpg"], find_items([str(archive)]), Path("s.csv"))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    chosen: list[Item] = []
    peak(100)
    assert peak(200) - peak(100) < 200_000  # of 10,000,000; newer Pythons read more ahead
    assert [read(item) for item in chosen] == [files["7.jpg"], files["3.jpg"]]


# The documents


def test_every_input_that_the_documents_name_can_be_pointed_at(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(pictures, "photos/images")
    shutil.copyfile("photos/images/a.jpg", "photos/images/example.jpg")
    shutil.make_archive("photos", "zip", "photos")
    shutil.make_archive("photos", "gztar", "photos")
    text = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| `([^`|]+)` \|", text, re.MULTILINE)
    local = [row for row in rows if "://" not in row and row != "-"]
    assert len(local) >= 5
    for row in local:
        assert read(next(find_items([row])))
    assert all(f"`{suffix}`" in text for suffix in folders.SUFFIXES)
