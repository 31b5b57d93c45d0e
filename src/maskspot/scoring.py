"""From inputs to scores: bounded, and in order."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from maskspot.images import ImageSource
from maskspot.predictor import Predictor
from maskspot.results import Score

_AHEAD = 4
"""Images in flight for each thread: enough that a slow one does not starve the others."""


def usable_cpus() -> int:
    """Return how many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def score(
    predictor: Predictor,
    images: Iterable[tuple[str, ImageSource]],
    *,
    threads: int | None = None,
) -> Iterator[Score]:
    """Yield a `Score` for each image, in their order, as soon as it is there.

    Each thread decodes an image and runs the network on it (both leave Python's lock), so all
    cores are busy with no queue between stages. Images are drawn only as they are needed:
    memory does not grow with their number.

    Args:
        predictor: the model.
        images: pairs of a name, which becomes the `Score`'s source, and an image; may be endless.
        threads: how many; None takes one for each usable CPU.
    """
    count = threads or usable_cpus()
    waiting: deque[Future[Score]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="maskspot")
    try:
        for name, image in images:
            waiting.append(pool.submit(predictor.predict, image, name))
            if len(waiting) >= _AHEAD * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
