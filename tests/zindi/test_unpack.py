"""Archives into folders: what is whole arrives, what is hostile does not, nothing else moves."""

import bz2
import gzip
import io
import lzma
import multiprocessing
import os
import random
import signal
import stat
import struct
import sys
import tarfile
import tempfile
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.archives.limits import ArchiveError, ArchiveLimits
from maskspot.progress import Silent, Step
from maskspot.zindi.unpack import unpack

FILES = {"a.jpg": b"first", "sub/b.jpg": b"", "sub/deep/c.jpg": bytes(range(256)) * 300}
PACK: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
FORMATS = ["zip", *PACK]


def pack(kind: str, files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
            for name, data in files.items():
                made.writestr(name, data)
        return content.getvalue()
    with tarfile.open(fileobj=content, mode="w") as tape:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o7777
            tape.addfile(info, io.BytesIO(data))
    return PACK[kind](content.getvalue())


def save(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """All files in a folder; folders without any, and links, show as well."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[f"{name} -> {path.readlink()}"] = b""
        elif path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[f"{name}/"] = b""
    return found


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


class Watching(Silent):
    """A `Progress` that calls a function with each report of how many files are in place."""

    def __init__(self, done: Callable[[int, int], object]) -> None:
        self.done = done

    @contextmanager
    def step(self, name: str, unit: str = "", total: float | None = None) -> Iterator[Step]:
        yield self

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self.done(int(done), int(total or 0))


def refusal(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(ArchiveError) as caught:
        unpack(archive, folder, limits or ArchiveLimits())
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 600
    assert "; " in text
    assert caught.value.exit_code == 3
    return text


# What is whole arrives.


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_told_by_its_content(tmp_path: Path, kind: str) -> None:
    archive = save(tmp_path / "data.bin", pack(kind, FILES))
    seen: list[tuple[int, int]] = []
    names = unpack(
        archive, tmp_path / "images", progress=Watching(lambda *counts: seen.append(counts))
    )
    assert names == sorted(FILES)
    assert tree(tmp_path) == {
        "data.bin": archive.read_bytes(),
        **{f"images/{name}": data for name, data in FILES.items()},
    }
    assert sorted(set(seen)) == seen[-4:] == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("top", ["", "images/", "IMAGES/", "./images/", "./"])
def test_a_top_folder_called_like_the_target_is_dropped(
    tmp_path: Path, kind: str, top: str
) -> None:
    archive = save(tmp_path / "x", pack(kind, {f"{top}{name}": FILES[name] for name in FILES}))
    assert unpack(archive, tmp_path / "images") == sorted(FILES)
    assert tree(tmp_path / "images") == FILES


def test_another_top_folder_stays_and_so_does_one_of_only_some_files(tmp_path: Path) -> None:
    other = save(tmp_path / "x", pack("zip", {"photos/a": b"1", "photos/b": b"2"}))
    assert unpack(other, tmp_path / "images") == ["photos/a", "photos/b"]
    some = save(tmp_path / "y", pack("zip", {"some/a": b"1", "b": b"2"}))
    assert unpack(some, tmp_path / "some") == ["b", "some/a"]
    twice = save(tmp_path / "z", pack("zip", {"two/two/a": b"1"}))
    assert unpack(twice, tmp_path / "two") == ["two/a"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_systems_leave_behind_is_left_out_and_folders_alone_make_none(
    tmp_path: Path, kind: str
) -> None:
    junk = ["__MACOSX/._a.jpg", ".DS_Store", "sub/Thumbs.db", "sub/desktop.ini", "sub/._b", "._x/y"]
    files = {"images/" + name: b"junk" for name in junk[1:]} | {junk[0]: b"junk"}
    archive = save(tmp_path / "x", pack(kind, {**files, "images/a.jpg": b"1"}))
    if kind == "zip":
        with zipfile.ZipFile(archive, "a") as made:
            made.writestr("images/empty/", b"")
            made.writestr("images\\empty too\\", b"")
    assert unpack(archive, tmp_path / "images") == ["a.jpg"]
    assert tree(tmp_path / "images") == {"a.jpg": b"1"}


def test_backslashes_part_folders_as_they_do_on_windows(tmp_path: Path) -> None:
    archive = save(tmp_path / "x", pack("zip", {"images\\sub\\a.jpg": b"1"}))
    assert unpack(archive, tmp_path / "images") == ["sub/a.jpg"]


def test_names_in_a_zip_are_utf_8_where_they_can_be_whatever_it_says(tmp_path: Path) -> None:
    archive = save(tmp_path / "x", forge(Forged("é.jpg".encode()), Forged("ü.jpg".encode("cp437"))))
    assert unpack(archive, tmp_path / "images") == ["é.jpg", "ü.jpg"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_long_and_foreign_names_of_every_kind_of_tar_are_read(tmp_path: Path, form: int) -> None:
    names = [f"{'d' * 60}/{'e' * 60}/{'f' * 60}.jpg", "grün/日本 12:30.jpg", "con.jpg"]
    with tarfile.open(tmp_path / "x", "w", format=form, pax_headers={"comment": "all"}) as tape:
        for name in names:
            tape.addfile(tarfile.TarInfo(name))
        tape.add(tmp_path, "folder", recursive=False)
    assert unpack(tmp_path / "x", tmp_path / "images") == sorted(names)


def test_files_get_ordinary_permissions(tmp_path: Path) -> None:
    unpack(save(tmp_path / "x", pack("tar", FILES)), tmp_path / "images")
    mask = os.umask(0o022)
    os.umask(mask)
    modes = {stat.S_IMODE((tmp_path / "images" / name).stat().st_mode) for name in FILES}
    assert modes == {0o666 & ~mask}


JUNK = ("__macosx", ".ds_store", "thumbs.db", "desktop.ini")
"""What systems leave in folders: it is not unpacked, and has a test of its own."""

PART = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/\\:"),
    min_size=1,
    max_size=12,
).filter(lambda part: part.strip(".") and not part.startswith("._") and part.lower() not in JUNK)


def folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Files of wild names and contents, no two the same to any file system."""
    files: dict[str, bytes] = {}
    taken: dict[str, str] = {}
    for parts in draw(st.lists(st.lists(PART, min_size=1, max_size=4), min_size=1, max_size=8)):
        ways = {"/".join(parts[:end]) + "/": None for end in range(1, len(parts))}
        name = "/".join(parts)
        fits = all(taken.get(folded(way[:-1]), way) == way for way in ways)
        if fits and folded(name) not in taken:
            taken |= {folded(way[:-1]): way for way in ways} | {folded(name): name}
            files[name] = draw(st.binary(max_size=2000))
    return files


@given(files=trees(), kind=st.sampled_from(FORMATS), most=st.integers(0, 9))
def test_any_tree_comes_back_whole_also_after_an_interruption(
    tmp_path: Path, files: dict[str, bytes], kind: str, most: int
) -> None:
    def stop(count: int, _: int) -> None:
        if count > most:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        place = Path(name)
        archive = save(place / "x", pack(kind, files))
        if most < len(files):
            with pytest.raises(KeyboardInterrupt):
                unpack(archive, place / "to-be-filled", progress=Watching(stop))
        assert unpack(archive, place / "to-be-filled") == sorted(files)
        archive.unlink()
        assert tree(place) == {f"to-be-filled/{name}": data for name, data in files.items()}


# What is hostile or damaged does not.


@dataclass
class Forged:
    """A member of a zip whose headers say what they are told to."""

    name: str | bytes = "evil"
    data: bytes = b"12345"
    packed: bytes | None = None
    size: int | None = None
    packed_size: int | None = None
    crc: int | None = None
    method: int = 0
    flags: int = 0
    mode: int = 0
    local: bytes | None = None
    offset: int | None = None
    extra: bytes = b""


GOOD = Forged("good.jpg", b"good")
MIB = bytes(2**20)


def forge(*members: Forged) -> bytes:
    content, listed = b"", b""
    for member in members:
        name = member.name.encode() if isinstance(member.name, str) else member.name
        at = len(content) if member.offset is None else member.offset
        fields = headers(member)
        listed += struct.pack("<4s2H", b"PK\1\2", 0x314, 20) + fields
        listed += struct.pack("<5H2I", len(name), len(member.extra), 0, 0, 0, member.mode << 16, at)
        listed += name + member.extra
        if member.offset is None:
            content += front(member) + (member.data if member.packed is None else member.packed)
    counts = (0, 0, len(members), len(members), len(listed), len(content), 0)
    return content + listed + struct.pack("<4s4H2IH", b"PK\5\6", *counts)


def headers(member: Forged) -> bytes:
    """What a member's two headers have in common."""
    flags = member.flags | (0x800 if isinstance(member.name, str) else 0)
    crc = zlib.crc32(member.data) if member.crc is None else member.crc
    packed = len(member.data if member.packed is None else member.packed)
    packed = packed if member.packed_size is None else member.packed_size
    size = len(member.data) if member.size is None else member.size
    return struct.pack("<4H3I", flags, member.method, 0, 33, crc, packed, size)


def front(member: Forged) -> bytes:
    name = member.name.encode() if isinstance(member.name, str) else member.name
    name = name if member.local is None else member.local
    common = struct.pack("<4sH", b"PK\3\4", 20) + headers(member)
    return common + struct.pack("<2H", len(name), 0) + name


def named(*names: str | bytes) -> bytes:
    return forge(GOOD, *(Forged(name) for name in names))


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, 9, wbits=-15)


def overlapping() -> bytes:
    """Members that are all right but for sharing one kernel: each holds the next as a quotation."""
    members = [Forged("9", MIB, deflated(MIB), method=8)]
    for n in reversed(range(9)):
        quoted, last = front(members[0]), members[0]
        quote = struct.pack("<BHH", 0, len(quoted), 0xFFFF ^ len(quoted)) + quoted
        packed = quote + (last.packed or b"")
        members.insert(0, Forged(str(n), quoted + last.data, packed, method=8))
    step = len(front(members[0])) + 5
    return forge(members[0], *(replace(m, offset=n * step) for n, m in enumerate(members[1:], 1)))


ZIPS = {
    **{f"zip name {name[:12]!r}": named(name) for name in (
        "../evil", "a/../../evil", "a/..", "..", "/evil", "//host/evil", "\\evil", "..\\evil",
        "a\\..\\..\\evil", "\\\\host\\evil", "C:\\evil", "c:evil", "./C:/evil", "", ".", "../",
        "/evil/", "nul\0byte", "new\nline", "\x1b[2Jcleared", "\x7f", "\x85", "line\u2028line",
        "é" * 128, "a/" * 32 + "deep", f"{'l' * 200}/" * 6 + "long", "__MACOSX/../../evil",
    )},
    "zip name of no encoding": forge(GOOD, Forged(b"\xff\xfe", flags=0x800)),
    "zip with two of one name": named("a.jpg", "a.jpg"),
    "zip with two of one name but for case": named("a.jpg", "A.JPG"),
    "zip with two of one name but for accents": named("\u00e9", "e\u0301"),
    "zip with two of one name but for case and accents": named("\u00c9", "e\u0301"),
    "zip with two of one name but for a sigma": named("\u03c2", "\u03c3"),
    "zip with two of one name but for the order of accents": named("\u03b1\u0345\u0301",
                                                                  "\u03b1\u0301\u0345"),
    "zip with two of one name but for a dot": named("a", "./a"),
    "zip with two of one name but for a slash": named("a/b", "a\\b"),
    "zip with two spellings of a folder": named("a/b", "A/c"),
    "zip with a file that is a folder": named("a", "a/b"),
    "zip with a folder that is a file": named("a/b", "a"),
    "zip with an empty folder that is a file": forge(GOOD, Forged("a/", b""), Forged("a")),
    **{f"zip with mode {mode:o}": forge(GOOD, Forged(mode=mode))
       for mode in (0o120777, 0o10644, 0o20644, 0o60644, 0o140644, 0o40755)},
    **{f"zip with flags {flags}": forge(GOOD, Forged(flags=flags)) for flags in (1, 0x20, 0x40)},
    **{f"zip with method {method}": forge(GOOD, Forged(method=method))
       for method in (1, 9, 12, 14, 93, 99)},
    "zip with a size too small": forge(GOOD, Forged(size=3, packed_size=3)),
    "zip with a deflated size too small": forge(GOOD, Forged(packed=deflated(MIB), method=8)),
    "zip with a size too large": forge(GOOD, Forged(size=7)),
    "zip with a deflated size too large": forge(
        GOOD, Forged(packed=deflated(b"12345"), method=8, size=9)
    ),
    "zip with a packed size too small": forge(
        GOOD, Forged("x", MIB, deflated(MIB), packed_size=9, method=8)
    ),
    "zip with a wrong CRC": forge(GOOD, Forged(crc=1)),
    "zip with noise for deflate": forge(GOOD, Forged(packed=b"\xff" * 9, method=8)),
    "zip with another name in front": forge(GOOD, Forged(local=b"../evil")),
    "zip with nothing at an offset": forge(GOOD, Forged(offset=3)),
    "zip with an offset after the end": forge(GOOD, Forged(offset=2**31)),
    "zip with an offset of 64 bits": forge(GOOD, Forged(
        offset=2**32 - 1, extra=struct.pack("<HHQ", 1, 8, 2**63 + 5))),
    "zip with a size of 64 bits": forge(GOOD, Forged(
        size=2**32 - 1, extra=struct.pack("<HHQ", 1, 8, 2**64 - 2))),
    "zip with half an extra field": forge(GOOD, Forged(extra=b"\1\0\x40\0")),
    "zip with a folder that has content": named("a/"),
    "zip with files that overlap": overlapping(),
    "zip that grows too much": forge(GOOD, Forged("x", MIB * 9, deflated(MIB * 9), method=8)),
    "zip of folders": forge(Forged("a/", b""), Forged("b/", b"")),
    "zip of nothing": forge(),
    "zip cut in its list": pack("zip", FILES)[:-30],
    "zip cut in its files": pack("zip", FILES)[:200],
    "zip cut in front": b"PK\3\4" + pack("zip", FILES)[60:],
    "zip that is listed elsewhere": pack("zip", FILES)[:-6] + b"\xff\xff\xff\xff\0\0",
}  # fmt: skip


def block(
    name: bytes = b"evil",
    data: bytes = b"12345",
    kind: bytes = b"0",
    size: bytes | None = None,
    prefix: bytes = b"",
) -> bytes:
    """A member of a tar, the header as told but for its checksum."""
    size = b"%011o\0" % len(data) if size is None else size
    head = struct.pack("100s8s8s8s12s12s", name, b"0000777\0", *[b"0000000\0"] * 2, size, b"0" * 11)
    rest = struct.pack("8sc100s8s32s32s8s8s155s12x", b" " * 8, kind, b"../canary.txt",
                       b"ustar\x0000", b"", b"", b"", b"", prefix)  # fmt: skip
    total = b"%06o\0 " % sum(head + rest)
    return head + total + rest[8:] + data + bytes(-len(data) % 512)


def pax(**fields: str) -> bytes:
    lines = [f" {key.replace('__', '.')}={value}\n".encode() for key, value in fields.items()]
    return block(b"pax", b"".join(b"%03d" % (len(line) + 3) + line for line in lines), b"x")


BEFORE, END = block(b"good.jpg"), bytes(1024)
TARS = {
    **{f"tar name {name[:12]!r}": block(name) for name in (
        b"../evil", b"/evil", b"a/../../evil", b"..\\evil", b"C:/evil", b"\x1b[2J", b"caf\xe9",
        b"", b".", b"good.jpg", b"GOOD.JPG", b"good.jpg/x",
    )},
    "tar prefix that leads out": block(prefix=b"../.."),
    **{f"tar with type {kind!r}": block(kind=kind, data=b"")
       for kind in (b"1", b"2", b"3", b"4", b"6", b"S", b"D", b"M", b"V", b"X", b"Z", b"\xff")},
    "tar with a folder that leads out": block(b"../evil/", b"", b"5"),
    "tar with a longer name that leads out": block(b"././@LongLink", b"../evil\0", b"L") + block(),
    "tar with a longer name of a gigabyte": block(b"x", b"", b"L", b"%011o\0" % 2**30) + block(),
    "tar with a PAX path that leads out": pax(path="../evil") + block(),
    "tar with a PAX path that has a NUL": pax(path="a\0b") + block(),
    "tar with a PAX path that has a line": pax(path="a\nerror: b") + block(),
    "tar with an empty PAX path": pax(path="") + block(),
    "tar with a PAX size too large": pax(size="99999") + block(),
    "tar with a huge PAX size": pax(size="9" * 40) + block(),
    "tar with a negative PAX size": pax(size="-1024") + block(),
    "tar with a PAX size of words": pax(size="many") + block(),
    "tar with PAX fields for sparse files": pax(GNU__sparse__major="1") + block(),
    **{f"tar with PAX text {text!r}": block(b"x", text, b"x") + block()
       for text in (b"99 path=x\n", b"0 path=x\n", b"-9 path=x\n", b"path", b"9" * 5000 + b" a=b")},
    "tar with a negative size": block(size=b"\xff" * 10 + b"\xfe\0"),
    "tar with a negative longer name": block(b"x", b"", b"L", b"\xff" * 10 + b"\xfe\0") * 9,
    "tar with a huge size": block(size=b"\x80" + b"\x7f" * 11),
    "tar with a size of words": block(size=b"many"),
    "tar with many headers before one": pax(path="../evil") * 3000 + block(),
    "tar with a wrong checksum": block()[:140] + b"9" + block()[141:],
    "tar with a tar after the end": END + block(),
}  # fmt: skip
MESSES = {
    **ZIPS,
    **{name: BEFORE + content + END for name, content in TARS.items()},
    "tar without an end": BEFORE + block(),
    "tar cut in a file": BEFORE + block(data=bytes(5000))[:2000],
    "tar cut in a header": BEFORE + block()[:100],
    "tar of folders": block(b"a/", b"", b"5") + END,
    "gz cut": pack("gz", FILES)[:-20],
    "gz cut before its checksum": pack("gz", FILES)[:-8],
    "gz with a wrong checksum": pack("gz", FILES)[:-8] + b"\1\2\3\4" + pack("gz", FILES)[-4:],
    "gz with noise after it": pack("gz", FILES) + b"noise",
    "gz of a zip": gzip.compress(pack("zip", FILES)),
    "gz that grows too much": gzip.compress(block(data=MIB * 8) + END, 9),
    "gz that grows too much in junk": gzip.compress(BEFORE + block(b"._x", MIB * 8) + END, 9),
    "gz that grows too much after its end": gzip.compress(BEFORE + END + MIB * 8, 9),
    "bz2 that grows too much": bz2.compress(block(data=MIB * 8) + END),
    "xz that grows too much": lzma.compress(block(data=MIB * 8) + END),
    "bz2 cut": pack("bz2", FILES)[:-20],
    "bz2 with noise": b"BZh9" + bytes(99),
    "xz cut": pack("xz", FILES)[:-20],
    "xz with noise": b"\xfd7zXZ\0" + bytes(99),
    "nothing": b"",
    "a byte": b"P",
    "zeros": bytes(20_000),
    "a page of the web": b"<!DOCTYPE html>\n" * 200,
    "a picture": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(range(1, 256)) * 9,
}


@pytest.mark.parametrize("content", MESSES.values(), ids=MESSES)
def test_a_hostile_or_damaged_archive_is_one_line_and_changes_nothing(
    tmp_path: Path, content: bytes
) -> None:
    archive = save(tmp_path / "x", content)
    parent = tmp_path / "parent"
    (parent / "mine").mkdir(parents=True)
    for name in ("canary.txt", "mine/own.jpg"):
        save(parent / name, name.encode())
    before, marks = tree(tmp_path), stamps(parent / "mine")
    assert refusal(archive, parent / "images") == refusal(archive, parent / "mine").replace(
        "mine", "images"
    )
    assert tree(tmp_path) == before
    assert stamps(parent / "mine") == marks


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (ZIPS["zip with a wrong CRC"], "'evil' in it is damaged"),
        (ZIPS["zip with flags 1"], "'evil' in it is encrypted"),
        (ZIPS["zip with method 9"], "'evil' in it is compressed in an unusual way"),
        (ZIPS["zip with mode 120777"], "'evil' in it is a link"),
        (named("\x1b[2J"), r"'\x1b[2J' in it has characters"),
        (named("../" * 9999), "'../../../"),
        (overlapping(), "holds files that overlap"),
        (gzip.compress(block(data=MIB * 8) + END, 9), "bytes, too many for its size"),
        (b"<html>" * 200, "x: is damaged, cut short, or not a zip or tar archive; replace it"),
    ],
)
def test_the_line_names_what_is_wrong(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refusal(save(tmp_path / "x", content), tmp_path / "images")


@pytest.mark.parametrize("kind", FORMATS)
def test_limits_hold_to_the_file_and_to_the_byte(tmp_path: Path, kind: str) -> None:
    archive = save(tmp_path / "x", pack(kind, FILES))
    total = sum(map(len, FILES.values()))
    for limits in (ArchiveLimits(files=2), ArchiveLimits(total=total - 1)):
        assert "holds more than" in refusal(archive, tmp_path / "images", limits)
    assert len(unpack(archive, tmp_path / "images", ArchiveLimits(files=3, total=total))) == 3


def test_folders_count_too(tmp_path: Path) -> None:
    archive = save(tmp_path / "x", named(*(f"{'a/' * 25}{n}/{'b/' * 5}c" for n in range(9))))
    assert "holds more than 20 files" in refusal(archive, tmp_path / "to", ArchiveLimits(files=20))


def test_a_hundred_thousand_empty_files_are_refused_before_any_is_made(tmp_path: Path) -> None:
    content = gzip.compress(b"".join(block(b"%d" % n, b"") for n in range(20_000)) + END)
    assert "holds more than" in refusal(
        save(tmp_path / "x", content), tmp_path / "to", ArchiveLimits(files=10_000)
    )
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("size", [5, 9])
def test_no_more_comes_out_than_a_header_declares(tmp_path: Path, size: int) -> None:
    """Also where the checksum is that of the start of an endless file."""
    start = bytes(size)
    forged = Forged("x", start, deflated(MIB * 50), method=8, size=size)
    unpack(save(tmp_path / "x", forge(forged)), tmp_path / "to")
    assert tree(tmp_path / "to") == {"x": start}


@given(
    kind=st.sampled_from(FORMATS),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 2**16),
)
def test_any_damage_ends_in_files_or_in_a_line(
    tmp_path: Path, kind: str, changes: list[tuple[int, int]], cut: int | None
) -> None:
    content = bytearray(pack(kind, {"a.jpg": b"first", "sub/b.jpg": b"second" * 9}))
    for at, value in changes:
        content[at % len(content)] = value
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        archive = save(Path(name, "x"), bytes(content[: cut and cut % len(content)]))
        names, text = [], ""
        try:
            names = unpack(archive, Path(name, "to"))
        except ArchiveError as error:
            text = str(error)
        assert text.isprintable()
        archive.unlink()
        assert sorted(tree(Path(name))) == [f"to/{name}" for name in names]


