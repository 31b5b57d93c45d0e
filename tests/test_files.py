import os
import stat
from pathlib import Path

import pytest

from maskspot.files import replacing, write_text


def test_a_failure_leaves_what_was_there_and_nothing_beside(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("old")

    def fail() -> None:
        with replacing(file) as beside:
            beside.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_new_file_has_a_new_files_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    mask = os.umask(0o027)
    try:
        write_text(file, "x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.chmod(0o600)
    write_text(file, "y")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write_text(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


@pytest.mark.parametrize("name", ["n" * 250 + ".csv", "😀" * 60 + ".csv", "n." + "s" * 250])
def test_a_long_name_fits(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "x")
    assert os.listdir(tmp_path) == [name]


def test_a_missing_folder_fails_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "a.csv"):
        pytest.fail("the work was begun")
