"""The report of `predict`: probabilities and heatmaps of the images."""

from collections.abc import Iterable, Iterator

import numpy as np

from maskspot.model.score import Score
from maskspot.reporting import plots
from maskspot.reporting.album import Album, Picture
from maskspot.reporting.page import Card, Group, ReportPage
from maskspot.reporting.parts import card_of, left_out, model_parts

NAMED = 1000
"""Number of images that could not be read which a report names."""


class PredictionReport:
    """Collects the content of a report while images are scored, in bounded memory."""

    def __init__(self, threshold: float = 0.5) -> None:
        """Start without images.

        Args:
            threshold: probability from which an image counts as a mask.
        """
        self._threshold = threshold
        self._masks = self._failed = 0
        self._bins = np.zeros(plots.BINS, np.int64)
        self._failures: list[tuple[str, str]] = []
        self._album = Album()
        self.watch = self._album.add_by_uncertainty

    def count(self, scores: Iterable[Score]) -> Iterator[Score]:
        """Yield the scores, and count them."""
        for score in scores:
            if score.probability is None:
                self._failed += 1
                if len(self._failures) < NAMED:
                    self._failures.append((score.source, score.error or ""))
            else:
                self._bins += plots.binned(np.array([score.probability]))
                self._masks += score.probability >= self._threshold
            yield score

    def page(self, model: str) -> ReportPage:
        """Return the report.

        Args:
            model: the model that scored the images.
        """
        scored, at = int(self._bins.sum()), self._threshold
        rows, card = model_parts(model)
        cards = [self._card(each) for each in self._album.pictures()]
        return ReportPage(
            title="Face masks",
            lead=f"The probability that each image shows at least one, by {dict(rows)['model']}."
            + left_out(len(cards), scored, "least certain"),
            facts=[
                ("images scored", f"{scored:,}", ""),
                ("with a mask", f"{self._masks:,}", f"at probability {at:g} or above"),
                ("not scored", f"{self._failed:,}", ""),
            ],
            plots=[plots.histogram([("images", self._bins)])] if scored else [],
            groups=[
                Group("mask", "counted as a mask", self._masks),
                Group("none", "counted as no mask", scored - self._masks),
            ],
            cards=cards,
            orders=("probable", "improbable", "uncertain", "given"),
            failures=self._failures,
            failed=self._failed,
            model=rows,
            card=card,
        )

    def _card(self, picture: Picture) -> Card:
        assert picture.score.probability is not None
        group = "mask" if picture.score.probability >= self._threshold else "none"
        return card_of(picture, group)
