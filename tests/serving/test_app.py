"""The server: what it answers, what it refuses, and how it ends."""

import base64
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import maskspot
from maskspot import Predictor
from maskspot.model.heatmaps import strength
from maskspot.model.loading import LoadOptions

for module in ("starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(module, reason="needs maskspot[serve]")
httpx = pytest.importorskip("httpx")

from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from maskspot.serving import connection  # noqa: E402
from maskspot.serving import uploads as bodies  # noqa: E402
from maskspot.serving.app import Service  # noqa: E402
from maskspot.serving.guard import Guard  # noqa: E402
from maskspot.serving.limits import Refusal, RequestLimits  # noqa: E402
from maskspot.serving.options import ServeOptions  # noqa: E402
from maskspot.serving.serve import serve  # noqa: E402
from maskspot.serving.threads import ScoringThreads  # noqa: E402
from tests.helpers import wait_for  # noqa: E402
from tests.http_server import Held, Started, running, talk  # noqa: E402

Cli = Callable[..., Any]
TOKEN = "correct-horse-battery-staple"
JPEG = {"Content-Type": "image/jpeg"}
SMALL = RequestLimits(max_body=300_000, max_images=3, timeout=20, concurrency=4)


@pytest.fixture(scope="module")
def fast() -> Predictor:
    return Predictor("fast", max_pixels=1_000_000)


@pytest.fixture(scope="module")
def url(fast: Predictor) -> Iterator[str]:
    """A server with small limits."""
    with running(fast, SMALL) as url:
        yield url


@pytest.fixture
def photos(pictures: Path) -> list[tuple[str, bytes]]:
    return [(f"{name}.jpg", (pictures / f"{name}.jpg").read_bytes()) for name in "cab"]


def form(photos: list[tuple[str, bytes]]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", photo) for photo in photos]


def as_json(photos: list[tuple[str, bytes]]) -> dict[str, Any]:
    coded = [(name, base64.b64encode(content).decode()) for name, content in photos]
    return {"images": [{"source": name, "data": data} for name, data in coded]}


def ask(url: str, **options: Any) -> Any:
    return httpx.post(f"{url}/v1/predict", timeout=30, **options)


def test_every_form_of_request_gives_the_bits_of_the_predictor_in_order(
    url: str, fast: Predictor, photos: list[tuple[str, bytes]]
) -> None:
    expected = [fast.predict(content, name) for name, content in photos]
    for options in ({"files": form(photos)}, {"json": as_json(photos)}):
        answer = ask(url, **options).json()
        assert answer["model"] == fast.id
        assert [(each["source"], each["probability"]) for each in answer["results"]] == [
            (score.source, score.probability) for score in expected
        ]
        assert answer["results"][0]["format"] == "JPEG"
        assert answer["results"][0]["width"] == expected[0].width
    for kind in ("image/jpeg", "image/x-strange", "application/octet-stream"):
        raw = ask(url, content=photos[0][1], headers={"Content-Type": kind}).json()
        assert [each["probability"] for each in raw["results"]] == [expected[0].probability]


def test_a_heatmap_is_the_predictors_and_comes_only_where_asked_for(
    url: str, fast: Predictor, photos: list[tuple[str, bytes]]
) -> None:
    score = fast.predict(photos[0][1], heatmap=True)
    content = photos[0][1]
    found = ask(url, params={"heatmap": 1}, content=content, headers=JPEG).json()["results"][0]
    assert score.heatmap is not None
    assert found["heatmap"] == score.heatmap.tolist()
    assert found["overlay"] == strength(score).round(4).tolist()
    assert found["probability"] == score.probability
    assert "heatmap" not in ask(url, content=content, headers=JPEG).json()["results"][0]


def test_an_image_that_cannot_be_read_is_a_result_beside_the_others(
    url: str, photos: list[tuple[str, bytes]]
) -> None:
    large = BytesIO()
    Image.new("L", (1001, 1000)).save(large, "PNG")
    sent = [("no.jpg", b"<svg/>"), photos[0], ("large.png", large.getvalue())]
    answer = ask(url, files=form(sent))
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each["status"] for each in results] == ["unreadable", "ok", "too large"]
    assert [each["probability"] is None for each in results] == [True, False, True]
    assert "1,000,000 pixels" in results[2]["error"]


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream"])
def test_one_raw_image_that_cannot_be_read_is_422_with_its_result(url: str, kind: str) -> None:
    answer = ask(url, content=b"<svg/>", headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/json")
    listed = ask(url, json=as_json([("image-1", b"<svg/>")]))
    assert listed.status_code == 200
    assert answer.json() == listed.json()
    assert answer.json()["results"][0]["status"] == "unreadable"


BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\nx\r\n'


@pytest.mark.parametrize(
    ("status", "word", "headers", "content"),
    [
        (415, "Content-Type", {}, b"x"),
        (415, "text/html", {"Content-Type": "text/html"}, b"x"),
        (415, "x-www-form", {"Content-Type": "application/x-www-form-urlencoded"}, b"x"),
        (415, "Content-Encoding", {**JPEG, "Content-Encoding": "gzip"}, b"x"),
        (413, "300,000 bytes", JPEG, bytes(300_001)),
        (422, "limit of 3", BOUNDARY, PART * 4 + b"--b--"),
        (422, "no image", JPEG, b""),
        (422, "no image", BOUNDARY, b"--b--"),
        (422, "boundary", {"Content-Type": "multipart/form-data"}, PART),
        (422, "boundary", BOUNDARY, b"nothing"),
        (422, "last boundary", BOUNDARY, PART),
        (422, "named images", BOUNDARY, PART.replace(b"images", b"image") + b"--b--"),
        (422, "not a file", BOUNDARY, PART.replace(b'; filename="a"', b"") + b"--b--"),
        (422, "damaged header", BOUNDARY, PART.replace(b'"a"', b'"a') + b"--b--"),
        (422, "damaged header", BOUNDARY, PART.replace(b"Content", b"no\r\nContent") + b"--b--"),
        (422, "damaged header", BOUNDARY, PART.replace(b'="a"', b"*=utf-16''a") + b"--b--"),
        (415, "name=value", {"Content-Type": 'multipart/form-data; boundary="b'}, PART),
        (422, "not valid JSON", {"Content-Type": "application/json"}, b"{"),
        (422, "not valid JSON", {"Content-Type": "application/json"}, b"\xff\xfe\x00"),
        (422, "more values", {"Content-Type": "application/json"}, b"[" * 100_000),
        (422, "of the form", {"Content-Type": "application/json"}, b"[1]"),
        (422, "no image", {"Content-Type": "application/json"}, b'{"images": []}'),
        (422, "image 1", {"Content-Type": "application/json"}, b'{"images": [7]}'),
        (422, "base64", {"Content-Type": "application/json"}, b'{"images": [{"data": "?"}]}'),
        (422, "base64", {"Content-Type": "application/json"}, b'{"images": [{"data": 7}]}'),
        (422, "image 1", {"Content-Type": "application/json"}, b'{"images": [{"url": "x:"}]}'),
    ],
)
def test_what_is_wrong_with_a_request_is_said_in_json(
    url: str, status: int, word: str, headers: dict[str, str], content: bytes
) -> None:
    answer = ask(url, content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert word in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", "/nowhere", 404), ("POST", "/nowhere", 404), ("GET", "/v1/predict", 405)),
        *(("DELETE", "/", 405), ("GET", "/docs/", 404), ("OPTIONS", "/v1/predict", 405)),
        *(("HEAD", "/healthz", 200), ("HEAD", "/nowhere", 404), ("BREW", "/%2e%2e/%00", 404)),
        *(("POST", "/v1/predict?heatmap=yes", 422),),
    ],
)
def test_paths_and_methods_that_are_not_served_are_refused_in_json(
    url: str, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, url + path, headers=JPEG)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    if method == "HEAD":
        assert answer.content == b""
    elif status >= 400:
        assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "framing", [b"Transfer-Encoding: chunked", b"Content-Length: 999999999999999999"]
)
def test_a_body_without_end_is_refused_at_the_limit_and_its_sender_hears_it(
    url: str, framing: bytes
) -> None:
    start = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    answer = talk(url, start + framing + b"\r\n\r\n", *[chunk] * 12)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_a_slow_client_is_told_so_and_holds_no_place(
    fast: Predictor, photos: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.7)
    start = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
    body = b"Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nsome"
    limits = RequestLimits(timeout=1, concurrency=1)
    with running(fast, limits) as url, ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(talk, url, each) for each in (start, start + body, start + body, b"")]
        time.sleep(0.1)
        assert ask(url, content=photos[0][1], headers=JPEG).status_code == 200
        assert [each.result()[9:12] for each in slow] == [b"408"] * 4


