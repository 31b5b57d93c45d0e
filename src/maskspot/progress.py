"""How long work tells of its progress: one protocol, and an implementation that is silent."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Total = float | Callable[[], float | None] | None
"""Number of units in all; a function that counts them, called only to show it; None if unknown."""


class Step(Protocol):
    """A step of some work that is under way."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Report how far the step is; it may be called from any thread.

        Args:
            done: units that are finished.
            total: units in all; None leaves it as it was, and unknown at first.
            note: the state in a few words, such as the loss.
        """


class Progress(Protocol):
    """Whoever is told how some work proceeds."""

    def step(self, name: str, unit: str = "", total: Total = None) -> AbstractContextManager[Step]:
        """Begin a step, which ends with the context.

        Args:
            name: what is done, such as `scoring` or `loading TensorFlow`.
            unit: what is counted, such as `images` or `bytes`; "" where nothing is.
            total: how many of them there are.
        """

    def say(self, text: str) -> None:
        """Report a result or a fact, in one line."""

    def warn(self, text: str) -> None:
        """Report something odd that is not an error, in one line."""

    def failed(self, name: str, reason: str) -> None:
        """Report what could not be done, such as an image that cannot be read, and why."""


class Silent:
    """A `Progress` that tells nobody."""

    @contextmanager
    def step(self, name: str, unit: str = "", total: Total = None) -> Iterator[Step]:
        """Begin a step."""
        yield _SILENT_STEP

    def say(self, text: str) -> None:
        """Drop a line."""

    def warn(self, text: str) -> None:
        """Drop a warning."""

    def failed(self, name: str, reason: str) -> None:
        """Drop a failure."""


class _SilentStep:
    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        """Drop it."""


_SILENT_STEP = _SilentStep()
SILENT = Silent()
"""The `Progress` of callers that show nothing."""
