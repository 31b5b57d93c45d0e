"""Networks from Keras to ONNX, and what Keras computes with them."""

from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from maskspot.errors import ExportError
from maskspot.exporting.graph import OPSET, normalise_ends
from maskspot.exporting.windows import Windows, keras_logits, views_of
from maskspot.model.info import INPUT, ModelInfo

_BATCH = 16


def convert(model: Any, size: int, info: ModelInfo) -> onnx.ModelProto:
    """Return a network as a graph, uint8 (N, S, S, 3) `images` to float32 (N, 1) `logit`.

    Args:
        model: of `training.network`.
        size: side S of its input.
        info: names the backbone in errors.

    Raises:
        ExportError: the converter does not support an operator of the network.
    """
    signature = [tf.TensorSpec((None, size, size, 3), tf.uint8, name=INPUT)]
    pixels = keras.Input((size, size, 3), dtype="uint8", name=INPUT)
    serving = keras.Model(pixels, model(keras.layers.Rescaling(1.0)(pixels)))  # casts to float
    try:
        proto, _ = tf2onnx.convert.from_keras(serving, signature, opset=OPSET)
    except Exception as error:  # tf2onnx raises many kinds
        raise ExportError(f"tf2onnx cannot convert {info.backbone}: {error}") from error
    return normalise_ends(proto)


def convert_views(model: Any, info: ModelInfo, large: int) -> onnx.ModelProto:
    """Return a network for its own input size and for a larger one, as `windows.views_of` does."""
    whole = convert(model, info.preprocessing.size, info)
    return views_of(whole, convert(model, large, info))


def logits_in_keras(
    model: Any, pixels: NDArray[np.uint8], flip: bool, windows: Windows | None, size: int
) -> NDArray[np.float64]:
    """Return the logits that an export must reproduce, float64 (N,).

    Args:
        model: of `training.network`.
        pixels: uint8 (N, S, S, 3).
        flip: average with the mirror images.
        windows: how it looks at windows; None if it does not.
        size: side of the network's own input.
    """

    def logits(batch: NDArray[np.uint8]) -> NDArray[np.float64]:
        if windows:
            return keras_logits(model, batch, windows, size)
        # Not `predict`, which would compile it first.
        return np.asarray(model(batch.astype(np.float32), training=False), np.float64).ravel()

    views = [pixels, pixels[:, :, ::-1]] if flip else [pixels]
    parts = [
        np.concatenate([logits(view[at : at + _BATCH]) for at in range(0, len(view), _BATCH)])
        for view in views
    ]
    return np.asarray(np.mean(parts, axis=0))
