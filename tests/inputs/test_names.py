"""A name means the same image in every spelling, and never another one."""

import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.errors import DataError
from maskspot.inputs.items import find_items, items_from
from maskspot.inputs.names import ends_of, find_names, match_items, match_names, parts_of

HERE = Path("labels.csv")
KEYS = ("images/été 1.jpg", "images/sub/b.png", "images/b.png")


def meant(name: str, *keys: str) -> str | None:
    chosen, _ = find_names([name], {key: key for key in keys}, HERE)
    return chosen.get(name)


@pytest.mark.parametrize(
    "name",
    [
        "images/été 1.jpg",
        "./images/été 1.jpg",
        "images//été 1.jpg",
        "/data/photos/images/été 1.jpg",
        "C:\\data\\images\\été 1.jpg",
        "images\\été 1.jpg",
        "été 1.jpg",
        "été 1",
        "images/été 1",
        " images/été 1.jpg ",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_an_image_is_found_by_every_spelling_of_its_path(name: str, form: Any) -> None:
    assert meant(unicodedata.normalize(form, name), *KEYS) == KEYS[0]
    decomposed = tuple(unicodedata.normalize("NFD", key) for key in KEYS)
    assert meant(unicodedata.normalize(form, name), *decomposed) == decomposed[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub/b.png", "images/sub/b.png"),
        ("/x/images/b.png", "images/b.png"),
        ("./images/b", "images/b.png"),
        ("other/b.png", None),
        ("b.jpg", None),
        ("ages/b.png", None),
        ("", None),
        ("/", None),
        ("images", None),
    ],
)
def test_the_longest_agreement_decides_and_other_folders_are_other_images(
    name: str, expected: str | None
) -> None:
    assert meant(name, *KEYS) == expected


def test_the_folder_that_is_given_may_be_below_those_of_the_labels() -> None:
    assert meant("images/a.jpg", "a.jpg", "sub/a.jpg") == "a.jpg"
    assert meant("./a.jpg", "a.jpg", "sub/a.jpg") == "a.jpg"
    chosen, missing = find_names(["train/1.jpg", "train/2"], {"1.jpg": 1, "2.jpg": 2}, HERE)
    assert (chosen, missing) == ({"train/1.jpg": 1, "train/2": 2}, [])


def test_two_images_never_become_one() -> None:
    images = {"1.jpg": 1, "2.jpg": 2}
    for names in (["train/1.jpg", "test/1.jpg"], ["1.jpg", "test/1.jpg"]):
        chosen, missing = find_names([*names, "test/2.jpg"], images, HERE)
        assert "test/1.jpg" in missing
        assert chosen["test/2.jpg"] == 2
        with pytest.raises(DataError, match="of the images it names are not there"):
            match_names(names, images, HERE)


def test_a_name_that_fits_several_is_refused() -> None:
    with pytest.raises(DataError, match=r"b may be images/b\.png or images/sub/b\.png; say which"):
        meant("b", *KEYS)


@given(st.text(), st.lists(st.text(), max_size=5))
def test_any_name_is_matched_or_refused_in_one_line(name: str, keys: list[str]) -> None:
    with suppress(DataError):  # it fits several
        found = meant(name, *keys)
        assert found is None or found in keys
        assert found == name.strip() or name.strip() not in keys
    name = name.strip()
    assert parts_of("./" + name.replace("/", "//").replace("\\", "/")) == parts_of(name)
    assert len(ends_of(name)) <= 2


def test_labels_of_a_folder_are_evaluated_by_paths_of_another_system(
    cli: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "a.jpg").rename(pictures / unicodedata.normalize("NFD", "é.jpg"))
    rows = ["C:\\p\\images\\é.jpg,1", *(f".\\images\\{name},0" for name in "bcdef")]
    (tmp_path / "labels.csv").write_text("\n".join(["image,target", *rows]), encoding="utf-8")
    words = ("-m", "fast", "-q", "--resamples", 0)
    result = cli("evaluate", tmp_path / "labels.csv", pictures, *words)
    assert (result.code, result.err) == (0, "")
    assert "6 images" in result.out


def test_a_submission_may_spell_its_images_as_it_likes(pictures: Path) -> None:
    wanted = ["./a.jpg", "images/b", "x\\c.jpg"]
    chosen = match_items(wanted, find_items([str(pictures)]), HERE)
    assert [(item.name, item.path) for item in chosen] == [
        (name, pictures / f"{letter}.jpg") for name, letter in zip(wanted, "abc", strict=True)
    ]


@pytest.mark.parametrize("start", ["file://", "file:", "FILE://localhost"])
def test_a_file_url_is_the_file_that_it_stands_for(tmp_path: Path, start: str) -> None:
    (tmp_path / "d é").mkdir()
    file = tmp_path / "d é" / "a b%20#?.jpg"
    file.write_bytes(b"picture")
    url = start + file.as_uri().removeprefix("file://")
    (item,) = items_from([url])
    assert (item.name, item.path) == (url, file)
    assert [each.path for each in find_items([url])] == [file]
    folder = start + (tmp_path / "d é").as_uri().removeprefix("file://")
    assert [each.path for each in find_items([folder])] == [file]
    assert [each.path for each in find_items([f"{folder}/*.jpg"])] == [file]
    with pytest.raises(DataError, match="nothing was written"):
        next(find_items([f"{folder}/gone.jpg"]))
