"""Scoring on Spark: a function for `DataFrame.mapInPandas`."""

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskspot.engines.partitions import images_of
from maskspot.model.predictor import Predictor
from maskspot.model.shipped import find_model
from maskspot.outputs.form import Form

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = (
    "source string, probability double, status string, error string, "
    "width int, height int, format string, milliseconds double, model string"
)
"""Schema of the resulting rows, in Spark's notation."""


def predict_in_pandas(
    model: str | Path = "default", column: str = "content", names: str = "path", **options: Any
) -> "Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]":
    """Return a function that scores rows: `frame.mapInPandas(predict_in_pandas(), SCHEMA)`.

    Each Python worker of Spark loads the model once and uses one core. The model is sent to the
    workers, which need not see its file. A row without a readable image becomes a row with the
    reason.

    Args:
        model: a model file, or the name of a shipped model.
        column: column of the images' bytes, or of paths and URLs that every worker can open.
        names: column with the names of images that are given as bytes.
        **options: of `Predictor`.

    Raises:
        ModelFileError: the model file is missing, damaged, or not supported by this version.
    """
    path = find_model(model)
    form = Form("parquet", details=True, model=Predictor(path, **options).id)
    content = path.read_bytes()

    def score(frames: "Iterator[pd.DataFrame]") -> "Iterator[pd.DataFrame]":
        import pandas as pd

        predictor = _predictor(content, tuple(sorted(options.items())))
        step = predictor.batch_size
        for frame in frames:
            named = frame[names].where(frame[names].notna(), "").astype(str)
            images = images_of(frame[column], named)
            rows = [
                form.row(score)
                for at in range(0, len(images), step)
                for score in predictor.predict_batch(images[at : at + step])
            ]
            yield pd.DataFrame(rows, columns=list(form.columns)).astype(
                {"width": "Int32", "height": "Int32"}
            )

    return score


@cache
def _predictor(content: bytes, options: tuple[tuple[str, Any], ...]) -> Predictor:
    """Load a model in a worker, once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(content)
        return Predictor(file, **dict(options))
