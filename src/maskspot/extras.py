"""The optional parts of maskspot: is what a command needs installed?"""

import os
from importlib.util import find_spec

from maskspot.errors import MissingExtraError

_MODULES = {
    "train": ("cv2", "efficientnet", "keras", "matplotlib", "onnx", "tensorflow", "tf2onnx"),
}


def require(extra: str, what: str) -> None:
    """Check that an extra is installed, without importing it, and quieten TensorFlow.

    Raises:
        MissingExtraError: it is not; the text names the `pip install` to run.
    """
    if any(find_spec(module) is None for module in _MODULES[extra]):
        raise MissingExtraError(what, extra)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
