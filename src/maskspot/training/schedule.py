"""Learning rates, sizes and stopping, as functions of the history: no other state is needed."""

import math
from collections.abc import Sequence

from maskspot.training.settings import Settings

_MIN_DELTA = 1e-4
"""Minimum improvement of the loss, as in ReduceLROnPlateau of Keras."""


def learning_rate(settings: Settings, losses: Sequence[float], progress: float) -> float:
    """Return the learning rate of a step.

    Args:
        settings: of the run.
        losses: validation losses of the finished epochs.
        progress: epochs done, with the fraction of the current one.
    """
    peak = settings.learning_rate
    if settings.schedule == "constant":
        return peak
    if settings.schedule == "plateau":
        return _plateau(settings, losses)
    warmup = min(settings.warmup, settings.epochs / 2)
    if progress < warmup:
        return peak * (progress + 1e-3) / warmup
    share = (progress - warmup) / (settings.epochs - warmup)
    return peak * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def image_size(settings: Settings, epoch: int) -> int:
    """Return the side of the images of an epoch, in pixels: small at first, as they cost less."""
    start, size, epochs = settings.start_size, settings.size, settings.epochs
    if not 0 < start < size or 3 * epoch >= 2 * epochs or epoch == epochs - 1:
        return size
    if 3 * epoch < epochs:
        return start
    # Cells of the last feature map are 32 pixels wide.
    return min(max(round((start + size) / 64) * 32, start), size)


def best_epoch(losses: Sequence[float]) -> int:
    """Return the index of the first least loss."""
    return min(range(len(losses)), key=losses.__getitem__)


def should_stop(settings: Settings, losses: Sequence[float]) -> bool:
    """Return whether all epochs are done, or `patience` of them brought no lower loss."""
    if len(losses) >= settings.epochs:
        return True
    if not losses or not settings.patience:
        return False
    return len(losses) - 1 - best_epoch(losses) >= settings.patience


def _plateau(settings: Settings, losses: Sequence[float]) -> float:
    """Replay ReduceLROnPlateau of Keras over the losses."""
    rate, best, wait = settings.learning_rate, math.inf, 0
    for loss in losses:
        if loss < best - _MIN_DELTA:
            best, wait = loss, 0
            continue
        wait += 1
        if wait >= settings.plateau_patience:
            rate = max(rate * settings.plateau_factor, settings.plateau_floor)
            wait = 0
    return rate
