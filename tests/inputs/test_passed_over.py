"""Nothing is left out in silence: links in archives are members, and all else is counted."""

import io
import os
import re
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskspot.inputs.items import Item, find_items

FORMS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
LONG = "deep/" * 30
Link = tuple[str, str, bytes]


def make_tar(path: Path, mode: str, form: int, files: dict[str, bytes], links: list[Link]) -> Path:
    """Make a tar of links, of which the first half stands before the files."""
    infos = []
    for name, target, kind in links:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        infos.append(info)
    with tarfile.open(path, mode, format=form) as archive:  # type: ignore[call-overload]
        for info in infos[: len(infos) // 2]:
            archive.addfile(info)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in infos[len(infos) // 2 :]:
            archive.addfile(info)
    return path


def make_zip(path: Path, files: dict[str, bytes], links: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, target in links.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def contents(path: Path, passed: Counter[str] | None = None) -> dict[str, bytes]:
    def read(item: Item) -> bytes:
        source = item.load()
        return source if isinstance(source, bytes) else Path(str(source)).read_bytes()

    return {item.name: read(item) for item in find_items([str(path)], passed)}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("form", FORMS)
def test_links_in_a_tar_are_what_tar_x_makes_of_them(tmp_path: Path, mode: str, form: int) -> None:
    deep = LONG if form != tarfile.USTAR_FORMAT else "deep/"
    files = {"p/a.png": b"one", "p/blob": b"two", f"{deep}é.png": b"three"}
    links = [
        ("p/early.png", "a.png", tarfile.SYMTYPE),
        ("p/sub/chain.png", "../early.png", tarfile.SYMTYPE),
        (f"{deep}l.png", "é.png", tarfile.SYMTYPE),
        ("p/hard.png", "p/a.png", tarfile.LNKTYPE),
        ("p/named.jpg", "./blob", tarfile.SYMTYPE),
        ("p/far.png", f"../{deep}é.png", tarfile.SYMTYPE),
    ]
    archive = make_tar(tmp_path / "t", mode, form, files, links)
    passed: Counter[str] = Counter()
    found = contents(archive, passed)
    assert found == {
        **{"p/a.png": b"one", f"{deep}é.png": b"three", "p/early.png": b"one"},
        **{"p/sub/chain.png": b"one", f"{deep}l.png": b"three", "p/hard.png": b"one"},
        **{"p/named.jpg": b"two", "p/far.png": b"three"},
    }
    assert passed == {"not named as images": 1}


def test_links_in_a_zip_are_what_unzip_makes_of_them(tmp_path: Path) -> None:
    files = {"p/a.png": b"one", "p/blob": b"two"}
    links = {"p/l.png": "a.png", "q/l.png": "../p/l.png", "p/named.jpg": "blob"}
    assert contents(make_zip(tmp_path / "z.zip", files, links)) == {
        **{"p/a.png": b"one", "p/l.png": b"one", "p/named.jpg": b"two", "q/l.png": b"one"},
    }


OUTSIDE = {
    "abs.png": "/etc/passwd",
    "up.png": "../../secret.png",
    "p/up.png": "../../secret.png",
    "self.png": "self.png",
    "one.png": "two.png",
    "two.png": "one.png",
    "gone.png": "gone/a.png",
    "dir.png": "p",
    "dot.png": ".",
    "empty.png": "",
}


def test_links_that_lead_outside_are_counted_and_never_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "a.png").write_bytes(b"secret")
    monkeypatch.chdir(tmp_path)
    files = {"p/a.png": b"one"}
    links = [(name, target, tarfile.SYMTYPE) for name, target in OUTSIDE.items()]
    links += [("hard.png", "../secret.png", tarfile.LNKTYPE)]
    for archive, count in (
        (make_tar(tmp_path / "t", "w", tarfile.PAX_FORMAT, files, links), len(links)),
        (make_tar(tmp_path / "g", "w:gz", tarfile.GNU_FORMAT, files, links), len(links)),
        (make_zip(tmp_path / "z.zip", files, OUTSIDE), len(OUTSIDE)),
    ):
        passed: Counter[str] = Counter()
        assert contents(archive, passed) == files
        assert passed == {"linked to what is not in the archive": count}


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
def test_the_summary_says_what_was_passed_over_and_why(
    cli: Callable[..., Any], pictures: Path, tmp_path: Path, kind: str
) -> None:
    (pictures / ".hidden.jpg").write_bytes(b"")
    (pictures / "notes.txt").write_text("no image")
    (pictures / "list.csv").write_text("no image")
    source = pictures
    if kind == "folder":
        (pictures / "folder").symlink_to(tmp_path)
        os.mkfifo(pictures / "pipe.jpg")
    elif kind == "tar":
        source = tmp_path / "t.tar"
        with tarfile.open(source, "w") as archive:
            archive.add(pictures, ".")
    else:
        source = tmp_path / "z.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in sorted(pictures.iterdir()):
                archive.write(file, file.name)
    result = cli("predict", source, "-m", "fast")
    more = ", 1 linked as folders, 1 neither file nor folder" if kind == "folder" else ""
    assert result.err.startswith("6 images scored in ")
    assert result.err.endswith(f"; passed over: 2 not named as images, 1 hidden{more}\n")


def test_where_all_is_an_image_the_summary_is_as_short_as_before(
    cli: Callable[..., Any], pictures: Path
) -> None:
    text = cli("predict", pictures, "-m", "fast").err
    assert re.fullmatch(r"6 images scored in .* s with model 'fast' on cpu: \d masks?\n", text)
