"""Learning rates, sizes, stopping: functions of the history, so a resume needs no other state."""

import math
from collections.abc import Sequence

from maskspot.training.settings import Settings

_MIN_DELTA = 1e-4
"""What counts as a better loss for a cut of the rate: Keras' ReduceLROnPlateau's default."""


def learning_rate(settings: Settings, losses: Sequence[float], progress: float) -> float:
    """Return the learning rate of a step.

    Args:
        settings: the run's.
        losses: validation losses of the finished epochs.
        progress: epochs done, with the running one's share.
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
    """Return the side of an epoch's images, in pixels: small ones first, as they cost less."""
    start, size, epochs = settings.start_size, settings.size, settings.epochs
    if not 0 < start < size or 3 * epoch >= 2 * epochs or epoch == epochs - 1:
        return size
    if 3 * epoch < epochs:
        return start
    # The last feature map's cells are 32 pixels wide.
    return min(max(round((start + size) / 64) * 32, start), size)


def best_epoch(losses: Sequence[float]) -> int:
    """Return the index of the first least loss."""
    return min(range(len(losses)), key=losses.__getitem__)


def should_stop(settings: Settings, losses: Sequence[float]) -> bool:
    """Say whether training ends: all epochs done, or no better loss for `patience` epochs."""
    if len(losses) >= settings.epochs:
        return True
    if not losses or not settings.patience:
        return False
    return len(losses) - 1 - best_epoch(losses) >= settings.patience


def _plateau(settings: Settings, losses: Sequence[float]) -> float:
    """Replay Keras' ReduceLROnPlateau over the losses."""
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
