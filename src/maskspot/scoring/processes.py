"""Worker processes that score images, avoiding the GIL."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from maskspot.environment import calm_warnings
from maskspot.errors import ImageError, fail
from maskspot.images import keep_memory
from maskspot.model.predictor import Predictor
from maskspot.model.score import Score

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from maskspot.images import ImageSource
    from maskspot.model.predictor import Watch

    Pipe = Connection[Any, Any]

PATIENCE = 3.0
"""Seconds of scoring before processes are started by default: a start takes half a second."""


class Processes:
    """Processes with a predictor each, which score what threads of this process hand them.

    They are started when they are needed. Until then, and in place of those that do not start or
    that die, this process scores: no image is lost, and no score depends on where it was made.

    Attributes:
        threads: number of threads of all processes together.
        batch_size: number of images that a thread takes at once.
    """

    def __init__(
        self, predictor: Predictor, processes: int, threads: int, patience: float = PATIENCE
    ) -> None:
        """Start no process yet.

        Args:
            predictor: the model.
            processes: number of processes.
            threads: number of threads of all of them together, and of those in this process that
                hand them images.
            patience: seconds of scoring before they are started.
        """
        self._predictor, self._patience = predictor, patience
        self.threads, self.batch_size = threads, predictor.batch_size
        self._shares = [len(range(at, threads, processes)) for at in range(processes)]
        self._free: SimpleQueue[Pipe] = SimpleQueue()
        self._running: list[SpawnProcess] = []
        self._lock = threading.Lock()
        self._starter: threading.Thread | None = None
        self._closed = False
        self._since = time.monotonic()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the processes, which hold no state."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()
        for process in self._running:
            process.join()

    @property
    def starting(self) -> bool:
        """Whether some are being started."""
        return self._starter is not None and self._starter.is_alive()

    @property
    def ready(self) -> int:
        """Number of their threads that wait for images."""
        return self._free.qsize()

    @property
    def pids(self) -> list[int | None]:
        """Process ids of those that were started."""
        return [process.pid for process in self._running]

    def predict_batch(
        self,
        images: Sequence[tuple[str, "ImageSource | Callable[[], ImageSource]"]],
        heatmap: bool = False,
        watch: "Watch | None" = None,
    ) -> list[Score]:
        """Score images as `Predictor.predict_batch` does.

        With a heatmap or a watch this process scores them, as pictures would be slow to send.
        """
        if heatmap or watch:
            return self._predictor.predict_batch(images, heatmap, watch)
        if self._starter is None and time.monotonic() - self._since >= self._patience:
            self._begin()
        try:
            there = self._free.get_nowait()
        except Empty:
            return self._predictor.predict_batch(images)
        fetched = [(name, _fetch(image)) for name, image in images]
        if any(_is_ours(image) for _, image in fetched):
            self._free.put(there)
            return self._predictor.predict_batch(fetched)
        try:
            there.send(fetched)
            scores: list[Score] = there.recv()
        except (OSError, EOFError):  # it has died
            there.close()
            return self._predictor.predict_batch(fetched)
        self._free.put(there)
        return scores

    def _begin(self) -> None:
        with self._lock:
            if self._starter is None:
                self._starter = threading.Thread(target=self._start, daemon=True)
                with suppress(RuntimeError):  # the limit of threads is reached
                    self._starter.start()

    def _start(self) -> None:
        """Start the processes, and use each when it is ready."""
        try:
            with _apart():
                starting = self._launch()
        except (OSError, RuntimeError):  # a limit of files, processes or threads is reached
            with self._lock:
                for process in self._running:
                    process.kill()
            return
        for each in starting:
            with suppress(OSError, EOFError):  # it has died
                if each.recv() == (self._predictor.id, self._predictor.device):
                    self._free.put(each)
                    continue
            each.close()

    def _launch(self) -> "list[Pipe]":
        """Start them; raises OSError or RuntimeError if a limit of the system is reached."""
        os.stat(os.path.join(os.getcwd(), os.curdir))  # children enter it, or fail with a traceback
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()  # which would undo the next line
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which they inherit
        context = get_context("spawn")  # a fork would inherit the locks of threads
        make = self._predictor.reload
        found: list[Pipe] = []
        for share in self._shares:
            ours, theirs = zip(*(context.Pipe() for _ in range(share)), strict=True)
            process = context.Process(target=_work, args=(make, theirs), daemon=True)
            with self._lock:
                if self._closed:
                    return []
                process.start()
                self._running.append(process)
            for each in theirs:
                each.close()
            found += ours
        return found


@contextmanager
def _apart() -> Iterator[None]:
    """Keep child processes from importing code that is not ours.

    That is modules in the current folder, which may be untrusted and have a multiprocessing.py
    beside the photos; and the main program, which would run again.
    """
    name = "PYTHONSAFEPATH"
    before, program = os.environ.get(name), sys.modules["__main__"]
    os.environ[name] = "1"
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _work(make: Callable[[], Predictor], pipes: "Sequence[Pipe]") -> None:
    """Score what arrives through the pipes, with a thread for each, until they are closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    calm_warnings()  # as the command line does
    keep_memory(len(pipes))
    try:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        predictor = make()
    except Exception:  # the file is gone, or there is no memory: the parent scores itself
        return
    for each in pipes:
        try:
            threading.Thread(target=_answer, args=(predictor, each)).start()
        except RuntimeError:  # the limit of threads is reached
            each.close()


def _end_with_parent() -> None:
    """Exit with the parent, even if a thread waits for a pipe that nobody writes to."""
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _answer(predictor: Predictor, pipe: "Pipe") -> None:
    with pipe:
        try:
            pipe.send((predictor.id, predictor.device))
            while True:
                pipe.send(predictor.predict_batch(pipe.recv()))
        except Exception:  # closed; or the model fails, which the parent then reports
            return


def _fetch(image: "ImageSource | Callable[[], ImageSource]") -> "ImageSource | partial[NoReturn]":
    """Return an image that can be pickled, or a function that raises the reason why not."""
    try:
        found = image() if callable(image) else image
        return found.read() if hasattr(found, "read") else found
    except (ImageError, OSError) as error:
        return partial(fail, error)


def _is_ours(image: object) -> bool:
    """Say whether only this process can read an image: an error, or an open file."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image).startswith(("/dev/", "/proc/"))
    return isinstance(image, partial)