def test_a_second_name_in_an_extra_field_is_not_taken(tmp_path: Path) -> None:
    second = struct.pack("<BL", 1, zlib.crc32(b"a.jpg")) + b"../evil"
    extra = struct.pack("<HH", 0x7075, len(second)) + second
    archive = save(tmp_path / "x", forge(Forged(b"a.jpg", extra=extra)))
    assert unpack(archive, tmp_path / "to") == ["a.jpg"]
    assert sorted(tree(tmp_path)) == ["to/a.jpg", "x"]


def test_an_archive_that_changes_while_it_is_read_leaves_nothing(tmp_path: Path) -> None:
    for after in ({**FILES, "a.jpg": b"other"}, {"sub/b.jpg": b"", "a.jpg": b"first"}):
        archive = save(tmp_path / "x", pack("tar", FILES))

        def change(*_: int, content: bytes = pack("tar", after)) -> None:
            save(archive, content)  # noqa: B023

        with pytest.raises(ArchiveError):
            unpack(archive, tmp_path / "images", progress=Watching(change))
        assert [path.name for path in tmp_path.iterdir()] == ["x"]


# What is the user's stays.


@pytest.mark.parametrize("kind", FORMATS)
def test_missing_files_are_added_and_others_let_be(tmp_path: Path, kind: str) -> None:
    archive = save(tmp_path / "x", pack(kind, FILES))
    images = tmp_path / "images"
    unpack(archive, images)
    save(images / "mine.jpg", b"mine")
    marks = stamps(images)
    assert unpack(archive, images) == sorted(FILES)
    assert stamps(images) == marks
    (images / "sub/deep/c.jpg").unlink()
    (images / "sub/deep").rmdir()
    kept = {name: marks[name] for name in ("a.jpg", "sub/b.jpg", "mine.jpg")}
    assert unpack(archive, images) == sorted(FILES)
    assert tree(images) == {**FILES, "mine.jpg": b"mine"}
    assert kept.items() <= stamps(images).items()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "x"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("there", ["other content", "same size", "a folder", "a pipe", "a link"])
