"""The server is the same wherever it is mounted and however it is asked."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from maskspot import Predictor

for module in ("starlette", "uvicorn", "prometheus_client", "httpx"):
    pytest.importorskip(module, reason="needs maskspot[serve,fetch]")

import httpx  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.routing import Mount  # noqa: E402

from maskspot.serving import uploads as bodies  # noqa: E402
from maskspot.serving.app import Service  # noqa: E402
from maskspot.serving.guard import Guard  # noqa: E402
from maskspot.serving.limits import RequestLimits  # noqa: E402
from maskspot.serving.middleware import own_path  # noqa: E402
from tests.http_server import running, talk  # noqa: E402

TOKEN = "t" * 20
OPEN = ("/", "/healthz", "/docs", "/openapi.json")


@pytest.fixture(scope="module")
def fast() -> Predictor:
    return Predictor("fast")


@pytest.fixture
def service(fast: Predictor) -> Iterator[Service]:
    found = Service(fast, guard=Guard(TOKEN), threads=1)
    yield found
    found.close()


def get(app: Any, *paths: str, token: str = "") -> list[httpx.Response]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get(path, headers=headers) for path in paths]

    with ThreadPoolExecutor(1) as thread:  # where no browser's event loop runs already
        return thread.submit(asyncio.run, ask()).result()


@pytest.mark.parametrize("prefix", ["", "/mask", "/a/b"])
def test_mounted_below_a_prefix_the_same_is_open_and_the_same_closed(
    service: Service, prefix: str
) -> None:
    app = Starlette(routes=[Mount(prefix, app=service.app)]) if prefix else service.app
    paths = [prefix + path for path in OPEN]
    assert [each.status_code for each in get(app, *paths)] == [200] * 4
    closed = [prefix + path for path in ("/v1/model", "/metrics", "/healthz/x")]
    assert [each.status_code for each in get(app, *closed)] == [401] * 3
    model, metrics, document = get(
        *(app, f"{prefix}/v1/model", f"{prefix}/metrics", f"{prefix}/openapi.json"), token=TOKEN
    )
    assert model.json()["name"] == "fast"
    assert 'path="/healthz",status="200"' in metrics.text
    assert document.json().get("servers", [{"url": ""}]) == [{"url": prefix}]


@pytest.mark.parametrize(
    ("path", "root", "expected"),
    [
        ("/healthz", "", "/healthz"),
        ("/mask/healthz", "/mask", "/healthz"),
        ("/mask/healthz", "/mask/", "/healthz"),
        ("/mask", "/mask", "/"),
        ("/masked", "/mask", "/masked"),
        ("/healthz", "/mask", "/healthz"),
    ],
)
def test_a_path_is_what_is_below_the_prefix(path: str, root: str, expected: str) -> None:
    assert own_path({"path": path, "root_path": root}) == expected


def test_a_request_for_a_url_is_one_for_its_path(fast: Predictor) -> None:
    def ask(target: bytes, host: bytes) -> bytes:
        words = (b"GET ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\nConnection: close\r\n\r\n")
        return talk(url, b"".join(words))

    with running(fast, threads=1) as url:
        at = url.removeprefix("http://").encode()
        for target in (b"/healthz", b"http://" + at + b"/healthz", b"HTTP://localhost/healthz?x=1"):
            answer = ask(target, at)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b'{"status":"ok"}')
        assert ask(b"http://" + at, at).startswith(b"HTTP/1.1 200")
        # The URL's host counts, not the Host: a name of somebody else's is none of ours.
        assert ask(b"http://evil.example/healthz", at).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('filename="a.jpg"', "a.jpg"),
        ("filename*=UTF-8''%e5%86%99%e7%9c%9f%20%e2%82%ac.jpg", "写真 €.jpg"),
        ("filename=\"x.jpg\"; filename*=UTF-8''%c3%a9.jpg", "é.jpg"),
        ("filename*=utf-8'de'%c3%a9.jpg; filename=x.jpg", "é.jpg"),
        ("filename*=iso-8859-1''%e9.jpg", "é.jpg"),
        ('filename="é.jpg"', "é.jpg"),
    ],
)
def test_an_upload_has_the_name_that_its_client_gave_it(words: str, expected: str) -> None:
    head = f'Content-Disposition: form-data; name="images"; {words}'
    body = bytearray(f"--b\r\n{head}\r\n\r\nx\r\n--b--\r\n".encode())
    kind = bodies.content_type("multipart/form-data; boundary=b")
    assert bodies.images_of(body, kind, RequestLimits()) == [(expected, b"x")]
