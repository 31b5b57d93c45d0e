"""Work spread over threads: bounded, and in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

_AHEAD = 4
"""Calls in flight for each thread: enough that a slow one does not starve the others."""

_PATIENCE = 2.0
"""Seconds that calls may take to end where their results are not wanted any more."""

_T = TypeVar("_T")
_R = TypeVar("_R")


def map_in_order(
    function: Callable[[list[_T]], list[_R]],
    things: Iterable[_T],
    threads: int,
    batch_size: int = 1,
) -> Iterator[_R]:
    """Yield what `function` makes of the things, in their order, as soon as it is there.

    Things are drawn only as they are needed, so memory does not grow with their number. Where
    drawing one fails, the results of those before it come first. Whoever closes the iterator
    waits for the calls that run, but not for ever: one may read a pipe that nobody writes to.

    Args:
        function: called in a thread with up to `batch_size` things; gives one result for each.
        things: may be endless.
        threads: how many.
        batch_size: how many to a call.
    """
    waiting: deque[Future[list[_R]]] = deque()
    remaining = iter(things)
    failure: Exception | None = None
    pool = ThreadPoolExecutor(threads, thread_name_prefix="maskspot")
    try:
        while failure is None:
            batch: list[_T] = []
            try:
                batch.extend(islice(remaining, batch_size))
            except Exception as error:  # what came before it is still done
                failure = error
            if not batch:
                break
            waiting.append(pool.submit(function, batch))
            # What is there goes out before the next is drawn, which may be a long time coming.
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
