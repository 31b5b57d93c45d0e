"""Batches for the network: shuffled, augmented, and the same after a resume."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from maskspot.training import schedule
from maskspot.training.augmentation import distort, mix, warp
from maskspot.training.examples import Examples
from maskspot.training.settings import Settings
from maskspot.training.views import draw_view, mask_grid

STRIDE = 32
"""Pixels of the input to one cell of the last feature map, along each side."""


class Teacher(Protocol):
    """A model whose probabilities a network learns from, beside the labels."""

    def probabilities(
        self, pixels: NDArray[np.uint8], rows: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return probabilities, float64 (B,), for views, uint8 (B, S, S, 3), of rows of images."""


@dataclass(frozen=True)
class Batch:
    """One batch.

    Attributes:
        images: uint8 (B, S, S, 3).
        targets: in 0..1, float32 (B, 1).
        grids: where the masks are, float32 (B, G, G, 1).
        weights: of the images in the loss of the labels, float32 (B,).
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    grids: NDArray[np.float32]
    weights: NDArray[np.float32]


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
        examples: Examples,
        rows: NDArray[np.intp],
        settings: Settings,
        teacher: Teacher | None = None,
    ) -> None:
        self.settings = settings
        self.size = min(settings.batch_size, len(rows))
        whole, rest = divmod(len(rows), self.size)
        self.steps = whole + (1 if rest and settings.partial_batches else 0)
        self._examples, self._rows, self._teacher = examples, rows, teacher
        self._order = lru_cache(2)(self._shuffle)
        share = float(np.mean(examples.targets[rows]))
        self._class_weights = (0.5 / (1 - share), 0.5 / share) if settings.class_balance else (1, 1)

    def images(self, steps: int) -> int:
        """Return the images in an epoch's first batches."""
        return min(steps * self.size, len(self._rows))

    def dataset(self, first_epoch: int = 0) -> Any:
        """Return a `tf.data.Dataset` of all batches from an epoch on, for `keras.Model.fit`.

        A batch is (images, targets, weights), images float32 in 0..255, the others as in `Batch`;
        with the setting `heatmap` it is (images, (targets, grids), (weights, ones)).
        """
        every = tf.data.Dataset.range(first_epoch * self.steps, self.settings.epochs * self.steps)
        return every.map(self._load, num_parallel_calls=2, deterministic=True).prefetch(2)

    def batch(self, epoch: int, step: int) -> Batch:
        """Return one batch as arrays."""
        settings = self.settings
        rows = self._order(epoch)[step * self.size : (step + 1) * self.size]
        rng = np.random.default_rng([settings.seed, epoch, step])
        size = schedule.image_size(settings, epoch)
        drawn = [self._view(int(row), rng, size) for row in rows]
        images = np.stack([image for image, _, _ in drawn])
        targets = np.array([target for _, target, _ in drawn], dtype=np.float32)
        if self._teacher:
            told = self._teacher.probabilities(images, rows)
            share = settings.teacher_weight
            targets = ((1 - share) * targets + share * told).astype(np.float32)
        if settings.mixup:
            images, targets = mix(images, targets, rng, settings.mixup)
        grids = np.stack([grid for _, _, grid in drawn])[..., None]
        without, with_mask = self._class_weights
        weights = without + targets * (with_mask - without)  # soft labels are in between
        weights = weights * self._examples.weights[rows]
        return Batch(images, targets[:, None], grids, weights.astype(np.float32))

    def _view(
        self, row: int, rng: np.random.Generator, size: int
    ) -> tuple[NDArray[np.uint8], float, NDArray[np.float32]]:
        examples = self._examples
        view, target, masks = draw_view(
            rng, self.settings, float(examples.targets[row]), examples.boxes[row]
        )
        image = warp(examples.source[row], view, size, self.settings.fill)
        return distort(image, rng, self.settings), target, mask_grid(masks, -(-size // STRIDE))

    def _shuffle(self, epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng([self.settings.seed, epoch]).permutation(self._rows)

    def _load(self, index: Any) -> tuple[Any, Any, Any]:
        def load(at: Any) -> tuple[NDArray[Any], ...]:
            batch = self.batch(*divmod(int(at), self.steps))
            return batch.images, batch.targets, batch.grids, batch.weights

        images, targets, grids, weights = tf.numpy_function(
            load, [index], (tf.uint8, tf.float32, tf.float32, tf.float32)
        )
        images.set_shape((None, None, None, 3))
        targets.set_shape((None, 1))
        grids.set_shape((None, None, None, 1))
        weights.set_shape((None,))
        images = tf.cast(images, tf.float32)
        if self.settings.heatmap:
            return images, (targets, grids), (weights, tf.ones_like(weights))
        return images, targets, weights


def evaluation_batches(pixels: NDArray[np.uint8], rows: NDArray[np.intp], size: int = 32) -> Any:
    """Return a `tf.data.Dataset` of images as they are, float32 (B, S, S, 3), in order."""

    def load(first: Any) -> Any:
        images = tf.numpy_function(
            lambda at: pixels[rows[at : at + size]], [first], tf.uint8, stateful=False
        )
        images.set_shape((None, *pixels.shape[1:]))
        return tf.cast(images, tf.float32)

    return tf.data.Dataset.range(0, len(rows), size).map(load).prefetch(1)
