"""The models that ship with maskspot, each with its card beside it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from maskspot.errors import ModelFileError

DEFAULT = "default"
"""The model that is used when none is named."""

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """What helps to choose a shipped model; where it comes from is in the cards.

    Attributes:
        accuracy: on the 509 test photos.
        log_loss: on these photos.
        cost: time for an image, where `default` takes 1.
        use: when to take it.
    """

    accuracy: float
    log_loss: float
    cost: float
    use: str


MEASURED: Mapping[str, Measured] = {
    "default": Measured(0.9764, 0.0647, 1.0, "most photos"),
    "best": Measured(0.9784, 0.0432, 4.4, "small masks in large scenes"),
    "int8": Measured(0.9784, 0.0659, 0.8, "CPUs only, a little faster"),
    "fast": Measured(0.9430, 0.1295, 0.4, "speed rather than accuracy"),
}
"""The shipped models, in the order in which they are listed."""


def shipped() -> list[str]:
    """Return the names of the models that ship."""
    return sorted(file.stem for file in _FOLDER.glob("*.onnx"))


def ships(file: Path) -> bool:
    """Say whether a file is one of the models that ship."""
    return file.parent == _FOLDER and file.suffix == ".onnx"


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the file of a shipped model by its name, or the path itself.

    Raises:
        ModelFileError: the file does not exist.
    """
    file = _FOLDER / f"{os.fspath(model)}.onnx"
    if os.fspath(model) in shipped():
        return file
    path = Path(model)
    if not path.is_file():
        raise ModelFileError(
            f"{path}: neither a model file nor a shipped model ({', '.join(shipped())})"
        )
    return path