def test_a_file_of_the_user_that_differs_is_named_before_anything_is_written(
    tmp_path: Path, kind: str, there: str
) -> None:
    archive = save(tmp_path / "x", pack(kind, FILES))
    path = tmp_path / "images" / "a.jpg"
    path.parent.mkdir()
    if there == "a folder":
        path.mkdir()
    elif there == "a pipe":
        os.mkfifo(path)
    elif there == "a link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b"other content" if there == "other content" else b"fi\0st")
    before = stamps(tmp_path / "images") if there != "a link" else {}
    assert f"{path} is in the way; move it away" in refusal(archive, tmp_path / "images")
    assert before == (stamps(tmp_path / "images") if there != "a link" else {})
    assert [p.name for p in (tmp_path / "images").iterdir()] == ["a.jpg"]
    assert not (tmp_path / ".images.part").exists()


def test_a_file_that_the_user_makes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    archive = save(tmp_path / "x", pack("zip", FILES))
    path = tmp_path / "images" / "sub" / "b.jpg"
    path.parent.mkdir(parents=True)

    def make(count: int, total: int) -> None:
        if count == total:
            path.write_bytes(b"mine")

    with pytest.raises(ArchiveError, match=r"b\.jpg is in the way"):
        unpack(archive, tmp_path / "images", progress=Watching(make))
    assert path.read_bytes() == b"mine"
    path.unlink()
    unpack(archive, tmp_path / "images")
    assert tree(tmp_path / "images") == FILES


