"""What one client may ask of the server, and the answer to whoever asks for more."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from maskspot.errors import UsageError

CONNECTIONS = 500
"""Connections at once: half of the files that a process may usually have open."""

_LONGEST = 3600  # seconds

_IMAGE = 3
"""What the timeout of a request is divided by for decoding one image."""

_BODIES = 8
"""Times the largest body that the bodies of all requests may take together."""


@dataclass(frozen=True)
class RequestLimits:
    """RequestLimits on requests; on the pixels of an image, see `Predictor`.

    Attributes:
        max_body: bytes of a request's body.
        max_images: of a request.
        timeout: seconds for a request, from its headers to its scores.
        concurrency: requests that are scored, or wait for it, at once.
    """

    max_body: int = 32_000_000
    max_images: int = 100
    timeout: float = 30.0
    concurrency: int = 64

    @property
    def image_seconds(self) -> float:
        """Seconds that decoding one image may take."""
        return self.timeout / _IMAGE

    def __post_init__(self) -> None:
        most = {"timeout": _LONGEST, "concurrency": CONNECTIONS}
        for name in ("max_body", "max_images", "timeout", "concurrency"):
            value, limit = getattr(self, name), most.get(name)
            if not value > 0 or (limit and value > limit):
                text = f"must be above 0 and at most {limit}" if limit else "must be above 0"
                raise UsageError(f"{text}, not {value}", argument=name)


class Refusal(Exception):  # noqa: N818  # no error of ours: a client gets what it asked for
    """A request that is not answered as it asks.

    Attributes:
        status: of HTTP.
        reason: for the client, in a sentence.
        headers: of the answer.
    """

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})


def overload(reason: str) -> Refusal:
    """Return the refusal of what could be answered later."""
    return Refusal(429, reason, {"Retry-After": "1"})


@dataclass
class Load:
    """What is going on now; used by the event loop alone, so it needs no lock.

    Attributes:
        limits: that hold.
        scoring: requests that are scored, or wait for it.
        buffered: bytes of bodies that are held.
    """

    limits: RequestLimits
    scoring: int = field(default=0, init=False)
    buffered: int = field(default=0, init=False)

    def check(self) -> None:
        """Refuse at once what would be refused later, before its body is sent."""
        if self.scoring >= self.limits.concurrency:
            raise overload(f"{self.scoring} requests are being scored; try again")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place among those that are scored. Slow senders hold none: they have no body yet.

        Raises:
            Refusal: all are taken.
        """
        self.check()
        self.scoring += 1
        try:
            yield
        finally:
            self.scoring -= 1


class Upload:
    """The body of a request, while it comes; its bytes count until the `with` ends."""

    def __init__(self, load: Load) -> None:
        self._load, self._content, self._held = load, bytearray(), 0

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *_: object) -> None:
        self._load.buffered -= self._held

    def check(self, size: int) -> None:
        """Look at what a body is, or says it is.

        Raises:
            Refusal: it is too large.
        """
        limit = self._load.limits.max_body
        if size > limit:
            raise Refusal(413, f"the body is larger than the limit of {limit:,} bytes")

    def add(self, part: bytes) -> None:
        """Take up a part.

        Raises:
            Refusal: the body is too large, or all bodies together are.
        """
        self.check(self._held + len(part))
        if self._load.buffered + len(part) > _BODIES * self._load.limits.max_body:
            raise overload("too much is being uploaded at once; try again")
        self._load.buffered += len(part)
        self._held += len(part)
        self._content += part

    def take(self) -> bytearray:
        """Return the body, and keep it no longer: what is made of it is as large."""
        content, self._content = self._content, bytearray()
        return content
