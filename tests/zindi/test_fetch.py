"""`maskspot fetch` from the service on loopback, and from archives on disk."""

import io
import logging
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx", reason="needs maskspot[fetch]")
from maskspot.datasets.labels import read_folders
from maskspot.files import locked
from maskspot.zindi import client as zindi
from maskspot.zindi import http
from maskspot.zindi.account import ZindiAccount
from maskspot.zindi.fetch import FetchSource, fetch
from tests import fake_zindi as faults
from tests.fake_zindi import Fault, Service
from tests.helpers import tiny_mobilenet

Cli = Callable[..., Any]
CSVS = ("train_labels.csv", "sample_sub_v2.csv")


@pytest.fixture(scope="module")
def files(demo_data: Path) -> dict[str, bytes]:
    """What the competition offers: the demo data, its images in an archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted((demo_data / "images").iterdir()):
            archive.write(path, f"images/{path.name}")
    csvs = {name: (demo_data / name).read_bytes() for name in CSVS}
    return {"images.zip": content.getvalue(), **csvs}


@pytest.fixture
def service(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Service]:
    for module in (http, zindi):
        monkeypatch.setattr(module, "sleep", lambda seconds: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    with Service(files=dict(files)) as running:
        monkeypatch.setenv("MASKSPOT_ZINDI_URL", running.url)
        monkeypatch.setenv("MASKSPOT_ZINDI_TOKEN", running.token)
        yield running


def listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def expected(demo_data: Path) -> set[str]:
    return {*CSVS, "images.zip", *(f"images/{p.name}" for p in (demo_data / "images").iterdir())}


def same(folder: Path, demo_data: Path) -> bool:
    return listing(folder) == expected(demo_data) and all(
        (folder / name).read_bytes() == (demo_data / name).read_bytes()
        for name in expected(demo_data) - {"images.zip"}
    )


def test_it_joins_downloads_unpacks_and_says_what_there_is(
    cli: Cli, service: Service, demo_data: Path
) -> None:
    result = cli("fetch", "data")
    assert result.code == 0
    assert service.joined
    assert same(Path("data"), demo_data)
    assert result.err.splitlines()[-2:] == [
        "data: 160 labelled images (80 with a mask, 80 without), 40 to test on; 0 missing, "
        "0 extra, 0 unreadable",
        "now: maskspot train data",
    ]
    assert len(read_folders([Path("data")])) == 160


def test_a_program_fetches_as_the_command_does(service: Service, demo_data: Path) -> None:
    Path("token").write_text(service.token)
    account = ZindiAccount(url=service.url, token_file=Path("token"))
    found = fetch("data", account=account)
    assert same(Path("data"), demo_data)
    assert (found.with_mask, found.without_mask, found.test) == (80, 80, 40)
    assert (found.missing, found.extra, found.unreadable) == ([], [], [])
    archives = FetchSource(sources=(Path("data"),))
    assert fetch("copy", archives).complete
    assert fetch("drawn", FetchSource(demo=True)).complete


def test_files_that_were_known_otherwise_are_a_warning(cli: Cli, service: Service) -> None:
    """The demo's are not those that the service had."""
    assert "warning: data/train_labels.csv: differs from the file known" in cli("fetch").err
    service.slug = "spot-the-mask"
    assert "differs from" not in cli("fetch", "other", "--competition", service.slug).err


def test_a_second_run_asks_for_nothing_and_changes_nothing(
    cli: Cli, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("fetch")
    before = {path: path.stat() for path in Path("data").rglob("*")}
    service.close()
    monkeypatch.delenv("MASKSPOT_ZINDI_TOKEN")
    result = cli("fetch")
    assert (result.code, result.err.splitlines()[0]) == (0, "data: nothing to download")
    assert {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")} == {
        path: stat.st_mtime_ns for path, stat in before.items()
    }


def test_an_image_that_went_away_comes_back_from_the_archive(
    cli: Cli, service: Service, demo_data: Path
) -> None:
    cli("fetch")
    next(Path("data/images").iterdir()).unlink()
    service.requests.clear()
    assert cli("fetch").code == 0
    assert same(Path("data"), demo_data)
    assert not any("/files/" in request.path for request in service.requests)


def test_what_a_user_had_is_kept(cli: Cli, service: Service, demo_data: Path) -> None:
    Path("data/images").mkdir(parents=True)
    Path("data/images/mine.txt").write_text("mine")
    Path("data/train_labels.csv").write_bytes((demo_data / "train_labels.csv").read_bytes())
    assert cli("fetch").code == 0
    assert listing(Path("data")) == expected(demo_data) | {"images/mine.txt"}
    taken = sorted(Path("data/images").glob("*.jpg"))[0]
    taken.write_bytes(b"mine")
    sorted(Path("data/images").glob("*.jpg"))[1].unlink()
    result = cli("fetch")
    assert result.code == 3
    assert taken.name in result.err
    assert taken.read_bytes() == b"mine"


def test_images_that_are_missing_extra_or_unreadable_are_named(
    cli: Cli, service: Service, demo_data: Path
) -> None:
    first, second, *_ = (item.path.name for item in read_folders([demo_data]))
    content = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(service.files["images.zip"])) as old,
        zipfile.ZipFile(content, "w") as new,
    ):
        for entry in old.infolist():
            if not entry.filename.endswith(first):
                damaged = entry.filename.endswith(second)
                new.writestr(entry.filename, b"nothing" if damaged else old.read(entry))
        new.writestr("images/stranger.png", old.read(entry))
    service.files["images.zip"] = content.getvalue()
    result = cli("fetch")
    assert result.code == 1
    assert f"warning: missing: {first}" in result.err
    assert f"warning: unreadable: images/{second} (not an image" in result.err
    assert "warning: not in any CSV: images/stranger.png" in result.err
    assert "1 missing, 1 extra, 1 unreadable" in result.err


