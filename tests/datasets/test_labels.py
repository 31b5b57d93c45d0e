from pathlib import Path

import pytest
from PIL import Image

from maskspot.datasets.labels import Labelled, Layout, read_folders
from maskspot.errors import DataError, UsageError


def make(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def targets(items: list[Labelled]) -> dict[str, int]:
    return {item.name: item.target for item in items}


def test_names_may_have_their_folder(tmp_path: Path) -> None:
    make(tmp_path, ["images/a.jpg", "images/b.jpg", "thumbnails/a.jpg"])
    write(tmp_path / "labels.csv", "image,target\nimages/a.jpg,1\nb.jpg,0\n")
    assert [item.path for item in read_folders([tmp_path])] == [
        tmp_path / "images" / "b.jpg",
        tmp_path / "images" / "a.jpg",
    ]


@pytest.mark.parametrize("place", ["", "images/"])
@pytest.mark.parametrize("header", ["image,target", "id,label", "photo,has_mask"])
def test_a_csv_beside_flat_images_or_images_folder_is_read(
    tmp_path: Path, place: str, header: str
) -> None:
    make(tmp_path, [f"{place}b.jpg", f"{place}a.JPG", f"{place}unlabelled.png"])
    write(tmp_path / "train_labels.csv", f"{header}\nb.jpg,1\na.JPG,0\n")
    assert list(targets(read_folders([tmp_path])).items()) == [("a.JPG", 0), ("b.jpg", 1)]


def test_ids_without_an_ending_find_their_file(tmp_path: Path) -> None:
    make(tmp_path, ["images/a.JPG", "images/b.png"])
    write(tmp_path / "labels.csv", "id,label\na,1.0\nb,0.0\n")
    assert [item.path.name for item in read_folders([tmp_path])] == ["a.JPG", "b.png"]


def test_an_id_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    make(tmp_path, ["images/a.jpg", "images/a.png"])
    write(tmp_path / "labels.csv", "id,label\na,1\n")
    with pytest.raises(DataError, match=r"labels\.csv: a may be .*a\.jpg or .*a\.png"):
        read_folders([tmp_path])


def test_the_labels_are_chosen_among_several_csvs_by_their_name(tmp_path: Path) -> None:
    make(tmp_path, ["a.jpg", "b.jpg"])
    write(tmp_path / "Train_Labels.csv", "image,target\na.jpg,1\nb.jpg,0\n")
    write(tmp_path / "sample_sub.csv", "image,target\nb.jpg,0\n")
    assert targets(read_folders([tmp_path])) == {"a.jpg": 1, "b.jpg": 0}


def test_several_unknown_csvs_ask_for_a_name(tmp_path: Path) -> None:
    make(tmp_path, ["a.jpg"])
    write(tmp_path / "one.csv", "image,target\na.jpg,1\n")
    write(tmp_path / "two.csv", "image,target\na.jpg,1\n")
    with pytest.raises(UsageError, match=r"`labels`: one.csv, two.csv"):
        read_folders([tmp_path])


def test_named_labels_and_columns_win(tmp_path: Path) -> None:
    make(tmp_path, ["a.jpg", "b.jpg"])
    write(tmp_path / "mine.csv", "x,who,wears,image,target\n1,a.jpg,1,z,z\n2,b.jpg,0,z,z\n")
    layout = Layout("mine.csv", "who", "wears")
    assert targets(read_folders([tmp_path], layout)) == {"a.jpg": 1, "b.jpg": 0}


@pytest.mark.parametrize(
    ("mask", "other"), [("mask", "no_mask"), ("with_mask", "without_mask"), ("1", "0")]
)
def test_one_folder_a_class_is_read(tmp_path: Path, mask: str, other: str) -> None:
    make(
        tmp_path,
        [f"{mask}/a.jpg", f"{other}/deep/b.png", f"{other}/.hidden.png", f"{other}/.x/c.png"],
    )
    write(tmp_path / other / "notes.txt", "no image")
    assert targets(read_folders([tmp_path])) == {f"{mask}/a.jpg": 1, f"{other}/deep/b.png": 0}


def test_class_folders_of_other_names_need_the_positive_one(tmp_path: Path) -> None:
    make(tmp_path, ["cats/a.jpg", "dogs/b.jpg"])
    with pytest.raises(UsageError, match="`positive`: cats, dogs"):
        read_folders([tmp_path])
    assert targets(read_folders([tmp_path], Layout(positive="dogs"))) == {
        "cats/a.jpg": 0,
        "dogs/b.jpg": 1,
    }


def test_folders_join_and_an_image_in_both_counts_once(tmp_path: Path) -> None:
    for part in ("one", "two"):
        make(tmp_path / part, ["a.jpg", "b.jpg"])
        write(tmp_path / part / "labels.csv", "image,target\na.jpg,1\nb.jpg,0\n")
    assert len(read_folders([tmp_path / "one", tmp_path / "two", tmp_path / "one"])) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("image,target\n", "no image is labelled with a mask"),
        ("image,target\na.jpg,1\n", "no image is labelled without a mask"),
        ("image,target\na.jpg,2\n", r"row 2: a label must be 0 or 1, or a word .* not '2'"),
        ("image,target\na.jpg,nan\n", "not 'nan'"),
        ("image,target\n\na.jpg,maybe\n", "row 3: a label .* not 'maybe'"),
        ("image;target\na.jpg;1\nb.jpg\n", "row 3: 1 columns, not 2"),
        ("a.jpg;mask\nb.jpg;no_mask\n", "first line must be a header"),
        ("image,target\na.jpg\n", "row 2: 1 columns, not 2"),
        ("image,target\na.jpg,1\na.jpg,0\n", "row 3: a.jpg is labelled both 0 and 1"),
        ("image,target\na.jpg,1\ngone.jpg,0\n", "1 of the images .* not there: gone.jpg"),
        ("image,target\n,1\n", "1 of the images it names are not there"),
        ("a.jpg,1\nb.jpg,0\n", "first line must be a header"),
        ('image,target\n"a.jpg,1\n', "row 2"),
    ],
)
def test_bad_labels_are_one_line_that_names_the_file(tmp_path: Path, text: str, words: str) -> None:
    make(tmp_path, ["a.jpg", "b.jpg"])
    write(tmp_path / "labels.csv", text)
    with pytest.raises(DataError, match=words) as error:
        read_folders([tmp_path])
    assert "\n" not in str(error.value)
    assert "labels.csv" in str(error.value)


def test_unclear_columns_are_named(tmp_path: Path) -> None:
    make(tmp_path, ["a.jpg"])
    write(tmp_path / "labels.csv", "a,b,c\na.jpg,1,2\n")
    with pytest.raises(UsageError, match="`image_column` and `target_column`; it has a, b, c"):
        read_folders([tmp_path])


def test_a_folder_without_labels_says_what_it_has(tmp_path: Path) -> None:
    make(tmp_path, ["images/a.jpg"])
    with pytest.raises(DataError, match="neither a CSV of labels nor one folder"):
        read_folders([tmp_path])
    with pytest.raises(DataError, match="no such folder"):
        read_folders([tmp_path / "none"])


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    make(tmp_path, ["a.jpg", "b.jpg"])
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbfimage,target\r\na.jpg,1\r\nb.jpg,0\r\n")
    assert targets(read_folders([tmp_path])) == {"a.jpg": 1, "b.jpg": 0}
