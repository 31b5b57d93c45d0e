"""maskspot: how likely is it that this image shows at least one face mask?

import maskspot

predictor = maskspot.load()
score = predictor.predict("photo.jpg")
score.probability
"""

import os
from typing import TYPE_CHECKING, Any

from maskspot._version import __version__

if TYPE_CHECKING:
    from maskspot.model.predictor import Predictor
    from maskspot.model.score import Score

# onnxruntime sends its makers what it runs, on Linux too, unless this is set before
# it is loaded; what is done with photos is nobody else's business. Your own setting is left alone.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Predictor", "Score", "__version__", "load"]


def load(model: str | os.PathLike[str] | None = None) -> "Predictor":
    """Load a model: a file, or the name of one that ships; None takes the default.

    Raises:
        maskspot.errors.ModelFileError: it is missing, damaged, or not understood.
    """
    from maskspot.model.predictor import Predictor
    from maskspot.model.shipped import DEFAULT

    return Predictor(DEFAULT if model is None else model)


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: the predictor brings numpy and onnxruntime."""
    if name == "Predictor":
        from maskspot.model.predictor import Predictor

        return Predictor
    if name == "Score":
        from maskspot.model.score import Score

        return Score
    raise AttributeError(f"module 'maskspot' has no attribute {name!r}")
