"""What a network trains on: GPUs where TensorFlow sees them, else the processor."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from maskspot.errors import UsageError
from maskspot.training.settings import Settings


@contextmanager
def devices(settings: Settings) -> Iterator[None]:
    """Build networks for the machine's devices: where GPUs are several, each takes its share.

    With the setting `precision` at bfloat16, or at auto with a GPU, layers compute in bfloat16
    and keep their weights in float32. On a processor it gains nothing.

    Raises:
        UsageError: the GPUs cannot share a batch alike.
    """
    gpus = tf.config.list_logical_devices("GPU")
    wanted = {"auto": bool(gpus), "bfloat16": True, "float32": False}[settings.precision]
    if len(gpus) > 1:
        if settings.batch_size % len(gpus):
            raise UsageError(
                f"batch_size: {settings.batch_size} cannot be shared by {len(gpus)} GPUs alike: "
                "choose a multiple, or show fewer with CUDA_VISIBLE_DEVICES"
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


@cache  # the collective operations of two strategies in one process are taken for each other's
def _mirrored(*names: str) -> Any:
    return tf.distribute.MirroredStrategy(names)