def test_a_file_kept_elsewhere_by_a_link_is_there(tmp_path: Path) -> None:
    archive = save(tmp_path / "x", pack("zip", {"a.jpg": b"1", "b.jpg": b"2"}))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").symlink_to(save(tmp_path / "kept", b"1"))
    unpack(archive, tmp_path / "images")
    assert (tmp_path / "images" / "a.jpg").is_symlink()
    assert (tmp_path / "images" / "b.jpg").read_bytes() == b"2"


def test_a_link_to_a_folder_may_be_the_target_but_is_not_written_through_below(
    tmp_path: Path,
) -> None:
    archive = save(tmp_path / "x", pack("zip", {f"images/{name}": FILES[name] for name in FILES}))
    (tmp_path / "disk" / "photos").mkdir(parents=True)
    (tmp_path / "images").symlink_to("disk/photos")
    unpack(archive, tmp_path / "images")
    assert tree(tmp_path / "disk") == {f"photos/{name}": data for name, data in FILES.items()}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "sub").symlink_to(tmp_path / "elsewhere")
    assert "to/sub is in the way" in refusal(
        save(tmp_path / "y", pack("zip", FILES)), tmp_path / "to"
    )
    assert tree(tmp_path / "elsewhere") == {}
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["sub"]


@pytest.mark.parametrize("name", ["images", ".images.part"])
@pytest.mark.parametrize("there", ["a file", "a link to nothing", "a link to a folder"])
def test_what_is_no_folder_is_not_written_to(tmp_path: Path, name: str, there: str) -> None:
    if (name, there) == ("images", "a link to a folder"):
        pytest.skip("may be the target")
    archive = save(tmp_path / "x", pack("zip", FILES))
    (tmp_path / "elsewhere").mkdir()
    if there == "a file":
        save(tmp_path / name, b"mine")
    else:
        (tmp_path / name).symlink_to("elsewhere" if there == "a link to a folder" else "nowhere")
    before = tree(tmp_path)
    assert f"{name} is in the way" in refusal(archive, tmp_path / "images")
    assert tree(tmp_path) == before


