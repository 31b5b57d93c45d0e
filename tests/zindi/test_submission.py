"""Submissions, the leaderboard and credentials, against the service on loopback."""

import csv
import json
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx", reason="needs maskspot[fetch]")
from maskspot.errors import DataError, UsageError
from maskspot.zindi import client as zindi
from maskspot.zindi import http
from maskspot.zindi.account import ZindiAccount
from maskspot.zindi.leaderboard import leaderboard
from maskspot.zindi.submission import check_submission, submit
from tests import fake_zindi as faults
from tests.fake_zindi import Fault, Service

Cli = Callable[..., Any]
NAMES = ["a.jpg", "b.png", "c.JPG"]
ROWS = [["a.jpg", "0.123456789"], ["b.png", "0.987654321"], ["c.JPG", "1.5e-05"]]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """The service, whose address and token the environment has, and nobody's configuration."""
    for module in (http, zindi):
        monkeypatch.setattr(module, "sleep", lambda seconds: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    with Service(joined=True, truth={"a.jpg": 0, "b.png": 1, "c.JPG": 0}) as running:
        monkeypatch.setenv("MASKSPOT_ZINDI_URL", running.url)
        monkeypatch.setenv("MASKSPOT_ZINDI_TOKEN", running.token)
        yield running


def table(file: Path, rows: list[list[str]], header: str = "image,target") -> Path:
    file.parent.mkdir(exist_ok=True)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])
    return file


@pytest.fixture
def sub(tmp_path: Path) -> Path:
    """A good submission, with the sample in data/."""
    table(tmp_path / "data" / "sample_sub_v2.csv", [[name, "0"] for name in NAMES])
    return table(tmp_path / "sub.csv", ROWS)


def test_a_submission_is_checked_sent_and_scored(cli: Cli, service: Service, sub: Path) -> None:
    result = cli("submit", sub, "-m", "grüße: a=b&c")
    assert result.code == 0
    assert result.err.splitlines() == [
        f"{sub}: fits data/sample_sub_v2.csv",
        "submissions left today: 5",
        f"sent as {service.submissions[0].id}; waiting for its score",
    ]
    score = float(service.submissions[0].public_score or "nan")
    assert result.out == f"public score {score!r}, public rank 2\n"
    (sent,) = service.submissions
    assert sent.content == sub.read_bytes()
    assert (sent.filename, sent.content_type) == ("sub.csv", "text/plain")
    assert sent.comment == "grüße: a=b&c"


def test_what_a_program_reads_is_json(cli: Cli, service: Service, sub: Path) -> None:
    result = cli("submit", sub, "--json", "-q")
    assert json.loads(result.out)["public_rank"] == 2
    assert result.err == ""
    board = json.loads(cli("leaderboard", "--json").out)
    assert [row["rank"] for row in board["top"]] == [1, 2, 3, None]
    assert board["own"]["name"] == service.username


def test_a_dry_run_sends_nothing(cli: Cli, service: Service, sub: Path) -> None:
    assert cli("submit", sub, "--dry-run").code == 0
    assert service.requests == []


def test_a_program_submits_and_asks_for_a_password_in_its_own_way(
    service: Service, sub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASKSPOT_ZINDI_TOKEN")
    account = ZindiAccount(url=service.url)
    with pytest.raises(UsageError, match="`token_file`"):
        submit(sub, account=account)
    sent = submit(sub, account=account, ask=lambda user: (service.username, service.password))
    assert sent.id == service.submissions[0].id
    assert (sent.public_score, sent.public_rank) == (
        float(service.submissions[0].public_score or "nan"),
        2,
    )
    named = ZindiAccount(url=service.url, user=service.username)
    board = leaderboard(2, named, ask=lambda user: (str(user), service.password))
    assert len(board.top) == 2
    assert board.own
    assert board.own.rank == 2


def test_no_submission_is_spent_when_none_is_left(cli: Cli, service: Service, sub: Path) -> None:
    service.limit_today = 0
    result = cli("submit", sub)
    assert (result.code, service.submissions) == (4, [])
    assert "no submission is left today" in result.err


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        (faults.cut(0), True),
        (faults.cut(5, reset=False), True),
        (faults.html(200), False),
        (faults.html(502), False),
        (faults.garbage(), False),
    ],
)
def test_a_submission_whose_answer_is_lost_is_never_sent_twice(
    fault: Callable[..., None], arrived: bool, cli: Cli, service: Service, sub: Path
) -> None:
    service.faults = [Fault("submissions", fault, method="POST")]
    result = cli("submit", sub)
    sent = [each for each in service.requests if (each.method, each.path[-4:]) == ("POST", "ions")]
    assert len([each for each in sent if each.path.endswith("submissions")]) == 1
    assert len(service.submissions) == arrived
    assert result.code == (0 if arrived else 4)
    if not arrived:
        assert "according to the service, the submission did not arrive" in result.err


