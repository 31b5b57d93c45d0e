"""The models that ship with maskspot, each with its card beside it."""

import os
from pathlib import Path

from maskspot.errors import ModelFileError

DEFAULT = "default"
"""The model that is used when none is named."""

_FOLDER = Path(__file__).parent


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