# What is cut off goes on.


@pytest.mark.parametrize("kind", ["zip", "tar", "gz"])
def test_whole_files_are_kept_after_an_interruption_and_the_rest_of_the_part_is_not(
    tmp_path: Path, kind: str
) -> None:
    files = {f"{n % 3}/{n}.jpg": bytes([n]) * 999 for n in range(12)}
    archive = save(tmp_path / "x", pack(kind, files))
    part = tmp_path / ".images.part"

    def stop(count: int, _: int) -> None:
        if count == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "images", progress=Watching(stop))
    assert not (tmp_path / "images").exists()
    marks = stamps(part)
    assert set(tree(part)) == set(list(files)[:8])
    save(part / "0/0.jpg", files["0/0.jpg"][:-1])
    save(part / "1/1.jpg", bytes(999))
    (part / "2/2.jpg").unlink()
    (part / "2/2.jpg").symlink_to(archive)
    (part / "old/er").mkdir(parents=True)
    save(part / "old/er/stray.jpg", b"stray")
    (part / "1/away").symlink_to(tmp_path)
    counts: list[int] = []
    watching = Watching(lambda count, _: counts.append(count))
    unpack(archive, tmp_path / "images", progress=watching)
    assert tree(tmp_path) == {
        "x": archive.read_bytes(),
        **{f"images/{name}": data for name, data in files.items()},
    }
    assert sorted(set(counts)) == [0, *range(5, 13)]
    kept = [f"{n % 3}/{n}.jpg" for n in range(3, 8)]
    after = stamps(tmp_path / "images")
    assert [after[name] for name in kept] == [marks[name] for name in kept]


