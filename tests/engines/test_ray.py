"""Scoring on a Ray cluster gives what scoring here gives, whatever dies meanwhile."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import maskspot

pytest.importorskip("ray", reason="needs maskspot[ray]")
pq = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")

pytestmark = pytest.mark.slow

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, demo_data: Path) -> Path:
    """Sixty photos, one of which is none."""
    folder = tmp_path_factory.mktemp("ray") / "photos"
    folder.mkdir()
    for file in sorted((demo_data / "images").iterdir())[:59]:
        shutil.copy(file, folder)
    (folder / "broken.jpg").write_bytes(b"no")
    return folder


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "maskspot", "predict", *map(str, words), "-m", "fast"]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def local(photos: Path) -> Any:
    """What the local engine writes."""
    file = photos.with_name("local.parquet")
    assert run(photos, "-o", file).returncode == 1
    return pq.read_table(file)


def workers() -> list[int]:
    """Return the processes of Ray's actors that this test started."""
    named = subprocess.run(["pgrep", "-f", "ray::_Worker"], check=False, capture_output=True)
    return [int(word) for word in named.stdout.split()]


def test_rows_are_those_of_the_local_engine_and_a_second_run_has_nothing_to_do(
    photos: Path, local: Any
) -> None:
    folder = photos.with_name("twice")
    words = (photos, "--engine", "ray", "-o", folder, "--partition", 7, "--threads", 2)
    done = run(*words)
    assert done.returncode == 1, done.stderr
    assert "59 images scored in " in done.stderr
    assert f"1 failed; written to {folder} (9 new files)" in done.stderr
    assert pq.read_table(folder).equals(local)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert "(0 new files)" in run(*words).stderr
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    other = run(photos / "broken.jpg", *words[1:])
    assert other.returncode == 2
    assert "of other images" in other.stderr


def test_a_killed_worker_loses_nothing_and_repeats_nothing(photos: Path, local: Any) -> None:
    folder = photos.with_name("killed")
    words = (photos, "--engine", "ray", "-o", folder, "--partition", 3, "--threads", 2)
    with subprocess.Popen(command(*words), stderr=subprocess.PIPE, text=True) as process:
        killed = 0
        while process.poll() is None and killed < 3:
            if any(folder.glob("part-*")) and (found := workers()):
                os.kill(found[0], signal.SIGKILL)
                killed += 1
            time.sleep(0.3 if killed else 0.01)
        assert process.wait() == 1
    assert killed
    assert pq.read_table(folder).equals(local)
    assert len(list(folder.iterdir())) == 20


def test_a_list_may_be_parquet_of_paths_or_of_bytes(photos: Path, local: Any) -> None:
    names = local["source"].to_pylist()
    lists = photos.with_name("lists")
    lists.mkdir()
    table = pa.table({"path": [str(photos / name) for name in names]})
    pq.write_table(table, lists / "paths.parquet", row_group_size=13)
    content = [(photos / name).read_bytes() for name in names]
    table = pa.table({"bytes": content, "source": names})
    pq.write_table(table, lists / "bytes.parquet", row_group_size=13)
    for kind, column in (("paths", "path"), ("bytes", "bytes")):
        folder = photos.with_name(f"from-{kind}")
        listing = lists / f"{kind}.parquet"
        done = run("--from", listing, "--column", column, "--engine", "ray", "-o", folder)
        assert done.returncode == 1, done.stderr
        found = pq.read_table(folder)
        assert found["probability"].equals(local["probability"])
        assert len(list(folder.iterdir())) == 5
    assert found["source"].equals(local["source"])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("photos", "--engine", "ray"), "--output"),
        (("photos", "--engine", "ray", "-o", "out", "--top", "3"), "--top"),
        (("photos", "--engine", "ray", "-o", "out", "--format", "csv"), "--format"),
        (("photos", "--engine", "spark", "-o", "out"), "--engine"),
        (("photos", "--address", "auto"), "--address"),
        (("photos.zip", "--engine", "ray", "-o", "out"), "unpack"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_in_one_line(
    words: tuple[str, ...], named: str, cli: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    shutil.make_archive("photos", "zip", photos)
    done = cli("predict", *words, "-m", "fast")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert named in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("photos", "-o", "photos"),
        ("photos", "-o", "photos/scores"),
        ("photos", "-o", "file:photos/../photos"),
        ("photos/broken.jpg", "-o", "photos"),
        ("--from", "list.txt", "-o", "."),
        ("--from", "parquets", "-o", "parquets"),
    ],
)
def test_a_folder_that_is_read_is_not_written(
    words: tuple[str, ...], cli: Cli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    Path("list.txt").write_text("photos/broken.jpg\n")
    Path("parquets").mkdir(exist_ok=True)
    if not any(Path("parquets").iterdir()):
        pq.write_table(pa.table({"path": ["photos/broken.jpg"]}), "parquets/a.parquet")
    there = [word.replace("file:", f"file://{photos.parent}/") for word in words]
    before = sorted(photos.parent.rglob("*"))
    done = cli("predict", *there, "--engine", "ray", "-m", "fast")
    assert (done.code, sorted(photos.parent.rglob("*"))) == (2, before)
    assert done.err.startswith("error: --output: ")
    assert "which is read" in done.err


def test_nothing_in_the_current_folder_is_run_by_workers(photos: Path, tmp_path: Path) -> None:
    root = Path(maskspot.__file__).parents[1]
    program = tmp_path / "program.py"
    lines = ["import sys", f"sys.path.insert(0, {str(root)!r})", "from maskspot.cli import main"]
    program.write_text("\n".join([*lines, "main()"]))
    there = tmp_path / "there"
    shutil.copytree(photos, there / "photos")
    for name in ("numpy", "maskspot", "json", "multiprocessing"):
        (there / f"{name}.py").write_text(f"open({str(tmp_path)!r} + '/ran-{name}', 'w').close()")
    words = command("photos", "--engine", "ray", "-o", "out", "--threads", 1)[4:]
    done = subprocess.run(
        [sys.executable, program, "predict", *words],
        cwd=there,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, list(tmp_path.glob("ran-*"))) == (1, []), done.stderr
    assert pq.read_table(there / "out").num_rows == 60


def test_only_what_workers_left_is_removed(photos: Path) -> None:
    folder = photos.with_name("kept")
    folder.mkdir()
    kept = folder / ".part-of-my-thesis.txt"
    kept.write_text("mine")
    left = folder / f".part-000000-{'a' * 12}.parquet.{'b' * 32}"
    left.write_text("not finished")
    (photos / "notes.txt").write_text("no image")
    done = run(photos, "--engine", "ray", "-o", folder, "--threads", 1)
    (photos / "notes.txt").unlink()
    assert done.returncode == 1
    assert (kept.read_text(), left.exists()) == ("mine", False)
    assert "passed over: 1 not named as images" in done.stderr


def test_the_documents_example_runs(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    text = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^maskspot predict (.*)", text, re.MULTILINE)
    assert run(*shlex.split(line)).returncode == 1  # as one of the photos is none
    assert pq.read_table("scores").num_rows == 60
