"""What several test modules use."""

from pathlib import Path
from typing import Any


class Silent:
    """Does nothing, or stops the run in an epoch's second step."""

    def __init__(self, stop_in: int | None = None) -> None:
        self.stop_in = stop_in

    def data(self, images: object) -> None: ...
    def fold(self, number: int, folds: int) -> None: ...
    def decoded(self, count: int) -> None: ...
    def skipped(self, item: object, reason: str) -> None: ...
    def epoch(self, row: object, best: bool) -> None: ...

    def step(self, epoch: int, step: int, steps: int, loss: float, speed: float) -> None:
        if epoch == self.stop_in and step == 2:
            raise KeyboardInterrupt


def body(model: Any) -> Any:
    """Return a network's backbone."""
    return next(layer for layer in model.layers if hasattr(layer, "layers"))


def save_as_published(model: Any, file: Path) -> None:
    """Save a backbone in the layout of Keras 2, in which the published weights are."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(file, "w") as stream:
        legacy_h5_format.save_weights_to_hdf5_group(stream, model)
