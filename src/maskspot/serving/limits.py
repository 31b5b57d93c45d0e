"""Limits on what clients may send, and the errors for those who exceed them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from maskspot.errors import UsageError

CONNECTIONS = 500
"""Largest number of connections: half of the files that a process may usually have open."""

_LONGEST = 3600  # seconds

_IMAGE = 15
"""Ratio of the timeout of a request to the CPU time for decoding one image."""

_BODIES = 8
"""Times the largest body that the bodies of all requests may take together."""


@dataclass(frozen=True)
class RequestLimits:
    """Limits on requests; `Predictor` limits the pixels of an image.

    Attributes:
        max_body: size of the body of a request, in bytes.
        max_images: number of images in a request.
        timeout: seconds from the headers of a request to its scores.
        concurrency: number of requests that are scored or wait for it at once.
    """

    max_body: int = 32_000_000
    max_images: int = 100
    timeout: float = 30.0
    concurrency: int = 64

    @property
    def image_seconds(self) -> float:
        """CPU time in seconds that decoding one image may take."""
        return self.timeout / _IMAGE

    def __post_init__(self) -> None:
        most = {"timeout": _LONGEST, "concurrency": CONNECTIONS}
        for name in ("max_body", "max_images", "timeout", "concurrency"):
            value, limit = getattr(self, name), most.get(name)
            if not value > 0 or (limit and value > limit):
                text = f"must be above 0 and at most {limit}" if limit else "must be above 0"
                raise UsageError(f"{text}, not {value}", argument=name)


class Refusal(Exception):  # noqa: N818  # not an error of the server
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
        reason: what the client is told.
        headers: additional headers of the answer.
    """

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})


def overload(reason: str) -> Refusal:
    """Return the refusal of a request that could be answered later."""
    return Refusal(429, reason, {"Retry-After": "1"})


@dataclass
class Load:
    """The current load. Only the event loop uses it, so it needs no lock.

    Attributes:
        limits: limits on requests.
        scoring: number of requests that are scored or wait for it.
        buffered: size of all bodies in memory, in bytes.
    """

    limits: RequestLimits
    scoring: int = field(default=0, init=False)
    buffered: int = field(default=0, init=False)

    def check(self) -> None:
        """Refuse a request before its body is sent if it would be refused afterwards."""
        if self.scoring >= self.limits.concurrency:
            raise overload(f"{self.scoring} requests are being scored; try again")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Occupy one of the places for requests with a complete body.

        Raises:
            Refusal: all places are occupied.
        """
        self.check()
        self.scoring += 1
        try:
            yield
        finally:
            self.scoring -= 1


class Upload:
    """The body of a request while it arrives; it counts until the `with` block ends."""

    def __init__(self, load: Load) -> None:
        self._load, self._content, self._held = load, bytearray(), 0

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *_: object) -> None:
        self._load.buffered -= self._held

    def check(self, size: int) -> None:
        """Check the size that a body has or is said to have.

        Raises:
            Refusal: it is too large.
        """
        limit = self._load.limits.max_body
        if size > limit:
            raise Refusal(413, f"the body is larger than the limit of {limit:,} bytes")

    def add(self, part: bytes) -> None:
        """Add a part.

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
        """Return the body without keeping it, as the images found in it are as large."""
        content, self._content = self._content, bytearray()
        return content
