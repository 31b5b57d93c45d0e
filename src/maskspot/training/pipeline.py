"""Batches for the network: shuffled, augmented, and the same again after a resume."""

from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from maskspot.training.augmentation import augment
from maskspot.training.config import Settings


def split(
    targets: NDArray[np.float32], share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split indices into training and validation, each class alike: stratified and seeded.

    Args:
        targets: 0 or 1, or NaN for images that take no part, float32 (N,).
        share: of each class that validates; at least one image on either side.
        seed: of the draw.

    Returns:
        Sorted indices, training and validation.
    """
    rng = np.random.default_rng(seed)
    held: list[NDArray[np.intp]] = []
    for target in (0, 1):
        rows = rng.permutation(np.flatnonzero(targets == target))
        held.append(rows[: min(max(round(share * len(rows)), 1), len(rows) - 1)])
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(np.flatnonzero(~np.isnan(targets)), validation), validation


class TrainingBatches:
    """Shuffled, augmented batches.

    Shuffles and augmentation depend on the seed, the epoch and the step alone, so a resumed
    run sees what an uninterrupted one would have seen. Unless `partial_batches` is set, an
    epoch's last images that fill no batch are left to the next epoch's shuffle.

    Attributes:
        settings: the run's.
        size: images in a batch.
        steps: batches in an epoch.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        targets: NDArray[np.float32],
        rows: NDArray[np.intp],
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.size = min(settings.batch_size, len(rows))
        whole, rest = divmod(len(rows), self.size)
        self.steps = whole + (1 if rest and settings.partial_batches else 0)
        self._pixels, self._targets, self._rows = pixels, targets, rows
        self._order = lru_cache(2)(self._shuffle)

    def dataset(self, first_epoch: int = 0) -> Any:
        """Return a `tf.data.Dataset` of all batches from an epoch on.

        A batch is float32 (B, S, S, 3) in 0..255, with targets float32 (B, 1).
        """
        every = tf.data.Dataset.range(first_epoch * self.steps, self.settings.epochs * self.steps)
        return every.map(self._load, num_parallel_calls=2, deterministic=True).prefetch(2)

    def batch(self, epoch: int, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return one batch as arrays, uint8 (B, S, S, 3) and float32 (B, 1)."""
        chosen = self._order(epoch)[step * self.size : (step + 1) * self.size]
        rng = np.random.default_rng([self.settings.seed, epoch, step])
        return augment(self._pixels[chosen], rng, self.settings), self._targets[chosen, None]

    def _shuffle(self, epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng([self.settings.seed, epoch]).permutation(self._rows)

    def _load(self, index: Any) -> tuple[Any, Any]:
        images, targets = tf.numpy_function(
            lambda at: self.batch(*divmod(int(at), self.steps)), [index], (tf.uint8, tf.float32)
        )
        images.set_shape((None, self.settings.size, self.settings.size, 3))
        targets.set_shape((None, 1))
        return tf.cast(images, tf.float32), targets


def evaluation_batches(pixels: NDArray[np.uint8], rows: NDArray[np.intp], size: int = 32) -> Any:
    """Return a `tf.data.Dataset` of images as they are, float32 (B, S, S, 3), in order."""

    def load(first: Any) -> Any:
        images = tf.numpy_function(
            lambda at: pixels[rows[at : at + size]], [first], tf.uint8, stateful=False
        )
        images.set_shape((None, *pixels.shape[1:]))
        return tf.cast(images, tf.float32)

    return tf.data.Dataset.range(0, len(rows), size).map(load).prefetch(1)
