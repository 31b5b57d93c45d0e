"""Threads that score, taking one image of each request in turn."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from maskspot.model.predictor import Predictor
from maskspot.model.score import Score
from maskspot.serving.decoders import ProtectedPredictor
from maskspot.serving.uploads import NamedBytes

_PATIENCE = 0.001  # seconds that an incomplete batch waits for more images
_LEAVE = 5.0  # seconds in which threads must end


class _Job:
    """The images of one request, and the scores so far."""

    def __init__(self, images: Sequence[NamedBytes], heatmap: bool) -> None:
        self.images = deque(enumerate(images))
        self.heatmap = heatmap
        self.scores: dict[int, Score] = {}
        self.count = len(images)
        self.future: Future[list[Score]] = Future()


class ScoringThreads:
    """Threads that score images of requests, so that none waits for all images of another.

    On devices that take batches, a batch may have images of several requests.

    Attributes:
        threads: number of threads.
        waiting: number of images that no thread has taken yet.
    """

    def __init__(
        self,
        predictor: Predictor | ProtectedPredictor,
        threads: int,
        watch: Callable[[int], None] | None = None,
    ) -> None:
        """Start the threads.

        Args:
            predictor: the model.
            threads: number of threads.
            watch: called with the size of each batch.
        """
        self._predictor, self._watch = predictor, watch
        self._jobs: deque[_Job] = deque()
        self._ready = threading.Condition()
        self._closed = False
        self.waiting = 0
        self.threads = threads
        self._threads = [
            threading.Thread(target=self._work, name=f"maskspot-serve-{number}", daemon=True)
            for number in range(self.threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, images: Sequence[NamedBytes], heatmap: bool) -> Future[list[Score]]:
        """Return a future with the scores of images, in their order.

        If it is cancelled, images that no thread has taken yet are not scored.

        Args:
            images: at least one.
            heatmap: whether scores have heatmaps.
        """
        job = _Job(images, heatmap)
        with self._ready:
            self._jobs.append(job)
            self.waiting += job.count
            self._ready.notify(job.count)
        return job.future

    def close(self) -> None:
        """Stop the threads once no image waits."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join(_LEAVE)

    def _work(self) -> None:
        while taken := self._take():
            # If only some requests ask for heatmaps, the others' are left out of their answers.
            heatmap = any(job.heatmap for job, _, _ in taken)
            try:
                scores = self._predictor.predict_batch([image for _, _, image in taken], heatmap)
            except Exception as error:  # of the model; it belongs to the requests
                for job, _, _ in taken:
                    with suppress(InvalidStateError):
                        job.future.set_exception(error)
                continue
            if self._watch:
                self._watch(len(taken))
            self._give(taken, scores)
            del taken, scores  # otherwise they stay in memory until the next images arrive

    def _take(self) -> list[tuple[_Job, int, NamedBytes]]:
        """Return the images of a batch once there are any; an empty list at the end."""
        with self._ready:
            taken: list[tuple[_Job, int, NamedBytes]] = []
            while not taken:  # all that waited may have been cancelled
                self._ready.wait_for(lambda: self._jobs or self._closed)
                if not self._jobs:
                    break
                taken = self._next(self._predictor.batch_size)
            lacking = self._predictor.batch_size - len(taken)
            if taken and lacking and self._ready.wait(_PATIENCE):
                taken += self._next(lacking)
            return taken

    def _next(self, count: int) -> list[tuple[_Job, int, NamedBytes]]:
        """Return at most `count` images, one of each request in turn."""
        taken: list[tuple[_Job, int, NamedBytes]] = []
        while self._jobs and len(taken) < count:
            job = self._jobs.popleft()
            if job.future.done():  # cancelled, or failed
                self.waiting -= len(job.images)
                continue
            taken.append((job, *job.images.popleft()))
            self.waiting -= 1
            if job.images:
                self._jobs.append(job)
        return taken

    def _give(self, taken: list[tuple[_Job, int, NamedBytes]], scores: list[Score]) -> None:
        finished = []
        with self._ready:
            for (job, at, _), score in zip(taken, scores, strict=True):
                job.scores[at] = score
                if len(job.scores) == job.count:
                    finished.append(job)
        for job in finished:
            with suppress(InvalidStateError):  # cancelled
                job.future.set_result([job.scores[at] for at in range(job.count)])
