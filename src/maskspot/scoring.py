"""From items to scores: bounded, in order, each content once if asked."""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.errors import UsageError
from maskspot.images import open_rgb
from maskspot.inputs import Item
from maskspot.predictor import Predictor
from maskspot.results import Score
from maskspot.threads import ordered, usable_cpus

if TYPE_CHECKING:
    from maskspot.cache import Cache


def score(
    predictor: Predictor,
    items: Iterable[Item],
    *,
    threads: int | None = None,
    cache: "Cache | None" = None,
    finished: Iterable[Score] = (),
    heatmaps: Path | None = None,
) -> Iterator[Score]:
    """Yield a `Score` for each item, in their order, as soon as it is there.

    Each thread reads an image and runs the network on it (both leave Python's lock), so all
    cores are busy with no queue between stages.

    Args:
        predictor: the model.
        items: what to score, drawn only as it is needed: memory does not grow with their number.
        threads: how many; None takes one for each usable CPU.
        cache: scores by content; what is in it is not scored again.
        finished: what a stopped run left, of the first items and in their order; those that went
            well are taken over, and only the others scored again.
        heatmaps: folder for a picture of each image with its heatmap over it.

    Raises:
        UsageError: what is finished is of other items.
        ModelFileError: the model fails, or has no heatmap.
        OSError: a picture cannot be written.
    """

    def score_items(batch: list[Item]) -> list[Score]:
        if heatmaps:
            return _with_overlays(predictor, batch, heatmaps)
        return predictor.predict_batch([(item.name, item.load) for item in batch])

    scored = cache.remember(score_items) if cache else score_items

    def work(batch: list[tuple[Item, Score | None]]) -> list[Score]:
        fresh = iter(scored([item for item, old in batch if old is None]))
        return [old or next(fresh) for _, old in batch]

    pairs = _with_finished(items, iter(finished))
    return ordered(work, pairs, threads or usable_cpus(), predictor.batch_size)


def _with_overlays(predictor: Predictor, batch: list[Item], folder: Path) -> list[Score]:
    from maskspot.overlays import save_overlay

    images = [(item.name, functools.cache(item.load)) for item in batch]
    scores = predictor.predict_batch(images, heatmap=True)
    for (_, load), score in zip(images, scores, strict=True):
        if score.heatmap is not None:
            save_overlay(open_rgb(load(), predictor.max_pixels), score, folder)
    return scores


def _with_finished(
    items: Iterable[Item], finished: Iterator[Score]
) -> Iterator[tuple[Item, Score | None]]:
    for item in items:
        old = next(finished, None)
        if old and old.source != item.name:
            raise UsageError(
                f"--resume: {item.name} is where the stopped run had {old.source}: give it the "
                "same images, or start anew with --no-resume"
            )
        yield item, old if old and old.error is None else None
    if (old := next(finished, None)) is not None:
        raise UsageError(
            f"--resume: {old.source}, which the stopped run had, is gone: give it the same "
            "images, or start anew with --no-resume"
        )
