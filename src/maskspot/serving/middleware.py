"""Middleware around every request: access control, timeout, metrics and security headers."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders

from maskspot.serving.guard import Guard
from maskspot.serving.limits import Refusal
from maskspot.serving.metrics import Metrics
from maskspot.serving.responses import error

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

GONE = 499
"""Status that is counted for a client that disconnected; it is not one of HTTP."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_LINGER = 2.0  # seconds for which the rest of an unwanted body is read
_SPARE = 10.0  # seconds beyond the timeout in which the client must read its answer

_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

_log = logging.getLogger("maskspot.serving")


class Front:
    """An ASGI application that wraps another one."""

    def __init__(
        self, app: App, guard: Guard, metrics: Metrics, timeout: float, paths: Iterable[str]
    ) -> None:
        """Wrap an application.

        Args:
            app: the application.
            guard: who has access.
            metrics: where requests are counted.
            timeout: seconds that the application takes at most.
            paths: paths that are counted separately.
        """
        self._app, self._guard, self._metrics = app, guard, metrics
        self._timeout, self._paths = timeout, frozenset(paths)
        self.cut_off = 0
        """Number of requests that were cut off because the server had to stop."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        scope = _in_origin_form(scope)
        exchange = _Exchange(receive, send)
        started = time.perf_counter()
        with self._metrics.in_flight.track_inprogress():
            try:
                async with asyncio.timeout(self._timeout + _SPARE):
                    await self._answer(scope, exchange)
            except TimeoutError:
                if not exchange.status:
                    answer = error(429, "not answered in time; try again", {"Retry-After": "1"})
                    await answer(scope, receive, exchange.send)
                # Otherwise the client does not read its answer, and uvicorn closes the connection.
            except asyncio.CancelledError:  # the server has to stop
                self.cut_off += 1
                if not exchange.status:
                    await error(503, "the server is stopping")(scope, receive, exchange.send)
        seconds = time.perf_counter() - started
        path = own_path(scope)
        self._metrics.request(path if path in self._paths else "other", exchange.status, seconds)
        if _log.isEnabledFor(logging.INFO):
            shown = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
            words = scope["method"], shown, exchange.status, 1000 * seconds
            _log.info("%s %s %d %.0f ms", *words)

    async def _answer(self, scope: Message, exchange: "_Exchange") -> None:
        try:
            self._guard.check(scope["method"], own_path(scope), Headers(raw=scope["headers"]))
        except Refusal as refusal:
            answer = error(refusal.status, refusal.reason, refusal.headers)
            await answer(scope, exchange.receive, exchange.send)
        else:
            await self._app(scope, exchange.receive, exchange.send)


def own_path(scope: Message) -> str:
    """Return the path of a request relative to where the application is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    inside = path.removeprefix(root) if root else path
    return (inside or "/") if inside[:1] in ("", "/") else path


def _in_origin_form(scope: Message) -> Message:
    """Return a request whose target is a path, also where it was a URL (RFC 9112, 3.2.2).

    The host of the URL then replaces the Host header, which must be ignored.
    """
    raw = scope.get("raw_path") or b""
    found = _ABSOLUTE.match(raw)
    if found is None:
        return scope
    raw = raw[found.end() :] or b"/"
    others = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
    return {
        **scope,
        "path": unquote(raw.decode("ascii", "replace")),
        "raw_path": raw,
        "headers": [(b"host", found[1]), *others],
    }


class _Exchange:
    """A request and its answer as they pass through.

    Attributes:
        status: status of the answer; 0 until it begins.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._read = False
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._read = self._read or not message.get("more_body")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message["headers"]))
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if not self._read:
                headers["Connection"] = "close"
            message = {**message, "headers": headers.raw}
        elif not self._read and not message.get("more_body"):
            # If a connection is closed while a body is arriving it is reset, and the client never
            # sees the answer. So the answer is sent, and the rest of the body is dropped.
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while not self._read:
                    await self.receive()
