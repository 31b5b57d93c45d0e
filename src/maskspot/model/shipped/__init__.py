"""The models that ship with maskspot, each with its card beside it."""

import os
from pathlib import Path

from maskspot.errors import ModelFileError

DEFAULT = "default"
"""What `predict` uses when no model is named."""

_FOLDER = Path(__file__).parent


def shipped() -> list[str]:
    """Return the names of the models that ship."""
    return sorted(file.stem for file in _FOLDER.glob("*.onnx"))


def ships(file: Path) -> bool:
    """Say whether a file is one of the models that ship."""
    return file.parent == _FOLDER and file.suffix == ".onnx"


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return a model's file: that of a shipped name, else the path itself.

    Raises:
        ModelFileError: there is no such file.
    """
    file = _FOLDER / f"{os.fspath(model)}.onnx"
    if os.fspath(model) in shipped():
        return file
    path = Path(model)
    if not path.is_file():
        raise ModelFileError(
            f"{path}: no such model file, nor a shipped model ({', '.join(shipped())})"
        )
    return path
