"""Any name becomes a path below a folder, and no two names the same path."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maskspot.errors import DataError
from maskspot.safe_paths import DEEPEST, LONGEST_PART, LONGEST_PATH, PathsBelow, make_folders

FOLDER = Path("/maps")

pieces = st.sampled_from(
    [
        *("/", "\\", "..", ".", "a", "A", ":", "C:", "//", "con", "COM1.", " ", "~", "\0", "\x9b"),
        *(
            "é",
            "e\u0301",
            "ß",
            "ss",
            "😀" * 70,
            "\udcff",
            "\ud83d",
            "x" * 300,
            "a.jpg",
            ".jpg",
            "-",
        ),
    ]
)
names = st.one_of(
    st.lists(pieces, max_size=12).map("".join), st.text(st.characters(exclude_categories=()))
)


def key(path: Path) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


@given(st.lists(names, max_size=8))
@example(["\\\\tmp\\x.jpg", "//tmp/x.jpg", "/tmp/x.jpg", "tmp/x.jpg"])
@example(["../p.png", "../../p.png", "../../a:1.png", "../../a?1.png"])
@example(["a", "a.jpg/b", "A.JPG/c", "a.jpg", "a", "a"])
@example(["../" * 5000 + "a", "a/" * 600, "", ".", "/", "..", "\\"])
def test_every_name_has_a_path_of_its_own_below_the_folder(given_names: list[str]) -> None:
    paths = PathsBelow(FOLDER, ".jpg")
    found = [paths.take(name) for name in given_names]
    for path in found:
        parts = path.relative_to(FOLDER).parts
        assert os.path.normpath(path) == str(path)
        assert 1 <= len(parts) <= DEEPEST
        assert max(len(part.encode()) for part in parts) <= LONGEST_PART
        assert len("/".join(parts).encode()) <= LONGEST_PATH
        assert path.suffix == ".jpg"
        assert not any(set(part) & set('\\:"|?*<>\0\n\x9b') for part in parts)
        assert not any(part.endswith((" ", ".")) for part in parts)
        assert not any(part.split(".")[0].lower() in ("con", "com1") for part in parts)
    keys = {key(path) for path in found}
    assert len(keys) == len(found)
    assert not keys & {key(parent) for path in found for parent in path.parents}


@given(st.lists(names, min_size=1, max_size=4, unique=True))
def test_what_does_not_fit_is_named_the_same_whatever_came_before(given_names: list[str]) -> None:
    name = "../" + given_names[0]
    alone = PathsBelow(FOLDER, ".jpg").take(name)
    paths = PathsBelow(FOLDER, ".jpg")
    assert alone in [paths.take(each) for each in ["../" + each for each in given_names]]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_folders_are_not_made_through_links(tmp_path: Path, kind: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "maps").mkdir()
    if kind == "link":
        (tmp_path / "maps" / "a").symlink_to(tmp_path / "home")
    else:
        (tmp_path / "maps" / "a").touch()
    with pytest.raises(DataError, match="not a folder, or a link to one"):
        make_folders(tmp_path / "maps", tmp_path / "maps" / "a" / "b" / "c.jpg")
    assert list((tmp_path / "home").iterdir()) == []