def test_beyond_the_concurrency_it_is_429_until_there_is_room(
    fast: Predictor, photos: list[tuple[str, bytes]]
) -> None:
    held = Held(fast)
    one = {"content": photos[0][1], "headers": JPEG}
    with (
        running(held, RequestLimits(concurrency=2), threads=1) as url,
        ThreadPoolExecutor(2) as pool,
    ):
        first = [pool.submit(ask, url, **one) for _ in range(2)]
        assert held.reached.wait(5)
        wait_for(lambda: metrics(url)["maskspot_images_waiting"] == 1)
        refused = ask(url, **one)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert httpx.get(f"{url}/healthz").status_code == 200
        held.gate.set()
        assert [each.result().status_code for each in first] == [200, 200]
        assert ask(url, **one).status_code == 200


def test_what_is_not_scored_in_time_is_429_and_given_up(
    fast: Predictor, photos: list[tuple[str, bytes]]
) -> None:
    held = Held(fast)
    with running(held, RequestLimits(timeout=0.5), threads=1) as url:
        answer = ask(url, files=form(photos))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        held.gate.set()
        wait_for(lambda: metrics(url)["maskspot_images_waiting"] == 0)
        assert held.batches == [["c.jpg"]]


def test_a_body_that_is_not_split_in_time_is_429_in_json(
    fast: Predictor, photos: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def wait(*_: object) -> list[tuple[str, bytes]]:
        release.wait(10)
        return photos

    with running(fast, RequestLimits(timeout=0.3), threads=1) as url:
        with monkeypatch.context() as patch:
            patch.setattr("maskspot.serving.app.images_of", wait)
            answer = ask(url, files=form(photos))
            release.set()
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert "0.3 s" in answer.json()["error"]


def test_a_fault_of_the_server_is_500_in_json(
    url: str, photos: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("maskspot.serving.app.images_of", fault)
    answer = ask(url, files=form(photos))
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})


