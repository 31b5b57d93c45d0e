"""The server: a socket, uvicorn, and an orderly shutdown."""

import asyncio
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from maskspot.errors import ServiceError
from maskspot.serving.app import Service
from maskspot.serving.connection import Connection

_log = logging.getLogger("maskspot.serving")

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_SILENCE = 60.0  # seconds between two log lines about connections
_BACKLOG = 64  # connections that are accepted at once, before the first of them can be refused
_GRACE = 3.0  # seconds beyond the timeout in which connections must close


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or an address.
        port: the port; 0 for any free one.

    Raises:
        ServiceError: the port is taken, or the host is not an address of this machine.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = sorted(found)[0]  # IPv4 before IPv6
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen()  # a taken port is reported now rather than by uvicorn
        except BaseException:
            bound.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServiceError(f"cannot listen on {host}, port {port}: {reason}") from None
    return bound


def is_loopback(bound: socket.socket) -> bool:
    """Return whether only this machine can reach a socket."""
    return ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback


def url_of(bound: socket.socket) -> str:
    """Return the URL of a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Faults:
    """Logs errors of the event loop; those that clients can cause at most once a minute.

    asyncio would log a traceback for each connection that it cannot accept.
    """

    def __init__(self) -> None:
        self._silent_until = 0.0

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error, as `loop.set_exception_handler` requires it."""
        error = context.get("exception")
        if not isinstance(error, OSError):
            loop.default_exception_handler(context)
        elif loop.time() >= self._silent_until:
            self._silent_until = loop.time() + _SILENCE
            _log.warning("connections cannot be accepted: %s", error.strerror or error)


class Server(uvicorn.Server):
    """uvicorn with an orderly shutdown: accepted requests are answered first."""

    def __init__(self, service: Service, ready: Callable[[], None] | None = None) -> None:
        """Configure the server; `run(sockets=[...])` runs it.

        Args:
            service: the application.
            ready: called once requests are answered and signals are handled.
        """
        self._service, self._ready, self.stopped_by = service, ready, 0
        verbose = logging.getLogger("maskspot.serving").isEnabledFor(logging.INFO)
        # It warns about every invalid request, which would let clients fill the disk.
        logging.getLogger("uvicorn.error").setLevel(logging.INFO if verbose else logging.ERROR)
        config = uvicorn.Config(
            service.app,
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=round(service.limits.timeout + _GRACE),
        )
        super().__init__(config)

    @property
    def exit_code(self) -> int:
        """0 if all requests were answered, else 128 plus the number of the signal."""
        return 128 + self.stopped_by if self._service.app.cut_off else 0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while it runs; uvicorn would raise them again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; on a second signal, do not wait for requests."""
        self.force_exit = self.should_exit
        self.should_exit, self.stopped_by = True, sig

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer requests."""
        asyncio.get_running_loop().set_exception_handler(_Faults().handle)
        await super().startup(sockets)
        if self._ready:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the accepted requests, and send 503 to those that must be cut off."""
        ending = asyncio.ensure_future(super().shutdown(sockets))
        while not (ending.done() or self.force_exit):
            await asyncio.wait([ending], timeout=0.1)
        # From Python 3.12 on it would wait for open connections although it must not.
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