def test_labels_in_other_columns_are_read_by_the_names_given(
    cli: Cli, service: Service, demo_data: Path
) -> None:
    rows = (demo_data / "train_labels.csv").read_text().replace("\n", ",x\n")
    csv = rows.replace("image,target,x", "photo,masked,note", 1)
    service.files["train_labels.csv"] = csv.encode()
    result = cli("fetch", "data")
    assert result.code == 2
    assert "--image-column" in result.err.splitlines()[-1]
    result = cli("fetch", "data", "--image-column", "photo", "--target-column", "masked")
    assert result.code == 0
    assert "160 labelled images (80 with a mask, 80 without)" in result.err


def test_two_calls_do_not_fill_one_folder_at_once(cli: Cli, service: Service) -> None:
    Path("data").mkdir()
    with locked(Path("data")):
        result = cli("fetch", "data")
    assert result.code == 3
    assert result.err == "error: data: another maskspot is at work there; wait for it\n"
    assert cli("fetch", "data").code == 0


def test_a_competition_with_a_secret_code_says_where_to_join(cli: Cli, service: Service) -> None:
    service.secret_code = "x"
    result = cli("fetch")
    assert result.code == 4
    assert "join spot-the-mask-challenge and accept its rules on its page" in result.err
    assert listing(Path("data")) == set()


@pytest.mark.parametrize("bad", ["../evil.csv", ".hidden.csv", "a/b.zip", "/etc/x.csv"])
def test_a_file_name_that_leads_elsewhere_is_refused(cli: Cli, service: Service, bad: str) -> None:
    service.files[bad] = b"x"
    result = cli("fetch")
    assert result.code == 4
    assert "lists" in result.err
    assert listing(Path()) == set()


def test_a_damaged_archive_is_one_line_that_says_what_to_do(cli: Cli, service: Service) -> None:
    service.files["images.zip"] = service.files["images.zip"][:-100]
    result = cli("fetch", "-q")
    assert result.code == 3
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "data/images.zip: " in errors[0]
    assert not Path("data/images").exists()


@pytest.mark.parametrize("words", [["."], ["images.zip", *CSVS]])
def test_archives_on_disk_do_as_well_and_stay(
    words: list[str], cli: Cli, files: dict[str, bytes], demo_data: Path, tmp_path: Path
) -> None:
    source = tmp_path / "downloads"
    source.mkdir()
    for name, content in files.items():
        (source / name).write_bytes(content)
    (source / "notes.txt").write_text("no part of it")
    options = [word for name in words for word in ("--from", source / name)]
    data = tmp_path / "data"
    for _ in range(2):
        assert cli("fetch", data, *options).code == 0
        assert listing(data) == expected(demo_data) - {"images.zip"}
    assert listing(source) == {*files, "notes.txt"}
    (data / CSVS[0]).write_text("mine")
    result = cli("fetch", data, *options)
    assert (result.code, (data / CSVS[0]).read_text()) == (3, "mine")


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--from", "none"], 2, "--from: none: no such file"),
        (["--from", "empty"], 2, "--from: empty has no CSV and no archive"),
        (["--from", "a.txt"], 2, "--from: a.txt is neither"),
        (["--demo", "--from", "empty"], 2, "leave out --from"),
        (["--url", "http://example.org"], 2, "--url: http://example.org is not https"),
        (["--token-file", "none"], 2, "none: No such file"),
        (["--token-file", "a.txt"], 2, "a.txt: not a token"),
        (["--competition", "none"], 4, "Competition not found"),
    ],
)
def test_every_mistake_is_one_line(
    words: list[str], code: int, expected: str, cli: Cli, service: Service
) -> None:
    Path("empty").mkdir()
    Path("a.txt").write_text("no token: it has spaces")
    result = cli("fetch", "data", *words)
    assert result.code == code
    assert expected in result.err
    assert result.err.count("\n") == 1