def test_the_images_of_a_client_that_went_away_are_not_scored(
    fast: Predictor, photos: list[tuple[str, bytes]]
) -> None:
    held = Held(fast)
    with running(held, threads=1) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/predict", files=form(photos), timeout=0.3)
        wait_for(lambda: 'path="/v1/predict",status="499"' in text(url))
        held.gate.set()
        wait_for(lambda: metrics(url)["maskspot_images_waiting"] == 0)
        assert held.batches == [["c.jpg"]]


def text(url: str) -> str:
    return str(httpx.get(f"{url}/metrics").text)


def metrics(url: str) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text(url))
        for sample in family.samples
    }


def submit_behind_a_held_one(held: Held, workers: ScoringThreads) -> list[Future[Any]]:
    """Let three requests wait behind one that a thread has taken."""
    first = workers.submit([("0", b"")], False)
    assert held.reached.wait(5)
    names = (["a1", "a2", "a3"], ["b1"], ["c1", "c2"])
    return [first, *(workers.submit([(name, b"") for name in each], False) for each in names)]


@pytest.mark.parametrize(
    ("size", "batches"),
    [
        (1, [["0"], ["a1"], ["b1"], ["c1"], ["a2"], ["c2"], ["a3"]]),
        (4, [["0"], ["a1", "b1", "c1", "a2"], ["c2", "a3"]]),
    ],
)
def test_requests_take_turns_and_share_batches(size: int, batches: list[list[str]]) -> None:
    held, sizes = Held(batch_size=size), []
    workers = ScoringThreads(held, 1, sizes.append)  # type: ignore[arg-type]
    futures = submit_behind_a_held_one(held, workers)
    held.gate.set()
    scores = [[score.source for score in each.result(5)] for each in futures]
    workers.close()
    assert held.batches == batches
    assert sizes == [len(batch) for batch in batches]
    assert scores == [["0"], ["a1", "a2", "a3"], ["b1"], ["c1", "c2"]]
    assert workers.waiting == 0


