"""Spark: a function for `DataFrame.mapInPandas`; everything else is Spark's."""

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
"""Of the rows that come out, as Spark writes schemas."""


def predict_in_pandas(
    model: str | Path = "default", column: str = "content", names: str = "path", **options: Any
) -> "Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]":
    """Return what scores a Spark frame's rows: `frame.mapInPandas(predict_in_pandas(), SCHEMA)`.

    Each of Spark's Python workers loads the model once and uses one core; it is sent to them, so
    they need not see its file. A row that is no image is a row with its reason.

    Args:
        model: a model file, or a shipped model's name.
        column: of images' bytes, or of paths and URLs that every worker can open.
        names: the column that names the images whose bytes are given.
        **options: of `Predictor`.

    Raises:
        ModelFileError: the file is none that this version reads.
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
