"""Metrics of the server, in the format of Prometheus."""

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from maskspot.model.score import Score

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "maskspot_requests", "Requests.", ["path", "status"], registry=self._registry
        )
        self._images = Counter("maskspot_images", "Images.", ["status"], registry=self._registry)
        self._seconds = Histogram(
            "maskspot_request_seconds",
            "Seconds from the headers of a request to its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "maskspot_batch_images",
            "Images that a thread scored at once.",
            buckets=_SIZES,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "maskspot_requests_in_flight",
            "Requests that are being answered.",
            registry=self._registry,
        )

    def show(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is read when the metrics are."""
        Gauge(name, what, registry=self._registry).set_function(value)

    def batch(self, size: int) -> None:
        """Count a batch."""
        self._batches.observe(size)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def images(self, scores: Iterable[Score]) -> None:
        """Count images."""
        for score in scores:
            self._images.labels(score.status).inc()

    def text(self) -> bytes:
        """Return all metrics in the format of Prometheus."""
        return generate_latest(self._registry)
