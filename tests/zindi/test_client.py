"""The local server does what the real service does, and goes wrong as it was ordered to."""

import gzip
import http.client
import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests import fake_zindi as faults
from tests.fake_zindi import ALREADY, SECRET, Fault, Service, span

NAME = "images.zip"
CONTENT = bytes(range(256)) * 40
HOME = "/v1/competitions/spot-the-mask-challenge"
FILE = f"{HOME}/files/{NAME}"


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(files={NAME: CONTENT, "train_labels.csv": b"image,target\n"}, joined=True) as one:
        yield one


class Answer:
    """A response, read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]


def connect(service: Service) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", urlsplit(service.url).port, timeout=5)


def ask(
    service: Service, path: str, method: str = "GET", body: Any = None, **headers: str
) -> Answer:
    """Ask as the user does who is signed in."""
    named = {"auth-token": service.token}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    line = connect(service)
    try:
        line.request(method, path, body, named)
        return Answer(line.getresponse())
    finally:
        line.close()


def signin(service: Service, username: str, password: str) -> Answer:
    form = urlencode({"username": username, "password": password})
    kind = "application/x-www-form-urlencoded"
    return ask(service, "/v1/auth/signin", "POST", form, content_type=kind)


def submit(service: Service, content: bytes = b"image,target\r\na,0.5\r\n", **more: str) -> Answer:
    body = b'--LINE\r\nContent-Disposition: form-data; name="comment"\r\n\r\nsch\xc3\xb6n\r\n'
    body += b'--LINE\r\nContent-Disposition: form-data; name="file"; filename="my sub.csv"\r\n'
    body += b"Content-Type: text/plain\r\n\r\n" + content + b"\r\n--LINE--\r\n"
    kind = "multipart/form-data; boundary=LINE"
    return ask(service, f"{HOME}/submissions", "POST", body, content_type=kind, **more)


def rows(service: Service) -> list[dict[str, Any]]:
    return list(ask(service, f"{HOME}/submissions?per_page=5").data)


# Signing in, and who may do what


def test_the_right_password_is_answered_with_a_token(service: Service) -> None:
    data = signin(service, "ada", "s3cret pässword").data
    assert data == {"auth_token": service.token, "user": {"username": "ada"}}
    assert len(service.token) == 24
    assert service.token.isalnum()


def test_a_wrong_password_is_an_error_with_status_200(service: Service) -> None:
    answer = signin(service, "ada", "secret")
    assert answer.status == 200
    assert answer.data == {"errors": {"message": "Wrong username or password"}}


def test_without_a_token_it_says_not_authorized_and_not_in_json(service: Service) -> None:
    for token in ("", "x" * 24):
        answer = ask(service, FILE, auth_token=token)
        assert (answer.status, answer.body) == (401, b"not authorized")


def test_a_token_is_seen_in_headers_form_and_query(service: Service) -> None:
    form = f"auth_token={service.token}"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    asked: list[tuple[str, str, str | None, dict[str, str]]] = [
        ("GET", f"{FILE}?auth_token={service.token}", None, {}),
        ("POST", FILE, form, kind),
        *(("GET", FILE, None, {name: service.token}) for name in ("auth-token", "auth_token")),
        ("GET", FILE, None, {"token": service.token}),
    ]
    for method, path, body, headers in asked:
        line = connect(service)
        line.request(method, path, body, headers)
        assert Answer(line.getresponse()).body == CONTENT
        line.close()


def test_what_was_asked_is_kept(service: Service) -> None:
    ask(service, f"{FILE}?a=1&kind[]=%C3%BC", X_Y="z")
    (request,) = service.requests
    assert (request.method, request.path, request.body) == ("GET", FILE, b"")
    assert request.query == {"a": "1", "kind[]": "ü"}
    assert request.headers["x-y"] == "z"
    assert request.bytes_sent == len(CONTENT)


# Competitions and joining


def test_competitions_are_public_and_come_in_pages(service: Service) -> None:
    for query, count in (("", 3), ("?query=cmu", 1), ("?page=1&per_page=2", 1)):
        answer = ask(service, f"/v1/competitions{query}", auth_token="")
        assert len(answer.data) == count
    meta = json.loads(answer.body)["meta"]
    assert meta == {"total_count": 3, "open_count": 3, "closed_count": 0}


def test_a_competition_repeats_a_data_file(service: Service) -> None:
    service.secret_code = "sesame"
    data = ask(service, HOME, auth_token="").data
    names = [row["filename"] for row in data["datafiles"]]
    assert names == [NAME, "train_labels.csv", NAME]
    assert data["secret_code_required"] is True
    assert data["pages"][0].keys() == {"title", "content_html"}


def test_an_unknown_competition_is_a_404_with_errors(service: Service) -> None:
    answer = ask(service, "/v1/competitions/spot-the-hat")
    assert answer.status == 404
    assert answer.data == {"errors": {"message": "Competition not found"}}


def test_joining_comes_before_the_download(service: Service) -> None:
    service.joined = False
    assert "errors" in ask(service, FILE).data
    assert ask(service, f"{HOME}/participations", "POST").data.keys() == {"ids"}
    assert ask(service, FILE).body == CONTENT
    assert ask(service, f"{HOME}/participations", "POST").data["errors"] == {"message": ALREADY}


def test_a_secret_code_is_required_where_there_is_one(service: Service) -> None:
    service.joined, service.secret_code = False, "öpen"
    for query in ("", "?secret_code=wrong"):
        answer = ask(service, f"{HOME}/participations{query}", "POST")
        assert answer.data["errors"] == {"message": SECRET}
    assert "ids" in ask(service, f"{HOME}/participations?secret_code=%C3%B6pen", "POST").data


@pytest.mark.parametrize(
    ("shape", "errors"),
    [("message", {"message": "no"}), ("base", {"base": "no"}), ("string", "no"), ("list", ["no"])],
)
def test_errors_have_the_shape_and_the_status_chosen(
    service: Service, shape: Any, errors: object
) -> None:
    service.errors, service.error_status, service.already = shape, 403, "no"
    answer = ask(service, f"{HOME}/participations", "POST")
    assert (answer.status, answer.data) == (403, {"errors": errors})


def test_what_is_no_error_is_bare_where_that_is_chosen(service: Service) -> None:
    service.wrapped = False
    assert json.loads(ask(service, f"{HOME}/submissions/limits").body) == {"today": 5}
    assert "data" in json.loads(signin(service, "ada", "s3cret pässword").body)


# Files


def test_a_file_comes_whole_by_get_and_by_post(service: Service) -> None:
    for method in ("GET", "POST"):
        answer = ask(service, FILE, method)
        assert (answer.status, answer.body) == (200, CONTENT)
        assert answer.headers["content-length"] == str(len(CONTENT))


def test_an_unknown_file_is_an_error(service: Service) -> None:
    assert ask(service, f"{HOME}/files/other.csv").data == {"errors": {"message": "File not found"}}


def test_head_and_other_methods_are_not_supported(service: Service) -> None:
    assert [ask(service, FILE, method).status for method in ("HEAD", "PUT", "DELETE")] == [405] * 3
    assert ask(service, "/v1/nothing").status == 404


def test_a_range_is_answered_with_that_part(service: Service) -> None:
    tag = ask(service, FILE).headers["etag"]
    for headers in ({}, {"if_range": tag}):
        answer = ask(service, FILE, range="bytes=10000-", **headers)
        assert (answer.status, answer.body) == (206, CONTENT[10000:])
        assert answer.headers["content-range"] == "bytes 10000-10239/10240"
    assert service.requests[-1].bytes_sent == 240


def test_a_range_of_what_has_changed_is_answered_with_all_of_it(service: Service) -> None:
    answer = ask(service, FILE, range="bytes=10-", if_range='"old"')
    assert (answer.status, answer.body) == (200, CONTENT)


def test_a_range_past_the_end_is_a_416(service: Service) -> None:
    answer = ask(service, FILE, range="bytes=10240-")
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10240")


def test_a_range_is_ignored_where_that_is_chosen(service: Service) -> None:
    service.ranges = service.etags = False
    answer = ask(service, FILE, range="bytes=10-")
    assert (answer.status, answer.body) == (200, CONTENT)
    assert not answer.headers.keys() & {"etag", "accept-ranges"}


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("bytes=2-3", range(2, 4)),
        ("bytes=2-", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=0-99", range(10)),
        ("bytes=10-", range(0)),
        ("bytes=-", None),
        ("bytes=1-2,4-5", None),
        ("lines=1-", None),
        ("", None),
    ],
)
def test_ranges_are_read_as_the_standard_has_them(text: str, asked: range | None) -> None:
    assert span(text, 10) == asked


def test_a_connection_serves_one_request_after_another(service: Service) -> None:
    line = connect(service)
    line.connect()
    kept = line.sock
    for _ in range(3):
        line.request("GET", FILE, headers={"auth-token": service.token})
        assert Answer(line.getresponse()).body == CONTENT
        assert line.sock is kept
    line.close()


def test_many_clients_are_served_at_once(service: Service) -> None:
    service.faults.append(Fault("files/", faults.slow(before=0.3), times=8))
    sizes: list[int] = []
    clients = [
        threading.Thread(target=lambda: sizes.append(len(ask(service, FILE).body)))
        for _ in range(8)
    ]
    start = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join(5)
    assert sizes == [len(CONTENT)] * 8
    assert time.monotonic() - start < 2


# The leaderboard and submissions


def test_the_leaderboard_has_scores_as_strings_and_the_unranked_last(service: Service) -> None:
    table = ask(service, f"{HOME}/participations?page=0&per_page=50").data
    assert [row["public_rank"] for row in table] == [1, 2, None, None]
    assert table[0]["best_public_score"] == "0.011000123456789012"
    assert [set(row) & {"user", "team"} for row in table[:2]] == [{"user"}, {"team"}]
    assert "private_rank" not in table[0]
    second = ask(service, f"{HOME}/participations?page=1&per_page=1").data
    assert second == table[1:2]


def test_the_leaderboard_is_public_unless_it_is_chosen_not_to_be(service: Service) -> None:
    for public, code in ((True, 200), (False, 401)):
        service.public_leaderboard = public
        assert ask(service, f"{HOME}/participations", auth_token="").status == code
        assert ask(service, f"{HOME}/participations").status == 200
    assert ask(service, f"{HOME}/participations/my_participation", auth_token="").status == 401


def test_after_the_close_rows_have_private_scores(service: Service) -> None:
    service.closed, service.polls_until_scored = True, 0
    submit(service)
    assert rows(service)[0]["private_score"] is not None
    assert ask(service, f"{HOME}/participations").data[0]["private_rank"] == 1


def test_a_submission_is_scored_after_so_many_polls(service: Service) -> None:
    name = submit(service).data["id"]
    assert len(name) == 8
    told = [rows(service)[0] for _ in range(3)]
    assert [row["status"] for row in told] == ["initial", "initial", "successful"]
    assert [row["public_score"] for row in told] == [None, None, "0.023456789012345678"]
    assert (told[2]["id"], told[2]["comment"]) == (name, "schön")
    assert ask(service, f"{HOME}/participations/my_participation").data["public_rank"] == 2


def test_an_upload_is_kept_byte_for_byte(service: Service) -> None:
    content = b"\r\nimage,target\n\r--LIN\xff,1\r\n\r\n"
    submit(service, content)
    kept = service.submissions[0]
    assert (kept.content, kept.content_type) == (content, "text/plain")
    assert kept.filename == "my sub.csv"


def test_an_upload_in_chunks_is_read(service: Service) -> None:
    body = (
        b'--L\r\nContent-Disposition: form-data; name="file"; filename="s"\r\n\r\nabc\r\n--L--\r\n'
    )
    kind = "multipart/form-data; boundary=L"
    chunks = iter([body[:20], body[20:]])
    ask(service, f"{HOME}/submissions", "POST", chunks, content_type=kind)
    assert service.submissions[0].content == b"abc"


def test_a_submission_without_a_file_is_an_error(service: Service) -> None:
    assert "errors" in ask(service, f"{HOME}/submissions", "POST").data
    assert not service.submissions


def test_the_limit_counts_what_did_not_fail(service: Service) -> None:
    service.limit_today, service.polls_until_scored = 1, 0
    service.failing_submission = "Missing entries for IDs a"
    submit(service)
    limits = f"{HOME}/submissions/limits"
    assert ask(service, limits).data == {"today": 0}
    assert "errors" in submit(service).data
    row = rows(service)[0]
    assert (row["status"], row["status_description"]) == ("failed", "Missing entries for IDs a")
    assert row["public_score"] is None
    assert ask(service, limits).data == {"today": 1}


def test_the_score_is_the_log_loss_against_the_truth(service: Service) -> None:
    service.truth = {"a": 1, "b": 0}
    score = service.score(b"image,target\na,0.75\nb,0.5\n")
    assert float(score) == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)
    assert len(score) == len("0.") + 18
    with pytest.raises(ValueError, match="Missing entries for IDs b"):
        service.score(b"image,target\na,0.75\n")


# What can go wrong


def raw(service: Service, *, size: int = 1 << 20) -> tuple[bytes, bool]:
    """All bytes that a connection gives for the file; whether a reset is what ended it."""
    head = f"GET {FILE} HTTP/1.1\r\nHost: x\r\nauth-token: {service.token}\r\n\r\n"
    got = b""
    with socket.create_connection(("127.0.0.1", urlsplit(service.url).port), 5) as line:
        line.sendall(head.encode())
        try:
            while piece := line.recv(size):
                got += piece
        except ConnectionResetError:
            return got, True
    return got, False


@pytest.mark.parametrize("reset", [True, False])
def test_cut_sends_so_many_bytes_and_ends(service: Service, reset: bool) -> None:
    service.files[NAME] = content = bytes(1 << 22)
    service.faults.append(Fault(FILE, faults.cut(3_000_001, reset)))
    got, was_reset = raw(service)
    head, _, body = got.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(content)}".encode() in head
    assert (len(body), was_reset) == (3_000_001, reset)
    assert service.requests[0].bytes_sent == 3_000_001


@pytest.mark.parametrize("reset", [True, False])
def test_refuse_ends_without_a_word(service: Service, reset: bool) -> None:
    service.faults.append(Fault("files/", faults.refuse(reset)))
    assert raw(service) == (b"", reset)


def test_garbage_is_not_http(service: Service) -> None:
    service.faults.append(Fault("files/", faults.garbage()))
    with pytest.raises(http.client.BadStatusLine):
        ask(service, FILE)


def test_status_does_not_act_unless_told_to(service: Service) -> None:
    service.faults += [
        Fault("submissions", faults.status(503, b"later", {"Retry-After": "1"}), method="POST"),
        Fault("submissions", faults.status(504, acts=True), method="POST"),
    ]
    assert rows(service) == []
    answer = submit(service)
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (503, b"later", "1")
    assert not service.submissions
    assert submit(service).status == 504
    assert len(service.submissions) == 1


def test_html_is_a_page_whatever_its_status(service: Service) -> None:
    service.faults += [Fault("", faults.html()), Fault("", faults.html(502))]
    for status in (200, 502):
        answer = ask(service, HOME)
        assert (answer.status, answer.body[:9]) == (status, b"<!DOCTYPE")
        assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("delta", [5, -5])
def test_wrong_length_is_not_that_of_the_body(service: Service, delta: int) -> None:
    service.faults.append(Fault("files/", faults.wrong_length(delta)))
    head, _, body = raw(service)[0].partition(b"\r\n\r\n")
    assert f"Content-Length: {len(CONTENT) + delta}".encode() in head
    assert body == CONTENT


@pytest.mark.parametrize("chunked", [True, False])
def test_no_length_sends_all_the_same(service: Service, chunked: bool) -> None:
    service.faults.append(Fault("files/", faults.no_length(chunked)))
    answer = ask(service, FILE)
    assert "content-length" not in answer.headers
    assert ("transfer-encoding" in answer.headers) is chunked
    assert answer.body == CONTENT


def test_chunks_can_be_cut(service: Service) -> None:
    service.faults.append(Fault("files/", faults.no_length(after_bytes=7)))
    with pytest.raises(http.client.IncompleteRead):
        ask(service, FILE)
    service.faults.append(Fault("files/", faults.no_length(chunked=False, after_bytes=7)))
    assert ask(service, FILE).body == CONTENT[:7]


@pytest.mark.parametrize(
    "kind", [faults.slow(40_000), faults.slow(before=0.25), faults.slow(middle=0.25)]
)
def test_slow_takes_its_time_and_sends_everything(service: Service, kind: Any) -> None:
    service.faults.append(Fault("files/", kind))
    start = time.monotonic()
    assert ask(service, FILE).body == CONTENT
    assert 0.24 < time.monotonic() - start < 2


def test_corrupt_flips_one_bit(service: Service) -> None:
    service.faults.append(Fault("files/", faults.corrupt(9)))
    body = ask(service, FILE).body
    assert [at for at, byte in enumerate(body) if byte != CONTENT[at]] == [9]
    assert len(body) == len(CONTENT)


def test_bad_range_says_another_or_none(service: Service) -> None:
    service.faults += [Fault("files/", faults.bad_range(text)) for text in ("bytes 0-9/10", None)]
    for text in ("bytes 0-9/10", None):
        answer = ask(service, FILE, range="bytes=10000-")
        assert (answer.status, answer.headers.get("content-range")) == (206, text)
        assert answer.body == CONTENT[10000:]


def test_changed_is_another_file_under_the_same_name(service: Service) -> None:
    before = ask(service, FILE)
    service.faults.append(Fault("files/", faults.changed(b"new")))
    after = ask(service, FILE, range="bytes=2-", if_range=before.headers["etag"])
    assert (after.status, after.body) == (200, b"new")
    assert after.headers["etag"] != before.headers["etag"]
    assert ask(service, FILE).body == b"new"


def test_redirect_leads_to_another_place(service: Service) -> None:
    with Service(files={NAME: b"elsewhere"}) as other:
        to = other.url.replace("/v1", "/storage") + "/" + NAME
        service.faults += [
            Fault("files/", faults.redirect(to)),
            Fault("files/", faults.redirect("http://localhost{path}", 307)),
        ]
        answer = ask(service, FILE)
        assert (answer.status, answer.headers["location"]) == (302, to)
        assert ask(other, urlsplit(to).path, auth_token="").body == b"elsewhere"
        answer = ask(service, f"{FILE}?a=b")
        assert (answer.status, answer.headers["location"]) == (307, f"http://localhost{FILE}?a=b")


def test_gzipped_is_for_those_who_take_it(service: Service) -> None:
    service.faults.append(Fault("files/", faults.gzipped(), times=2))
    answer = ask(service, FILE, accept_encoding="gzip, br")
    assert gzip.decompress(answer.body) == CONTENT
    assert answer.headers["content-length"] == str(len(answer.body))
    assert ask(service, FILE, accept_encoding="identity").body == CONTENT


def test_faults_are_played_in_order_and_so_many_times(service: Service) -> None:
    service.faults += [
        Fault("files/other", faults.status(500)),
        Fault("files/", faults.status(502), times=2),
        Fault("files/", faults.status(503)),
    ]
    assert [ask(service, FILE).status for _ in range(4)] == [502, 502, 503, 200]
    assert len(service.faults) == 1
    service.faults[:] = [Fault("", faults.status(500), times=math.inf)]
    assert [ask(service, FILE).status for _ in range(4)] == [500] * 4


# Closing


def test_close_does_not_wait_for_slow_responses(service: Service) -> None:
    service.faults.append(Fault("files/", faults.slow(middle=60)))
    line = connect(service)
    line.request("GET", FILE, headers={"auth-token": service.token})
    response = line.getresponse()
    assert len(response.read(len(CONTENT) // 2)) == len(CONTENT) // 2
    idle = connect(service)
    idle.connect()
    start = time.monotonic()
    service.close()
    assert time.monotonic() - start < 1
    assert not service.server.open
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    line.close()
    idle.close()
    with pytest.raises(ConnectionRefusedError):
        ask(service, FILE)


def test_close_does_not_wait_for_a_client_that_does_not_read(service: Service) -> None:
    service.files[NAME] = bytes(1 << 25)
    line = connect(service)
    line.request("GET", FILE, headers={"auth-token": service.token})
    time.sleep(0.1)
    start = time.monotonic()
    service.close()
    assert time.monotonic() - start < 1
    line.close()


def test_a_client_that_leaves_is_no_mistake(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(service.url).port), 5) as line:
        line.sendall(f"POST {FILE} HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc".encode())
    assert len(ask(service, FILE).body) == len(CONTENT)
    assert not service.server.bugs
    assert len(service.requests) == 1


def test_a_mistake_in_the_server_fails_the_test() -> None:
    service = Service(faults=[Fault("", faults.corrupt(1 << 20))])
    with pytest.raises(IndexError), service, pytest.raises(http.client.RemoteDisconnected):
        ask(service, HOME)