@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_nothing_behind(
    service: Service, demo_data: Path, tmp_path: Path
) -> None:
    """Downloads at a pace that the kills fall into, unpacking too; then one run to its end."""
    command = [sys.executable, "-m", "maskspot", "fetch", "-q", "data"]
    size = len(service.files["images.zip"])
    service.faults = [Fault("images.zip", faults.slow(rate=size), times=1000)]
    rng = random.Random(5)
    for _ in range(20):
        running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 1.3))
        running.kill()
        running.wait()
    service.faults = []
    assert subprocess.run(command, check=True, stderr=subprocess.PIPE).returncode == 0
    assert same(Path("data"), demo_data)
    downloads = [each for each in service.requests if each.path.endswith("images.zip")]
    assert len(downloads) > 1
    assert any("range" in each.headers for each in downloads)


def test_the_token_is_in_no_output_however_a_run_ends(
    cli: Cli,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    demo_data: Path,
) -> None:
    """With everything logged that any library logs, and with tracebacks of mistakes of ours."""
    caplog.set_level(logging.DEBUG)
    seen = []
    kinds = [
        None,
        faults.status(401, b"not authorized"),
        faults.status(500),
        faults.garbage(),
        faults.html(200),
        faults.refuse(),
        faults.redirect("http://localhost:1/x"),
        faults.cut(3),
    ]
    Path("data").mkdir()
    for name in CSVS:
        (Path("data") / name).write_bytes((demo_data / name).read_bytes())
    for kind in kinds:
        for words in (["fetch", "other"], ["submit", "data/sample_sub_v2.csv"], ["leaderboard"]):
            service.faults = [Fault("", kind, times=9)] if kind else []
            result = cli(*words)
            seen += [result.out, result.err]
    assert any(f"auth_token={service.token}" in str(r.query) or r.query for r in service.requests)
    monkeypatch.setattr("maskspot.zindi.http.answer", lambda response: 1 / 0)
    script = (
        "import logging; logging.basicConfig(level=0)\n"
        "from maskspot.zindi import http; http.answer = lambda response: 1 / 0\n"
        "import sys; sys.argv = ['maskspot', '-v', 'submit', 'data/sample_sub_v2.csv']\n"
        "from maskspot.cli import main; main()"
    )
    service.faults = []
    crashed = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert "ZeroDivisionError" in crashed.stderr
    everything = "".join([*seen, crashed.stdout, crashed.stderr, caplog.text])
    assert "submissions?auth_token=…" in everything
    assert service.token not in everything
    assert service.token not in "".join(map(str, listing(Path())))


def test_the_terminal_shows_a_bar_for_each_file(service: Service, tmp_path: Path) -> None:
    import pty

    for name, content in service.files.items():
        service.faults.append(Fault(name, faults.slow(before=0.3, rate=4 * len(content))))
    main, terminal = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "maskspot", "fetch", "data"],
        stderr=terminal,
        env=os.environ | {"COLUMNS": "100", "TERM": "xterm"},
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(main, 1 << 16)
        except OSError:
            break
    os.close(main)
    assert running.wait() == 0
    for word in (b"images.zip", b"train_labels.csv", b"sample_sub_v2.csv", b"MB", b"images/s"):
        assert word in shown


@pytest.mark.train
def test_from_the_service_and_back_to_it(cli: Cli, service: Service, demo_data: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs maskspot[train]")
    truth = (demo_data / "test_labels.csv").read_text().splitlines()[1:]
    service.truth = {name: int(target) for name, target in (row.split(",") for row in truth)}
    assert cli("fetch").code == 0
    small = ["--backbone", "mobilenet-0.25", "--weights", "none", "--size", "32", "--epochs", "1"]
    with tiny_mobilenet():
        assert cli("train", "data", "--name", "mine", "-q", *small).code == 0
        assert cli("export", "runs/mine", "-o", "mine.onnx").code == 0
    sample = ["--sample", "data/sample_sub_v2.csv"]
    words = ["predict", "data/images", "-m", "mine.onnx", *sample, "-o", "sub.csv"]
    assert cli(*words).code == 0
    result = cli("submit", "sub.csv", "-m", "first")
    assert result.code == 0
    (sent,) = service.submissions
    assert result.out.startswith(f"public score {float(sent.public_score or 'nan')!r}, public rank")
    assert service.username in cli("leaderboard").out