def forked(target: Callable[..., object], *args: object) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target, args=args)
    process.start()
    return process  # type: ignore[return-value]


def unpack_up_to(archive: Path, folder: Path, moment: int, count: object) -> None:
    """Unpack, and die before the given step that Python's audit tells of: opening, moving, ..."""

    def step(event: str, _: object) -> None:
        if event.partition(".")[0] in {"open", "os", "shutil"}:
            count.value += 1  # type: ignore[attr-defined]
            if count.value == moment:  # type: ignore[attr-defined]
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    unpack(archive, folder)


@pytest.mark.skipif(os.name != "posix", reason="forks")
@pytest.mark.parametrize("kind", ["zip", "gz"])
@pytest.mark.parametrize("there", ["nothing", "some files"])
def test_killed_before_any_step_the_next_call_goes_on(
    tmp_path: Path, kind: str, there: str
) -> None:
    files = {f"images/{n % 3}/{n}.jpg": bytes([n]) * 50_000 for n in range(10)}
    archive = save(tmp_path / "x", pack(kind, files))
    first = {name: data for name, data in files.items() if there != "nothing" and data[0] % 2}
    steps = 0
    for number in range(13):
        folder = tmp_path / str(number) / "images"
        folder.parent.mkdir()
        if first:
            unpack(save(tmp_path / "first", pack(kind, first)), folder)
        count = multiprocessing.get_context("fork").Value("i", 0)
        process = forked(unpack_up_to, archive, folder, number * steps // 13 or -1, count)
        process.join()
        assert process.exitcode == (0 if number == 0 else -signal.SIGKILL)
        process.close()
        steps = steps or count.value
        assert {path.name for path in folder.parent.iterdir()} <= {"images", ".images.part"}
        unpack(archive, folder)
        assert tree(folder.parent) == files
    assert steps > 20


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="forks")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_twenty_kills_at_random_moments_lose_nothing(tmp_path: Path, kind: str) -> None:
    rng = random.Random(3)
    files = {f"{n % 9}/{n}.jpg": rng.randbytes(60_000) for n in range(200)}
    archive = save(tmp_path / "x", pack(kind, files))
    process = forked(unpack, archive, tmp_path / "images")
    start = time.perf_counter()
    process.join()
    took = time.perf_counter() - start
    (tmp_path / "images").rename(tmp_path / "first")
    for _ in range(20):
        process = forked(unpack, archive, tmp_path / "images")
        time.sleep(rng.uniform(0, took / 4))
        process.kill()
        process.join()
        process.close()
    unpack(archive, tmp_path / "images")
    assert tree(tmp_path / "images") == tree(tmp_path / "first") == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "images", "x"]


