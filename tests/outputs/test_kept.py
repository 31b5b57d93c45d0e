"""What people had stays: no command replaces an older result by nothing, on any file system."""

import errno
import fcntl
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskspot.files import write_text
from maskspot.outputs.journal import Journal

Run = Callable[..., Any]


def refuse(code: int) -> Callable[..., Any]:
    """Return what fails as a system call does that a file system lacks."""

    def call(*arguments: Any, **named: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return call


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A result of an older run."""
    file = tmp_path / "good.csv"
    file.write_text("260 rows")
    return file


@pytest.mark.parametrize("more", [[], ["--on-error", "fill=0.5"], ["--sort"], ["--details"]])
@pytest.mark.parametrize("inputs", [["phtos/images"], ["pictures", "phtos"], ["bad.jpg"]])
def test_predict_leaves_an_older_output_where_nothing_can_be_scored(
    cli: Run,
    pictures: Path,
    old: Path,
    monkeypatch: pytest.MonkeyPatch,
    inputs: list[str],
    more: list[str],
) -> None:
    monkeypatch.chdir(pictures.parent)
    Path("bad.jpg").write_bytes(b"no picture")
    result = cli("predict", "-q", *inputs, "-m", "fast", "-o", old, *more)
    assert result.code == 3
    assert result.err.splitlines()[-1].startswith("error: ")
    assert "nothing" in result.err.splitlines()[-1]
    assert old.read_text() == "260 rows"
    assert not Journal.path_for(old).exists()


def test_a_list_of_images_that_are_all_gone_leaves_an_older_output(
    cli: Run, tmp_path: Path, old: Path
) -> None:
    (tmp_path / "list.txt").write_text("gone/1.jpg\ngone/2.jpg\n")
    result = cli("predict", "-q", "--from", tmp_path / "list.txt", "-m", "fast", "-o", old)
    assert (result.code, old.read_text()) == (3, "260 rows")
    assert "none of 2 images could be scored" in result.err


def test_a_bad_image_on_standard_output_is_a_row_as_before(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    result = cli("predict", "-q", tmp_path / "bad.jpg", "-m", "fast")
    assert (result.code, len(result.out.splitlines())) == (1, 2)


def test_a_report_of_nothing_does_not_replace_one(cli: Run, tmp_path: Path, old: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs maskspot[report]")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    result = cli("predict", "-q", tmp_path / "bad.jpg", "-m", "fast", "--report", old)
    assert (result.code, old.read_text()) == (3, "260 rows")


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "labels.csv", "gone", "--report"],
        ["evaluate", "labels.csv", "bad.jpg", "-m", "fast", "--report"],
        ["evaluate", "gone.csv", "bad.jpg", "--report"],
        ["evaluate", "labels.csv", "-p", "gone.csv", "--report"],
        ["check", "gone", "-o"],
        ["check", ".", "--labels", "gone.csv", "-o"],
        ["compare", "fast", "--labels", "labels.csv", "--images", "gone", "-o"],
        ["compare", "gone.onnx", "-o"],
        ["predict", "bad.jpg", "--sample", "gone.csv", "-o"],
        ["predict", "--from", "gone.txt", "-o"],
    ],
    ids=" ".join,
)
def test_no_command_replaces_what_it_wrote_before_where_an_input_is_missing(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    pytest.importorskip("matplotlib", reason="needs maskspot[report]")
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text("image,target\nbad.jpg,1\n")
    Path("bad.jpg").write_bytes(b"no picture")
    output = Path("old.svg" if words[0] == "compare" else "old.csv")
    output.write_text("old")
    result = cli(*words, output)
    assert (result.code, output.read_text()) == (3, "old")
    assert result.err.splitlines()[-1].startswith("error: ")
    assert sorted(os.listdir()) == sorted(["labels.csv", "bad.jpg", str(output)])


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_an_output_is_written_where_files_have_no_modes(
    cli: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(Path, "chmod", refuse(code))
    monkeypatch.setattr(os, "chmod", refuse(code))
    output = tmp_path / "sub.csv"
    assert cli("predict", "-q", pictures, "-m", "fast", "-o", output).code == 0
    assert len(output.read_text().splitlines()) == 7
    assert set(os.listdir(tmp_path)) == {"pictures", "sub.csv"}


def test_an_output_is_written_where_nothing_but_files_is_supported(
    cli: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on mounts of clouds and phones: no modes, no fsync, no locks, no links, no appending."""
    monkeypatch.setattr(Path, "chmod", refuse(errno.ENOSYS))
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOTSUP))
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    opened = io.open

    def without_appending(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if "a" in mode and str(tmp_path) in str(file):
            raise OSError(errno.EOPNOTSUPP, "Operation not supported", str(file))
        return opened(file, mode, *arguments, **named)

    monkeypatch.setattr(io, "open", without_appending)
    output = tmp_path / "sub.csv"
    (pictures / "g.jpg").write_bytes(b"no picture")
    words = ("predict", "-q", pictures, "-m", "fast", "-o", output)
    assert cli(*words, "--on-error", "fail").code == 1
    assert Journal.path_for(output).exists()
    assert cli(*words, "--resume").code == 1
    assert len(output.read_text().splitlines()) == 8
    assert set(os.listdir(tmp_path)) == {"pictures", "sub.csv"}


def test_a_mount_that_renames_nothing_is_one_line_before_any_work(
    cli: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "replace", refuse(errno.ENOSYS))
    result = cli("predict", pictures, "-m", "fast", "-o", tmp_path / "sub.csv")
    assert result.code == 3
    assert result.err == f"error: {tmp_path}/.sub.csv.journal: Function not implemented\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_is_full_at_the_end_is_told_by_the_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")
    monkeypatch.setattr(os, "fsync", refuse(code))
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        write_text(file, "new")
    assert caught.value.filename == str(file)
    assert (file.read_text(), os.listdir(tmp_path)) == ("old", ["report.html"])


def test_a_file_that_cannot_be_replaced_is_told_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that a container has mounted alone."""
    file = tmp_path / "report.html"
    file.write_text("old")

    def busy(self: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(OSError, match="busy") as caught:
        write_text(file, "new")
    assert caught.value.filename == str(file)
    assert file.read_text() == "old"
