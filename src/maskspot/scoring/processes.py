"""Processes that score for this one, whose threads would wait for one another's Python."""

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

    Pipe = Connection[Any, Any]

PATIENCE = 3.0
"""Seconds of scoring before processes are started that nobody asked for: a start takes half one."""


class Processes:
    """Processes with a predictor each, which score what threads of this process hand them.

    They begin when they are needed; until then, and for those that do not start or die, scoring
    goes on in this process: no image is lost, and no score depends on where it was made.
    """

    def __init__(
        self, predictor: Predictor, processes: int, threads: int, patience: float = PATIENCE
    ) -> None:
        """Begin none yet.

        Args:
            predictor: the model.
            processes: how many.
            threads: of all of them together, and of this one that hand them images.
            patience: seconds of scoring before they are started.
        """
        self._predictor, self._patience = predictor, patience
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
        """End the processes, which hold nothing that is of use."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()
        for process in self._running:
            process.join()

    @property
    def starting(self) -> bool:
        """Whether some are on their way."""
        return self._starter is not None and self._starter.is_alive()

    @property
    def ready(self) -> int:
        """How many of their threads wait for images."""
        return self._free.qsize()

    @property
    def pids(self) -> list[int | None]:
        """The processes that were started."""
        return [process.pid for process in self._running]

    def predict_batch(
        self, images: Sequence[tuple[str, "ImageSource | Callable[[], ImageSource]"]]
    ) -> list[Score]:
        """Score images as `Predictor.predict_batch` does."""
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
                with suppress(RuntimeError):  # no more threads for us
                    self._starter.start()

    def _start(self) -> None:
        """Start the processes, and offer each when it is ready."""
        try:
            with _apart():
                starting = self._launch()
        except (OSError, RuntimeError):  # no more files, processes or threads for us
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
        """Start them; raises OSError or RuntimeError where there are not so many for us."""
        os.stat(os.path.join(os.getcwd(), os.curdir))  # they enter it, or fail with a traceback
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()  # which would undo the next line
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which they inherit
        context = get_context("spawn")  # a fork would inherit the locks of threads
        make, _ = self._predictor.__reduce__()
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
    """Keep Python's children from importing what is not theirs.

    That is what lies in the folder that we are in, which may be a stranger's, with a
    multiprocessing.py beside the photos; and the program that was started, which would run again.
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
    """Score what comes through the pipes, a thread for each, until they are closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    calm_warnings()  # as the command line does
    keep_memory(len(pipes))
    try:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        predictor = make()
    except Exception:  # no file any more, or no memory: who wants scores makes them itself
        return
    for each in pipes:
        try:
            threading.Thread(target=_answer, args=(predictor, each)).start()
        except RuntimeError:  # no more threads for us
            each.close()


def _end_with_parent() -> None:
    """End, even where a thread waits for a pipe that nobody writes to."""
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
        except Exception:  # closed; or the model fails, which it shall do where it is told
            return


def _fetch(image: "ImageSource | Callable[[], ImageSource]") -> "ImageSource | partial[NoReturn]":
    """Return an image as it can be sent, or what raises why there is none."""
    try:
        found = image() if callable(image) else image
        return found.read() if hasattr(found, "read") else found
    except (ImageError, OSError) as error:
        return partial(fail, error)


def _is_ours(image: object) -> bool:
    """Say whether an image is none in another process: an error, or a file that we have open."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image).startswith(("/dev/", "/proc/"))
    return isinstance(image, partial)
