"""Processes that decode the clients' images, and are killed when an image takes too long.

A thread cannot be stopped while a decoder of Pillow works on a hostile image; a process can.
"""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from maskspot.environment import calm_warnings, end_with_parent, starting_processes
from maskspot.errors import ImageError, ServiceError
from maskspot.images import Preprocessing, keep_memory
from maskspot.model.score import Score
from maskspot.serving.limits import Refusal, overload
from maskspot.serving.uploads import NamedBytes

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from maskspot.model.predictor import Predictor

    Pipe = Connection[Any, Any]

_START = 60.0  # seconds that a process may take until it is ready
_END = 5.0  # seconds that a killed process may take to end

_WAIT = 5
"""Times the CPU time of an image for which its result is waited for, as other processes run too."""

_SPENT = -signal.SIGPROF if hasattr(signal, "SIGPROF") else None
"""Exit code of a process whose image took too much CPU time; Windows has no such timer."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How images are decoded: what a `Predictor` would do itself.

    Attributes:
        preprocessing: of the model.
        max_pixels: images with more pixels are refused.
        draft: decode large JPEGs at a part of their size; None as the model says.
    """

    preprocessing: Preprocessing
    max_pixels: int
    draft: bool | None

    def decode(self, content: bytes) -> "Decoded":
        """Decode the bytes of a file."""
        try:
            opened = self.preprocessing.open(content, self.max_pixels, self.draft)
            pixels = self.preprocessing.apply(opened.rgb)
        except ImageError as error:
            return Decoded(Score("", error=str(error), status=error.status))
        except MemoryError:
            return Decoded(Score("", error="not enough memory to read it", status="too large"))
        score = Score("", width=opened.width, height=opened.height, format=opened.format)
        return Decoded(score, pixels)


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image that was decoded, or the reason why it was not.

    Attributes:
        score: its size and format, or its error; without source and probability.
        pixels: the network's input, uint8 (S, S, 3); None if there is an error.
    """

    score: Score
    pixels: NDArray[np.uint8] | None = None


class Decoder:
    """A process that decodes one image at a time, and is replaced when it had to be killed."""

    def __init__(self, decoding: Decoding, seconds: float) -> None:
        """Start the process, without waiting for it.

        Args:
            decoding: how images are decoded.
            seconds: CPU time that an image may take.
        """
        self._decoding, self._seconds, self._closed = decoding, seconds, False
        self._process: _Process | None = None
        self._start()

    def decode(self, content: bytes) -> Decoded:
        """Decode the bytes of a file; if that takes too long, the result has an error.

        Raises:
            Refusal: no process can be started.
        """
        process = self._ready()
        try:
            return process.ask(content)
        except TimeoutError:
            text = f"decoding takes more than the limit of {self._seconds:g} s"
            failed = Decoded(Score("", error=text, status="too large"))
        except (OSError, EOFError):
            failed = Decoded(Score("", error="damaged: its decoder crashed", status="unreadable"))
        self._kill()
        self._start()
        return failed

    def warm_up(self) -> None:
        """Wait until the process is ready.

        Raises:
            Refusal: no process can be started.
        """
        self._ready()

    def close(self) -> None:
        """Kill the process."""
        self._closed = True
        self._kill()

    def _start(self) -> None:
        """Start a process, if the system allows one more now."""
        if not self._closed:
            with suppress(OSError, RuntimeError, AssertionError):  # the last in a daemonic process
                self._process = _Process(self._decoding, self._seconds)

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()

    def _ready(self) -> "_Process":
        """Return the process once it is ready; another one if it died while it had no work."""
        for _ in range(2):
            if self._process and self._process.wait():
                return self._process
            self._kill()
            self._start()
        raise overload("no process can be started to decode images; try again")


class _Process:
    """A process and the pipe to it."""

    def __init__(self, decoding: Decoding, seconds: float) -> None:
        context = get_context("spawn")  # a fork would inherit the locks of other threads
        self._pipe, theirs = context.Pipe()
        self._started = False
        with theirs, starting_processes():
            work = (decoding, seconds, theirs)
            self._process = context.Process(target=_work, args=work, daemon=True)
            self._process.start()
        self._seconds = _WAIT * seconds
        # Also at exit, before multiprocessing waits for it.
        self.kill = finalize(self, _kill, self._process)

    def wait(self) -> bool:
        """Wait until the process is ready; return whether it is alive."""
        try:
            if self._started:  # it has no work, so there is nothing to read but its end
                return not self._pipe.poll()
            self._started = self._pipe.poll(_START) and self._pipe.recv()
        except (OSError, EOFError):
            return False
        return self._started

    def ask(self, content: bytes) -> Decoded:
        """Return what the process makes of an image.

        Raises:
            TimeoutError: it takes too long.
            EOFError: the process died.
            OSError: the same.
        """
        try:
            self._pipe.send_bytes(content)
            if self._pipe.poll(self._seconds):
                found: Decoded = self._pipe.recv()
                return found
        except (OSError, EOFError):
            self._process.join(_END)
            if self._process.exitcode != _SPENT:
                raise
        raise TimeoutError


def _kill(process: "SpawnProcess") -> None:
    process.kill()
    process.join(_END)


def _work(decoding: Decoding, seconds: float, pipe: "Pipe") -> None:
    """Decode the images that come through a pipe, until the server closes it."""
    for number in (signal.SIGINT, signal.SIGTERM):  # which the server may get with its children
        signal.signal(number, signal.SIG_IGN)
    calm_warnings()
    keep_memory(1)
    end_with_parent()
    with suppress(OSError, EOFError):
        pipe.send(True)
        while True:
            content = pipe.recv_bytes()
            with _cpu_limit(seconds):
                decoded = decoding.decode(content)
            pipe.send(decoded)


@contextmanager
def _cpu_limit(seconds: float) -> Iterator[None]:
    """Let the system end this process if the context takes more CPU time."""
    if _SPENT is None:
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


class ProtectedPredictor:
    """A predictor for images of strangers: they are decoded in processes that can be stopped.

    Attributes:
        batch_size: images that a thread takes at a time.
    """

    def __init__(self, predictor: "Predictor", threads: int, seconds: float) -> None:
        """Start the processes.

        Args:
            predictor: the model.
            threads: that score at once; each has a process, and there is a spare one, as starting
                another takes time.
            seconds: CPU time that decoding an image may take.
        """
        self._predictor, self.batch_size = predictor, predictor.batch_size
        self._crop = predictor.info.preprocessing.crop
        decoding = Decoding(predictor.info.preprocessing, predictor.max_pixels, predictor.draft)
        self._decoders = [Decoder(decoding, seconds) for _ in range(threads + 1)]
        self._free: SimpleQueue[Decoder] = SimpleQueue()
        for decoder in self._decoders:
            self._free.put(decoder)

    def warm_up(self) -> None:
        """Wait until the processes are ready.

        Raises:
            ServiceError: they cannot be started.
        """
        try:
            for decoder in self._decoders:
                decoder.warm_up()
        except Refusal as error:
            raise ServiceError(error.reason) from None

    def predict_batch(self, images: Sequence[NamedBytes], heatmap: bool = False) -> list[Score]:
        """Score images as `Predictor.predict_batch` does.

        Raises:
            Refusal: no process can be started.
            ModelFileError: the model fails, or has no heatmap.
        """
        decoder = self._free.get()
        try:
            decoded = [decoder.decode(content) for _, content in images]
        finally:
            self._free.put(decoder)
        named = [(name, each) for (name, _), each in zip(images, decoded, strict=True)]
        good = [(name, each.pixels) for name, each in named if each.pixels is not None]
        scores = iter(self._predictor.predict_batch(good, heatmap) if good else ())
        return [
            replace(each.score, source=name)
            if each.pixels is None
            else self._complete(each.score, next(scores))
            for name, each in named
        ]

    def close(self) -> None:
        """Kill the processes."""
        for decoder in self._decoders:
            decoder.close()

    def _complete(self, decoded: Score, score: Score) -> Score:
        """Return the score of a network's input as that of its image."""
        width, height = cast("int", decoded.width), cast("int", decoded.height)
        grid = score.heatmap
        grid = None if grid is None else self._crop(grid, (width, height))
        return replace(score, width=width, height=height, format=decoded.format, heatmap=grid)
