"""From items to scores: bounded, in order, each content once if asked."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from maskspot.errors import UsageError
from maskspot.images import keep_memory
from maskspot.inputs.items import Item
from maskspot.model.predictor import Predictor, Watch
from maskspot.model.score import Score
from maskspot.parallel import map_in_order

if TYPE_CHECKING:
    from maskspot.scoring.cache import Cache
    from maskspot.scoring.processes import Processes


def score(
    predictor: Predictor,
    items: Iterable[Item],
    *,
    threads: int | None = None,
    processes: "Processes | None" = None,
    cache: "Cache | None" = None,
    finished: Iterable[Score] = (),
    heatmap: bool = False,
    watch: Watch | None = None,
    again: bool = False,
) -> Iterator[Score]:
    """Yield a `Score` for each item, in their order, as soon as it is there.

    Each thread reads an image and runs the network on it (both leave Python's lock), so all
    cores are busy with no queue between stages.

    Args:
        predictor: the model.
        items: what to score, drawn only as it is needed: memory does not grow with their number.
        threads: how many; None takes the predictor's own number.
        processes: which score for this one, where nothing is watched or shown.
        cache: scores by content; what is in it is not scored again.
        finished: what a stopped run left, of the first items and in their order; those that went
            well are taken over, and only the others scored again.
        heatmap: show where the masks are, too.
        watch: sees each image that could be scored, and its score, from several threads; not
            those that the cache knows.
        again: score what is finished anew, for `watch` to see it.

    Raises:
        UsageError: what is finished is of other items.
        ModelFileError: the model fails, or has no heatmap.
    """

    def score_items(batch: list[Item]) -> list[Score]:
        images = [(item.name, item.load) for item in batch]
        if processes and not heatmap and not watch:
            return processes.predict_batch(images)
        return predictor.predict_batch(images, heatmap, watch)

    scored = cache.remember(score_items) if cache else score_items

    def work(batch: list[tuple[Item, Score | None]]) -> list[Score]:
        fresh = iter(scored([item for item, old in batch if old is None]))
        return [old or next(fresh) for _, old in batch]

    threads = threads or predictor.threads
    keep_memory(threads)
    return map_in_order(
        work, _with_finished(items, iter(finished), again), threads, predictor.batch_size
    )


def _with_finished(
    items: Iterable[Item], finished: Iterator[Score], again: bool
) -> Iterator[tuple[Item, Score | None]]:
    for item in items:
        old = next(finished, None)
        if old and old.source != item.name:
            raise UsageError(
                f"--resume: {item.name} is where the stopped run had {old.source}: give it the "
                "same images, or start anew with --no-resume"
            )
        yield item, old if old and old.error is None and not again else None
    if (old := next(finished, None)) is not None:
        raise UsageError(
            f"--resume: {old.source}, which the stopped run had, is gone: give it the same "
            "images, or start anew with --no-resume"
        )
