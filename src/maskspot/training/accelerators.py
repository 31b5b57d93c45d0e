"""The devices that a network trains on: GPUs if TensorFlow sees any, else the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from maskspot.errors import UsageError
from maskspot.training.settings import Settings


@contextmanager
def on_devices(settings: Settings) -> Iterator[None]:
    """Build networks in this context for the devices of the machine; GPUs share each batch.

    If the setting `precision` is bfloat16, or auto and there is a GPU, layers compute in bfloat16
    and keep their weights in float32. On a CPU that is no faster.

    Raises:
        UsageError: the GPUs cannot share a batch equally.
    """
    gpus = tf.config.list_logical_devices("GPU")
    wanted = {"auto": bool(gpus), "bfloat16": True, "float32": False}[settings.precision]
    if len(gpus) > 1:
        if settings.batch_size % len(gpus):
            raise UsageError(
                f"{settings.batch_size} is not divisible by {len(gpus)} GPUs: choose a multiple, "
                "or use fewer GPUs with CUDA_VISIBLE_DEVICES",
                argument="batch_size",
            )
        strategy = _mirrored(*(gpu.name for gpu in gpus))
    else:
        strategy = tf.distribute.get_strategy()
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16" if wanted else "float32")
    try:
        with strategy.scope():
            yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


@cache  # two strategies in one process would confuse their collective operations
def _mirrored(*names: str) -> Any:
    return tf.distribute.MirroredStrategy(names)
