"""Downloads over a bad connection, from a real server on loopback."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("httpx", reason="needs maskspot[fetch]")
from maskspot.errors import DataError, ServiceError, UsageError
from maskspot.zindi import http
from maskspot.zindi.client import Zindi
from maskspot.zindi.http import Token
from tests import fake_zindi as faults
from tests.fake_zindi import Fault, Service

CONTENT = random.Random(0).randbytes(200_000)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would have been waited before each other try."""
    waited: list[float] = []
    monkeypatch.setattr(http, "sleep", waited.append)
    return waited


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(files={"images.zip": CONTENT}, joined=True) as running:
        yield running


def client(service: Service, timeout: float = 5.0) -> Zindi:
    return Zindi(base_url=service.url, token=lambda: Token(service.token), timeout=timeout)


def download(service: Service, folder: Path, timeout: float = 5.0) -> Path:
    with client(service, timeout) as zindi:
        zindi.download("images.zip", folder / "images.zip")
    return folder / "images.zip"


def sent(service: Service) -> int:
    return sum(request.bytes_sent for request in service.requests)


@pytest.mark.parametrize("cut_at", [0, 1, *random.Random(1).sample(range(2, len(CONTENT)), 48)])
def test_a_download_cut_anywhere_ends_whole_with_no_byte_sent_twice(
    cut_at: int, service: Service, tmp_path: Path
) -> None:
    service.faults = [Fault("images.zip", faults.cut(cut_at, reset=False))]
    file = download(service, tmp_path)
    assert file.read_bytes() == CONTENT
    assert sent(service) == len(CONTENT)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", [".images.zip.part", ".images.zip.part.json"])
def test_a_download_is_never_written_through_a_planted_link(
    name: str, service: Service, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "bashrc").write_text("mine")
    (tmp_path / "data" / name).symlink_to(tmp_path / "bashrc")
    with pytest.raises(DataError, match=rf"{name}: maskspot keeps a file by this name"):
        download(service, tmp_path / "data")
    assert (tmp_path / "bashrc").read_text() == "mine"


@pytest.mark.parametrize(
    "note",
    [
        b"[" * 60_000,
        b'{"etag": "\\r\\nX: y", "modified": null, "total": null}',
        b'{"etag": 7, "modified": null, "total": null}',
        b'{"etag": null, "modified": null, "total": "many"}',
        b'{"etag": null, "modified": null, "total": -1}',
        b'{"etag": "\\ud800", "modified": null, "total": 1}',
        b"\xff",
    ],
)
def test_a_note_of_a_strangers_is_passed_over(
    note: bytes, service: Service, tmp_path: Path
) -> None:
    (tmp_path / ".images.zip.part").write_bytes(b"stranger")
    (tmp_path / ".images.zip.part.json").write_bytes(note)
    file = download(service, tmp_path)
    assert file.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [file]