def test_a_submission_that_cannot_have_arrived_is_sent_again(
    cli: Cli, service: Service, sub: Path
) -> None:
    service.faults = [Fault("submissions", faults.status(503), method="POST", times=2)]
    assert cli("submit", sub).code == 0
    assert len(service.submissions) == 1


def test_a_submission_that_fails_says_why(cli: Cli, service: Service, sub: Path) -> None:
    service.failing_submission = "Missing entries for IDs a.jpg"
    result = cli("submit", sub)
    assert result.code == 4
    assert "failed: Missing entries for IDs a.jpg" in result.err


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ROWS[:2], "lacks images of sample.csv: 1, the first is c.JPG"),
        ([*ROWS, ["d.jpg", "0.5"]], "has images that sample.csv lacks: 1, the first is d"),
        ([*ROWS, ROWS[0]], "names images twice: 1, the first is a.jpg"),
        (ROWS[::-1], "is not in the order of sample.csv: 2, the first is c.JPG"),
        ([["a.jpg", "nan"], *ROWS[1:]], r"not probabilities from 0 to 1: 1, .* a.jpg \(nan\)"),
        ([["a.jpg", ""], *ROWS[1:]], "not probabilities"),
        ([["a.jpg", "1.0000001"], *ROWS[1:]], "not probabilities"),
        ([["a.jpg", "-inf"], *ROWS[1:]], "not probabilities"),
        ([["a.jpg", "0,5"], *ROWS[1:]], "not probabilities"),
    ],
)
def test_a_submission_unlike_the_sample_is_refused(
    rows: list[list[str]], expected: str, tmp_path: Path
) -> None:
    sample = table(tmp_path / "sample.csv", [[name, "0"] for name in NAMES])
    with pytest.raises(DataError, match=expected):
        check_submission(table(tmp_path / "sub.csv", rows), sample)


def test_another_header_than_the_samples_is_refused(tmp_path: Path) -> None:
    sample = table(tmp_path / "sample.csv", [[name, "0"] for name in NAMES], "id,label")
    with pytest.raises(DataError, match="its header is image,target, not id,label"):
        check_submission(table(tmp_path / "sub.csv", ROWS), sample)


def test_rounded_and_certain_probabilities_are_doubted(tmp_path: Path) -> None:
    sample = table(tmp_path / "sample.csv", [[name, "0"] for name in NAMES])

    def doubts(*values: str) -> str:
        rows = [list(row) for row in zip(NAMES, values, strict=True)]
        return " ".join(check_submission(table(tmp_path / "sub.csv", rows), sample))

    assert doubts("0.123456", "0.98765432", "1e-7") == ""
    assert "rounded" in doubts("0.1235", "0.5", "0.98")
    assert "1 of 3 probabilities are exactly 0 or 1" in doubts("0.123456", "1.0", "0.98765")
    assert "every probability is 0.5" in doubts("0.5", "0.5", "0.5")


def test_the_leaderboard_shows_names_as_text_and_scores_in_full(cli: Cli, service: Service) -> None:
    service.rivals[0]["user"]["username"] = "[red]x[/red]\x1b[2J"
    result = cli("leaderboard", "--top", 2)
    assert "[red]x[/red]\\x1b[2J" in result.out
    assert repr(0.011000123456789012) in result.out


def test_a_token_is_kept_only_when_asked_for_and_for_its_user_alone(
    cli: Cli, service: Service, sub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "config" / "maskspot" / "zindi-token"
    assert cli("submit", sub).code == 0
    assert not kept.exists()
    assert cli("submit", sub, "--keep-token").code == 0
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [file.name for file in kept.parent.iterdir()] == ["zindi-token"]
    monkeypatch.delenv("MASKSPOT_ZINDI_TOKEN")
    assert cli("submit", sub).code == 0
    (tmp_path / "mine").write_text(service.token + "\n")
    kept.write_text("stale")
    assert cli("submit", sub).code == 4
    assert cli("submit", sub, "--token-file", tmp_path / "mine").code == 0


def test_without_a_token_it_says_where_one_may_come_from(
    cli: Cli, service: Service, sub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASKSPOT_ZINDI_TOKEN")
    result = cli("submit", sub)
    assert result.code == 2
    for way in ("MASKSPOT_ZINDI_TOKEN", "--token-file", "--user"):
        assert way in result.err
    assert service.requests == []


def test_a_user_signs_in_with_a_password_from_stdin(
    cli: Cli, service: Service, sub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Typed:
        def __init__(self, text: str) -> None:
            self.text = text

        def isatty(self) -> bool:
            return False

        def readline(self) -> str:
            return self.text

    monkeypatch.setattr(sys, "stdin", Typed(f"{service.password}\n"))
    assert cli("submit", sub, "--user", service.username).code == 0
    monkeypatch.setattr(sys, "stdin", Typed("wrong\n"))
    result = cli("submit", sub, "--user", service.username)
    assert result.code == 4
    assert result.err.splitlines()[-1] == "error: 127.0.0.1: Wrong username or password"
