"""A listener for training in tests."""


class Silent:
    """Does nothing, or stops the run in an epoch's second step."""

    def __init__(self, stop_in: int | None = None) -> None:
        self.stop_in = stop_in

    def data(self, images: object) -> None: ...
    def decoded(self, count: int) -> None: ...
    def skipped(self, item: object, reason: str) -> None: ...
    def epoch(self, row: object, best: bool) -> None: ...

    def step(self, epoch: int, step: int, steps: int, loss: float, speed: float) -> None:
        if epoch == self.stop_in and step == 2:
            raise KeyboardInterrupt