def test_a_model_that_fails_costs_its_requests_and_not_the_server(
    fast: Predictor, photos: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise maskspot.errors.ModelFileError("fast: the model fails (secret)")

    with running(fast) as url:
        with monkeypatch.context() as patch:
            patch.setattr(Predictor, "predict_batch", fail)
            answer = ask(url, files=form(photos))
            assert (answer.status_code, answer.json()) == (500, {"error": "the model fails"})
        assert ask(url, files=form(photos)).status_code == 200


def test_a_token_is_needed_for_scores_model_and_metrics_alone(fast: Predictor) -> None:
    guard = Guard(TOKEN)
    assert TOKEN not in repr(guard)
    with running(fast, RequestLimits(), guard) as url:
        for path in ("/", "/docs", "/openapi.json", "/healthz"):
            assert httpx.get(url + path, headers={"Host": "any.example"}).status_code == 200
        wrong = (None, "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xe9", TOKEN)
        for path in ("/metrics", "/v1/model", "/v1/predict", "/nowhere"):
            for value in wrong:
                headers = {} if value is None else {"Authorization": value.encode("latin-1")}
                answer = httpx.get(url + path, headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{url}/v1/model", headers=right).json()["name"] == "fast"
        assert TOKEN not in httpx.get(f"{url}/metrics", headers=right).text
        assert ask(url, content=b"x", headers={**JPEG, **right}).status_code == 422


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (422, {}),
        (422, {"Host": "localhost:1"}),
        (422, {"Host": "[::1]:8000"}),
        (422, {"Host": "Masks.Example:80"}),
        (422, {"Host": "localhost", "Origin": "http://localhost"}),
        (422, {"Sec-Fetch-Site": "same-origin"}),
        (403, {"Host": "attacker.example"}),
        (403, {"Host": "localhost.attacker.example"}),
        (403, {"Host": "[bad"}),
        (403, {"Origin": "http://attacker.example"}),
        (403, {"Origin": "null"}),
        (403, {"Host": "localhost:1", "Origin": "http://localhost:2"}),
        (403, {"Sec-Fetch-Site": "cross-site"}),
        (403, {"Sec-Fetch-Site": "same-site"}),
    ],
)
def test_pages_of_other_sites_cannot_use_a_local_server(
    fast: Predictor, status: int, headers: dict[str, str]
) -> None:
    guard = Guard(hosts=frozenset({"masks.example"}))
    with running(fast, RequestLimits(), guard) as url:
        answer = ask(url, content=b"x", headers={**JPEG, **headers})
        assert answer.status_code == status
        assert "access-control-allow-origin" not in answer.headers


def test_metrics_are_prometheus_and_count_requests_and_images(
    fast: Predictor, photos: list[tuple[str, bytes]]
) -> None:
    with running(fast) as url:
        ask(url, files=form([*photos, ("no", b"no")]))
        httpx.get(f"{url}/nowhere/{TOKEN}")
        said = text(url)
    assert 'maskspot_images_total{status="ok"} 3.0' in said
    assert 'maskspot_images_total{status="unreadable"} 1.0' in said
    assert 'maskspot_requests_total{path="/v1/predict",status="200"} 1.0' in said
    assert 'maskspot_requests_total{path="other",status="404"} 1.0' in said
    names = {family.name for family in text_string_to_metric_families(said)}
    assert names >= {"maskspot_request_seconds", "maskspot_images_waiting", "maskspot_batch_images"}
    assert names >= {"maskspot_requests_in_flight", "maskspot_threads"}
    assert TOKEN not in said


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_openapi_document_lists_what_is_served(url: str, fast: Predictor) -> None:
    document = httpx.get(f"{url}/openapi.json").json()
    service = Service(fast)
    service.close()
    served = service.app._app.routes  # type: ignore[attr-defined]
    assert {
        (path, method.upper()) for path, methods in document["paths"].items() for method in methods
    } == {(route.path, method) for route in served for method in route.methods - {"HEAD"}}
    for each in references(document):
        assert each.rpartition("/")[2] in document["components"]["schemas"]
    result = document["components"]["schemas"]["Result"]
    answer = ask(url, params={"heatmap": 1}, content=b"x", headers=JPEG).json()
    assert set(answer["results"][0]) == set(result["properties"])
    bodies = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert bodies["multipart/form-data"]["schema"]["properties"]["images"]["maxItems"] == 3
    page = httpx.get(f"{url}/docs").text
    for path in document["paths"]:
        assert f" {path}</code>" in page


