import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from maskspot.errors import DataError
from maskspot.files import (
    is_stream,
    open_own,
    remove_leftovers,
    replacing,
    scratch_folder,
    write_text,
)

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files")


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


@pytest.mark.parametrize("target", ["real.csv", "none.csv", "/dev/null", "folder"])
def test_nothing_is_written_through_a_link(tmp_path: Path, target: str) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.csv").symlink_to(target)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(DataError, match=r"link\.csv: a link, which is never written to"):
        write_text(tmp_path / "link.csv", "new")
    assert (tmp_path / "real.csv").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == before


def test_a_folder_that_is_a_link_can_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link" / "a.csv", "new")
    assert (tmp_path / "real" / "a.csv").read_text() == "new"


def test_a_folder_in_place_of_a_file_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        pytest.fail("the work was begun")


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def second_name(path: Path, victim: Path) -> None:
    os.link(victim, path)


def pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def dangling(path: Path, victim: Path) -> None:
    path.symlink_to(victim.parent / "none")


@posix
@pytest.mark.parametrize("plant", [link, dangling, second_name, pipe])
def test_a_side_file_is_opened_by_no_name_that_a_stranger_planted(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim, side = tmp_path / "victim", tmp_path / ".a.csv.journal"
    victim.write_text("mine")
    plant(side, victim)
    with pytest.raises(DataError, match="maskspot keeps a file by this name"):
        open_own(side)
    assert victim.read_text() == "mine"
    assert not (tmp_path / "none").exists()


@posix
def test_only_pipes_and_character_devices_are_streams(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    streams = ["/dev/null", "/dev/stdout", "/dev/../dev/fd/1", str(tmp_path / "pipe")]
    others = ["/dev", "/dev/shm/x.csv", "/proc/x", str(tmp_path), str(tmp_path / "link"), "\0"]
    assert [is_stream(Path(each)) for each in streams + others] == [True] * 4 + [False] * 6


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs /dev/shm")
def test_a_file_in_shared_memory_is_replaced_as_any_other() -> None:
    with TemporaryDirectory(dir="/dev/shm") as folder:
        for text in ("one", "two"):
            write_text(Path(folder, "a.csv"), text)
        assert Path(folder, "a.csv").read_text() == "two"


@posix
def test_what_a_killed_process_left_goes_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    code = "import sys, os, signal; from pathlib import Path; from maskspot.files import *; "
    work = "b.write_text('half'), os.kill(os.getpid(), 9)"
    for text in (
        "with replacing(Path('a.csv')) as b:\n " + work,
        "with scratch_folder(Path()) as f:\n b = f / 'x'; " + work,
    ):
        subprocess.run([sys.executable, "-c", code + "\n" + text], cwd=tmp_path, check=False)
    assert len(os.listdir(tmp_path)) == 2
    os.mkfifo(tmp_path / ".maskspot-pipe.tmp.csv")
    (tmp_path / ".maskspot-link.folder").symlink_to(tmp_path)
    remove_leftovers(tmp_path / "a.csv")
    with scratch_folder(tmp_path):
        assert len(os.listdir(tmp_path)) == 3
    assert sorted(os.listdir(tmp_path)) == [".maskspot-link.folder", ".maskspot-pipe.tmp.csv"]


@pytest.mark.parametrize("name", ["n" * 250 + ".csv", "😀" * 60 + ".csv", "n." + "s" * 250])
def test_a_long_name_fits(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "x")
    assert os.listdir(tmp_path) == [name]


def test_a_missing_folder_fails_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "a.csv"):
        pytest.fail("the work was begun")
