"""uvicorn's HTTP, hardened against hostile clients."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from maskspot.serving import limits


def _most() -> int:
    """Return how many connections there may be: at most half of the files that may be open."""
    try:
        import resource
    except ImportError:  # Windows
        return limits.CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = files == resource.RLIM_INFINITY
    return limits.CONNECTIONS if unlimited else min(limits.CONNECTIONS, files // 2)


CONNECTIONS = _most()

HEAD_SECONDS = 10.0
"""Seconds for the headers of a request."""


class Connection(H11Protocol):
    """A connection with a limit on the time for headers and on the number of connections.

    uvicorn waits for headers without end, answers invalid HTTP in plain text, and writes a
    traceback when a client violates the protocol within a body.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock, or refuse the connection."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            self._refuse(429, "too many connections; try again", [(b"retry-after", b"1")])
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Handle data, and start the clock if they are only a part of the headers."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._unwatch()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer an invalid request."""
        self._refuse(400, "this is not a valid HTTP request")

    @property
    def _busy(self) -> bool:
        """Whether there is a request whose answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._busy or self.transport.is_closing():
            self._unwatch()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _unwatch(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not (self._busy or self.transport.is_closing()):
            self._refuse(408, f"the headers took more than {HEAD_SECONDS:g} s")

    def _refuse(
        self, status: int, reason: str, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        """Send an error, if that is still possible, and close the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": reason}).encode()
            start = [(b"content-type", b"application/json"), (b"connection", b"close")]
            length = [(b"content-length", str(len(body)).encode())]
            phrase, headers = HTTPStatus(status).phrase.encode(), headers or []
            head = h11.Response(status_code=status, headers=start + length + headers, reason=phrase)
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self._busy:  # stop whatever answers the request
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
