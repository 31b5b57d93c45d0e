"""A bounded map over threads that keeps the order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

_AHEAD = 4
"""Pending calls per thread, enough that a slow one does not starve the others."""

_PATIENCE = 2.0
"""Seconds to wait for running calls whose results are no longer needed."""

_T = TypeVar("_T")
_R = TypeVar("_R")


def map_in_order(
    function: Callable[[list[_T]], list[_R]],
    items: Iterable[_T],
    threads: int,
    batch_size: int = 1,
) -> Iterator[_R]:
    """Yield the results of a function for items, in their order, as soon as they are available.

    Items are drawn only as needed, so that memory does not grow with their number. If drawing one
    fails, the results of those before it come first. Closing the iterator waits for running
    calls, but not forever, as one may read a pipe that nobody writes to.

    Args:
        function: called in a thread with up to `batch_size` items; returns one result for each.
        items: may be endless.
        threads: number of threads.
        batch_size: number of items per call.
    """
    waiting: deque[Future[list[_R]]] = deque()
    remaining = iter(items)
    failure: Exception | None = None
    pool = ThreadPoolExecutor(threads, thread_name_prefix="maskspot")
    try:
        while failure is None:
            batch: list[_T] = []
            try:
                batch.extend(islice(remaining, batch_size))
            except Exception as error:  # those before it are still processed
                failure = error
            if not batch:
                break
            waiting.append(pool.submit(function, batch))
            # Results go out before the next item is drawn, which may take long.
            while waiting and (len(waiting) >= _AHEAD * threads or waiting[0].done()):
                yield from waiting[0].result()
                waiting.popleft()
        while waiting:
            yield from waiting[0].result()
            waiting.popleft()
        if failure:
            raise failure
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        running = (call for call in waiting if not call.cancelled())
        pool.shutdown(wait=not wait(running, _PATIENCE).not_done)
