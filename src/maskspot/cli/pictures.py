"""What `maskspot predict` shows of the images that it scores: heatmaps and a report."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from maskspot.model.predictor import Watch
    from maskspot.model.score import Score
    from maskspot.reporting.predictions import PredictionReport


def report_of(file: Path | None, threshold: float | None) -> "PredictionReport | None":
    """Return what collects the report, if there is to be one."""
    if file is None:
        return None
    from maskspot.reporting.predictions import PredictionReport

    return PredictionReport(0.5 if threshold is None else threshold)


def watching(heatmaps: Path | None, page: "PredictionReport | None") -> "Watch | None":
    """Return what sees each image that was scored, if anything is to."""
    watchers: list[Watch] = [page.watch] if page else []
    if heatmaps:
        from maskspot.model.heatmaps import Overlays

        watchers.append(Overlays(heatmaps).save)
    if not watchers:
        return None

    def watch(image: "Image", score: "Score") -> None:
        for each in watchers:
            each(image, score)

    return watch
