"""Connections: more of them than there may be harm neither the server nor its log."""

import socket
from contextlib import ExitStack

import pytest

for module in ("starlette", "uvicorn", "prometheus_client", "httpx"):
    pytest.importorskip(module, reason="needs maskspot[serve,fetch]")
pytest.importorskip("resource", reason="needs limits on open files")

import httpx  # noqa: E402

from tests.helpers import wait_for  # noqa: E402
from tests.http_server import Started  # noqa: E402


def test_idle_connections_beyond_the_limit_on_files_are_refused_and_fill_no_log() -> None:
    def is_served() -> bool:
        try:
            return httpx.get(f"{server.url}/healthz", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    server = Started("serve", "-m", "fast", "--port", 0, "--threads", 1, files=100)
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            for _ in range(150)
        ]
        assert idle[-1].recv(9999).startswith(b"HTTP/1.1 429")
    wait_for(is_served)
    code, said = server.end(15)
    assert code == 0
    assert len(said.splitlines()) <= 2