KINDS = st.sampled_from(
    ["multipart/form-data; boundary=b", 'multipart/form-data; boundary="b"', "application/json"]
)
PIECES = st.sampled_from(
    [
        *(b"--b", b"--b--", b"\r\n", b"\r\n\r\n", b"\n", b"--", b" \t", PART, b'{"images":'),
        *(b'Content-Disposition: form-data; name="images"; filename=', b'"a"', b"%00", b"\\"),
        *(b"Content-Disposition: form-data; name*=utf-8''images; filename*=x\0y''%ff", b"]", b"}"),
        *(b'[{"data":"aGk="}', b',{"source":"\\ud800","data":""}', b"1e999", b"NaN", b"\xff"),
    ]
)


@settings(max_examples=300)
@given(KINDS, st.lists(st.one_of(PIECES, st.binary(max_size=9)), max_size=12))
def test_any_body_gives_images_or_a_refusal(kind: str, pieces: list[bytes]) -> None:
    try:
        found = bodies.images_of(bytearray(b"".join(pieces)), bodies.content_type(kind), SMALL)
    except Refusal as refusal:
        refused = refusal.status
    else:
        refused = 0
        assert 1 <= len(found) <= 3
        assert all(isinstance(content, bytes) for _, content in found)
    assert refused in (0, 422)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20), st.binary(max_size=200), min_size=1, max_size=3
    )
)
def test_a_form_that_another_library_writes_is_read_as_it_was_meant(sent: dict[str, bytes]) -> None:
    files = [("images", (name, content)) for name, content in sent.items()]
    request = httpx.Request("POST", "http://localhost", files=files)
    kind = bodies.content_type(request.headers["content-type"])
    found = bodies.images_of(bytearray(request.read()), kind, SMALL)
    assert [content for _, content in found] == list(sent.values())
    plain = re.compile(r"[\w.() -]+", re.ASCII)
    for name, (source, _) in zip(sent, found, strict=True):
        if plain.fullmatch(name):
            assert source == name.strip()


GARBAGE = [
    b"\0\xff\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + bytes(100_000) + b"\r\n\r\n",
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_no_http_is_400_in_json_and_the_server_goes_on(
    url: str, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = talk(url, garbage)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_upgrades_and_expectations_of_strangers_are_answered(url: str) -> None:
    hello = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n"
    assert b"200 OK" in talk(url, hello + b"Upgrade: websocket\r\n\r\n")
    post = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
    waits = b"Expect: 100-continue\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
    assert talk(url, post + waits).startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_finish_and_ends_with_0(
    number: int, photos: list[tuple[str, bytes]]
) -> None:
    server = Started("serve", "-m", "fast", "--port", 0)
    start = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    content = photos[0][1]
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(start + f"Content-Length: {len(content)}\r\n\r\n".encode() + content[:99])
        wait_for(lambda: metrics(server.url)["maskspot_requests_in_flight"] == 2)
        server.process.send_signal(number)
        wait_for(lambda: not answers(host, int(port)))
        client.sendall(content[99:])
        assert client.recv(9999).startswith(b"HTTP/1.1 200 OK")
    code, said = server.end()
    assert (code, len(said.splitlines())) == (0, 1)


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def test_asked_twice_it_does_not_wait_and_says_what_it_cut_off() -> None:
    server = Started("serve", "-m", "fast", "--port", 0)
    host, port = server.url.removeprefix("http://").split(":")
    start = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(start + b"Content-Length: 9\r\n\r\n")
        wait_for(lambda: metrics(server.url)["maskspot_requests_in_flight"] == 2)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not answers(host, int(port)))
        assert server.end(signal.SIGTERM)[0] == 128 + signal.SIGTERM
        assert client.recv(9999).startswith(b"HTTP/1.1 503 ")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_server_that_is_killed_leaves_no_process() -> None:
    def alive(pid: str) -> bool:
        try:
            return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False

    server = Started("serve", "-m", "fast", "--port", 0, "--threads", 1)
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    children = [pid for each in tasks for pid in each.read_text().split()]
    assert len(children) >= 2
    assert all(alive(pid) for pid in children)
    server.end(signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in children))


