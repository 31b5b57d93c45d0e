"""From items to scores: a bounded pipeline that keeps the order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from maskspot.errors import UsageError
from maskspot.images import ImageSource, keep_memory
from maskspot.inputs.items import Item
from maskspot.model.predictor import Watch
from maskspot.model.score import Score
from maskspot.parallel import map_in_order

if TYPE_CHECKING:
    from maskspot.scoring.cache import Cache


class Scorer(Protocol):
    """What scores images: a `Predictor`, or `Processes` that have one each."""

    @property
    def threads(self) -> int:
        """Number of threads that it is fastest with."""

    @property
    def batch_size(self) -> int:
        """Number of images that a thread takes at once."""

    def predict_batch(
        self,
        images: Sequence[tuple[str, ImageSource | Callable[[], ImageSource]]],
        heatmap: bool = False,
        watch: Watch | None = None,
    ) -> list[Score]:
        """Score images as `Predictor.predict_batch` does."""


def score(
    scorer: Scorer,
    items: Iterable[Item | Score],
    *,
    threads: int | None = None,
    cache: "Cache | None" = None,
    heatmap: bool = False,
    watch: Watch | None = None,
) -> Iterator[Score]:
    """Yield a `Score` for each item, in their order, as soon as it is available.

    Each thread reads an image and runs the network on it; both release the GIL, so all cores are
    busy without a queue between stages.

    Args:
        scorer: the model, or processes that have it.
        items: what to score, drawn only as needed, so that memory does not grow with their
            number. A `Score` among them is passed on as it is.
        threads: number of threads; None takes the scorer's.
        cache: scores by content; an image whose score it has is not scored again.
        heatmap: compute where the masks are.
        watch: called from several threads with each image that was scored, and its score; not
            with those that the cache knows.

    Raises:
        ModelFileError: the model fails, or has no heatmap.
    """

    def score_items(batch: list[Item]) -> list[Score]:
        return scorer.predict_batch([(item.name, item.load) for item in batch], heatmap, watch)

    scored = cache.remember(score_items) if cache else score_items

    def work(batch: list[Item | Score]) -> list[Score]:
        fresh = iter(scored([each for each in batch if isinstance(each, Item)]))
        return [each if isinstance(each, Score) else next(fresh) for each in batch]

    threads = threads or scorer.threads
    keep_memory(threads)
    return map_in_order(work, items, threads, scorer.batch_size)


def resumed(
    items: Iterable[Item], finished: Iterable[Score], rescore: bool = False
) -> Iterator[Item | Score]:
    """Yield items, but the score of each that a stopped run scored successfully.

    Args:
        items: all items of the run.
        finished: scores of the stopped run, of the first items and in their order.
        rescore: score all items again; only check that they are the same.

    Raises:
        UsageError: the stopped run was of other items.
    """
    rest = iter(finished)
    for item in items:
        old = next(rest, None)
        if old and old.source != item.name:
            raise UsageError(
                f"{item.name} is where the stopped run had {old.source}; name the same images, "
                "or start over with `resume=False`",
                argument="resume",
            )
        yield old if old and old.error is None and not rescore else item
    if (old := next(rest, None)) is not None:
        raise UsageError(
            f"{old.source}, which the stopped run had, is gone; name the same images, or start "
            "over with `resume=False`",
            argument="resume",
        )
