"""How many parameters a model file has."""

from importlib.util import find_spec
from pathlib import Path

from maskspot.model.predictor import Predictor

_SHIPPED = {
    "best-64d8b7f315d80cf35717ce3494da0997": 3_360_859,
    "default-defa2a1ed2f05329886260db4554c6cf": 3_360_256,
    "fast-c018d08ccc00d1593d99748f4c63fb74": 211_848,
    "int8-dc7ebf0b2082acd2730fe7c7809c5948": 3_432_992,
}
"""Numbers for shipped files whose metadata lack them, by model id."""


def count_parameters(predictor: Predictor, file: Path) -> int | None:
    """Return the number of weights of a model file; None if it does not say and onnx is missing.

    Args:
        predictor: of the file.
        file: the model file.
    """
    if predictor.info.parameters is not None:
        return predictor.info.parameters
    if predictor.id in _SHIPPED:
        return _SHIPPED[predictor.id]
    if find_spec("onnx") is None:
        return None
    import onnx

    from maskspot.exporting import graph

    return graph.count_parameters(onnx.load(file).graph)