def test_fifty_cuts_of_one_download_are_got_over(service: Service, tmp_path: Path) -> None:
    service.faults = [
        Fault("images.zip", faults.cut(size, reset=at % 2 == 0))
        for at, size in enumerate(random.Random(2).sample(range(1, 4000), 50))
    ]
    assert download(service, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("etags", [True, False])
def test_without_ranges_it_starts_again(etags: bool, service: Service, tmp_path: Path) -> None:
    service.ranges, service.etags = False, etags
    service.faults = [Fault("images.zip", faults.cut(1000, reset=False), times=3)]
    assert download(service, tmp_path).read_bytes() == CONTENT
    assert sent(service) == len(CONTENT) + 3000


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(429, headers={"Retry-After": "7"}),
        faults.status(500),
        faults.status(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        faults.html(200),
        faults.html(502),
        faults.garbage(),
        faults.refuse(),
        faults.refuse(reset=True),
        faults.wrong_length(100),
        faults.wrong_length(-100),
        faults.no_length(),
        faults.no_length(after_bytes=100_000),
        faults.slow(before=1.5),
        faults.slow(middle=1.5),
    ],
)
def test_what_another_try_may_mend_is_tried_again(
    fault: Callable[..., None], service: Service, tmp_path: Path
) -> None:
    service.faults = [Fault("images.zip", fault)]
    file = download(service, tmp_path, timeout=0.5)
    content = file.read_bytes()
    # A length that is too small cannot be told from the file's own.
    assert content in (CONTENT, CONTENT[:-100])
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        faults.bad_range(),
        faults.bad_range(None),
        faults.status(416),
        faults.changed(CONTENT[:-5]),
        faults.html(200),
    ],
)
def test_a_strange_answer_to_a_range_never_joins_two_files(
    fault: Callable[..., None], etags: bool, service: Service, tmp_path: Path
) -> None:
    service.etags = etags
    cut = Fault("images.zip", faults.cut(1000, reset=False))
    service.faults = [cut, Fault("images.zip", fault)]
    file = download(service, tmp_path)
    assert file.read_bytes() == service.files["images.zip"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_changes_and_keeps_its_length_is_told_by_its_etag(
    service: Service, tmp_path: Path
) -> None:
    cut = Fault("images.zip", faults.cut(1000, reset=False))
    service.faults = [cut, Fault("images.zip", faults.changed(CONTENT[::-1]))]
    assert download(service, tmp_path).read_bytes() == CONTENT[::-1]


def test_the_service_is_waited_for_as_long_as_it_asks_within_reason(
    service: Service, tmp_path: Path, waits: list[float]
) -> None:
    service.faults = [
        Fault("images.zip", faults.status(429, headers={"Retry-After": seconds}))
        for seconds in ("7", "86400", "never")
    ]
    download(service, tmp_path)
    assert waits[:2] == [7, http.LONGEST_WAIT]
    assert 0 <= waits[2] < 10


def test_a_service_that_stays_away_is_one_line(
    service: Service, tmp_path: Path, waits: list[float]
) -> None:
    service.faults = [Fault("images.zip", faults.status(503), times=100)]
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1: answers 503; tried 6 times") as error:
        download(service, tmp_path)
    assert "\n" not in str(error.value)
    assert len(waits) == http.ATTEMPTS - 1
    service.close()
    with pytest.raises(ServiceError, match="cannot be reached"):
        download(service, tmp_path)


def test_a_refusal_is_not_tried_again(service: Service, tmp_path: Path, waits: list[float]) -> None:
    for shape in ("message", "base", "string", "list"):
        service.joined, service.errors = False, shape
        with pytest.raises(ServiceError, match="You must join the competition to download"):
            download(service, tmp_path)
    service.token = "another"
    with (
        Zindi(base_url=service.url, token=lambda: Token("stale")) as zindi,
        pytest.raises(ServiceError, match="does not accept the token"),
    ):
        zindi.submissions_left()
    assert waits == []


def test_a_token_does_not_follow_a_redirection_to_elsewhere(
    service: Service, tmp_path: Path
) -> None:
    with Service(files={"images.zip": CONTENT}) as storage:
        to = storage.url.removesuffix("/v1").replace("127.0.0.1", "localhost")
        service.faults = [Fault("files/images.zip", faults.redirect(f"{to}/storage/images.zip"))]
        assert download(service, tmp_path).read_bytes() == CONTENT
        (request,) = storage.requests
    assert service.token not in str(request)


def test_redirections_end(service: Service, tmp_path: Path) -> None:
    service.faults = [Fault("images.zip", faults.redirect("images.zip"), times=100)]
    with pytest.raises(ServiceError, match="too many redirections"):
        download(service, tmp_path)
    service.faults = [Fault("images.zip", faults.redirect("http://example.org/images.zip"))]
    with pytest.raises(ServiceError, match=r"example\.org: .* without https"):
        download(service, tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/v1",
        "ftp://127.0.0.1",
        "https://me:pw@host",
        "https://",
        "x",
        "https://h?a=b",
    ],
)
def test_a_url_that_would_show_tokens_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"^url: "):
        Zindi(base_url=url)


def test_a_token_shows_itself_nowhere() -> None:
    assert "secret" not in repr(Token("secret"))
    with pytest.raises(UsageError) as error:
        Token("sec\nret")
    assert "ret" not in str(error.value)
