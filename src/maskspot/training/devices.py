"""What a network trains on: GPUs where TensorFlow sees them, else the processor."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from maskspot.training.settings import Settings


@contextmanager
def devices(settings: Settings) -> Iterator[None]:
    """Build networks for the machine's devices: a copy on each of several GPUs.

    With the setting `precision` at bfloat16, or at auto with a GPU, layers compute in bfloat16
    and keep their weights in float32. On a processor it gains nothing.
    """
    gpus = tf.config.list_logical_devices("GPU")
    wanted = {"auto": bool(gpus), "bfloat16": True, "float32": False}[settings.precision]
    strategy = tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16" if wanted else "float32")
    try:
        with strategy.scope():
            yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)