def test_a_token_of_the_environment_is_used_and_never_shown(tmp_path: Path) -> None:
    server = Started("-v", "serve", "-m", "fast", "--port", 0, env={"MASKSPOT_SERVE_TOKEN": TOKEN})
    url = server.url
    assert httpx.get(f"{url}/v1/model").status_code == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{url}/v1/model?a={TOKEN}", headers=right).status_code == 200
    assert ask(url, files=[("images", ("private.jpg", b"x"))], headers=right).status_code == 200
    code, said = server.end(signal.SIGTERM)
    assert code == 0
    assert "maskspot.serving: GET /v1/model 200" in said
    assert TOKEN not in said
    assert "private" not in said


def test_what_keeps_it_from_starting_is_one_line_and_a_code(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "token"
    short.write_text("hush\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cases: list[tuple[int, str, list[object]]] = [
            (4, "in use", ["--port", taken.getsockname()[1]]),
            (4, "no.such.invalid", ["--host", "no.such.invalid"]),
            (3, "missing.onnx", ["-m", tmp_path / "missing.onnx"]),
            (2, "--token-file", ["--host", "0.0.0.0"]),
            (2, "16 or more", ["--token-file", short]),
            (2, "No such file", ["--token-file", tmp_path / "none"]),
            (2, "timeout", ["--timeout", 0]),
            (2, "timeout", ["--timeout", "nan"]),
            (2, "concurrency", ["--concurrency", 9999]),
        ]
        for code, word, words in cases:
            done = cli("serve", *([] if "--port" in words else ["--port", 0]), *words)
            assert (done.code, len(done.err.splitlines())) == (code, 1), done
            assert word in done.err
            assert "hush" not in done.err
    monkeypatch.setattr("maskspot.extras._SERVE", ("no_such_package",))
    done = cli("serve")
    assert done.code == 2
    assert "pip install 'maskspot[serve]'" in done.err


def test_a_public_address_without_a_token_is_refused_before_the_model_is_loaded() -> None:
    with pytest.raises(maskspot.errors.UsageError, match="other machines") as error:
        serve(LoadOptions("missing.onnx"), ServeOptions(host="0.0.0.0", port=0))
    assert error.value.argument == "host"


@pytest.mark.slow
def test_memory_for_bodies_is_bounded_for_all_clients_together(fast: Predictor) -> None:
    start = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    start += b"Content-Length: 100000\r\n\r\n" + bytes(90_000)
    with (
        running(fast, RequestLimits(max_body=100_000, timeout=1)) as url,
        ThreadPoolExecutor(10) as pool,
    ):
        slow = [pool.submit(talk, url, start) for _ in range(10)]
        codes = sorted(each.result()[9:12] for each in slow)
    assert codes == [b"408"] * 8 + [b"429"] * 2


@pytest.mark.slow
def test_an_hour_of_connections_that_say_nothing_keeps_nobody_out(
    fast: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a short hour: more connections than there may be, and each is given up in time."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 2.0)
    monkeypatch.setattr(connection, "CONNECTIONS", 50)
    with running(fast) as url, ThreadPoolExecutor(80) as pool:
        silent = [pool.submit(talk, url) for _ in range(80)]
        codes = sorted(each.result()[9:12] for each in silent)
        assert codes == [b"408"] * 50 + [b"429"] * 30
        assert httpx.get(f"{url}/healthz").status_code == 200


@pytest.mark.slow
def test_the_documents_examples_run(
    fast: Predictor, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(pictures / name, name)
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    lines = [line for line in code.replace("\\\n", " ").splitlines() if "curl" in line]
    assert len(lines) == 5
    with running(fast, guard=Guard(TOKEN)) as url:
        monkeypatch.setenv("TOKEN", TOKEN)
        for line in lines:
            here = line.replace("http://127.0.0.1:8000", url)
            here = here.replace("curl ", 'curl -sSf -H "Authorization: Bearer $TOKEN" ')
            done = subprocess.run(here, shell=True, check=False, capture_output=True, text=True)
            assert done.returncode == 0, (line, done.stderr)
            if "predict" in line:
                assert json.loads(done.stdout)["results"][0]["status"] == "ok"
    commands = re.findall(r"^maskspot serve.*", code, re.MULTILINE)
    (tmp_path / "token").write_text(TOKEN)
    for line in commands:
        words = line.replace("--port 8000", "").split()[1:]
        server = Started(*words, "--port", 0)
        assert server.url, line
        assert server.end(signal.SIGTERM)[0] == 0


def test_no_thread_is_left(fast: Predictor) -> None:
    before = threading.active_count()
    with running(fast) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
    wait_for(lambda: threading.active_count() <= before)