# What the system refuses is one line.


@pytest.mark.parametrize(
    ("archive", "words"), [("gone.zip", "No such file"), (".", "is not a file"), ("pipe", "is not")]
)
def test_what_is_no_file_is_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    assert words in refusal(Path(archive), Path("images"))
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_names_of_the_user_are_escaped(tmp_path: Path) -> None:
    assert r"a\nb\udce9.zip: " in refusal(tmp_path / "a\nb\udce9.zip", tmp_path / "images")


def test_the_folder_around_must_be_there(tmp_path: Path) -> None:
    archive = save(tmp_path / "x", pack("zip", FILES))
    assert "No such file" in refusal(archive, tmp_path / "data" / "images")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(os.name != "posix", reason="sets a limit of Unix")
@pytest.mark.parametrize("room", [50, 5000])
def test_a_disk_too_full_is_one_line_and_keeps_what_is_whole(tmp_path: Path, room: int) -> None:
    import resource

    files = {"a.jpg": b"1" * 99, "b.jpg": bytes(50_000)}
    archive = save(tmp_path / "x", pack("zip", files))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        text = refusal(archive, tmp_path / "images")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large" in text
    assert (tmp_path / ".images.part" / "a.jpg").exists() == (room > 99)
    assert (tmp_path / ".images.part").exists() == (room > 99)
    unpack(archive, tmp_path / "images")
    assert tree(tmp_path / "images") == files


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may do anything")
def test_no_permission_is_one_line(tmp_path: Path) -> None:
    archive = save(tmp_path / "x", pack("zip", FILES))
    (tmp_path / "data").mkdir(mode=0o500)
    assert "Permission denied" in refusal(archive, tmp_path / "data" / "images")
    archive.chmod(0)
    assert "Permission denied" in refusal(archive, tmp_path / "images")


def test_a_python_without_a_compression_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = save(tmp_path / "x", pack("xz", FILES))
    monkeypatch.setitem(sys.modules, "lzma", None)
    monkeypatch.delitem(sys.modules, "maskspot.archives.xz", raising=False)
    assert "lzma" in refusal(archive, tmp_path / "images")
