"""The files that an evaluation reads, as objects. Imports nothing heavy."""

import os
from dataclasses import dataclass
from pathlib import Path

from maskspot.arguments import argument, make_paths, several
from maskspot.errors import UsageError
from maskspot.model.shipped import DEFAULT


@dataclass(frozen=True)
class LabelFiles:
    """The labels of images, and what else is known of these images.

    Attributes:
        labels: CSV of labels, 0 or 1.
        slices: CSV with more columns about the images.
        by: the columns of `slices` to compute the metrics by.
        image_column: column of image names in the CSV of labels, where that cannot be told.
        target_column: column of labels in the CSV of labels, where that cannot be told.

    Raises:
        UsageError: only one of `slices` and `by` is given.
    """

    labels: Path = argument(
        help="CSV of labels, 0 or 1.", metavar="LABELS.CSV", positional=True, show_default=False
    )
    slices: Path | None = argument(
        None, help="CSV with more columns about the images, to slice by.", rich_help_panel="Labels"
    )
    by: tuple[str, ...] = argument(
        (),
        help="Column of that CSV to compute the metrics by; may be given several times.",
        rich_help_panel="Labels",
    )
    image_column: str | None = argument(
        None, help="Column of image names in the CSV of labels.", rich_help_panel="Labels"
    )
    target_column: str | None = argument(
        None, help="Column of labels in the CSV of labels.", rich_help_panel="Labels"
    )

    def __post_init__(self) -> None:
        make_paths(self, "labels", "slices")
        object.__setattr__(self, "by", several(self.by))
        if bool(self.slices) != bool(self.by):
            raise UsageError("`slices` and `by`: a CSV and its columns go together")


@dataclass(frozen=True)
class PredictionSource:
    """Where the probabilities of an evaluation come from: a file, or a model that scores images.

    Attributes:
        predictions: CSV or JSON Lines of probabilities; without it, `model` scores the images.
        model: a model file, or the name of a shipped model.
        against: another model's predictions, to compare with.

    Raises:
        UsageError: both predictions and a model are given.
    """

    predictions: Path | None = argument(
        None,
        help="CSV or JSON Lines of predictions to evaluate, instead of images to score.",
        names=("p", "predictions"),
        rich_help_panel="Predictions",
    )
    model: str | os.PathLike[str] | None = argument(
        None,
        help="Model file, or the name of a shipped model.",
        names=("m", "model"),
        metavar="MODEL",
        show_default=DEFAULT,
        rich_help_panel="Predictions",
    )
    against: Path | None = argument(
        None, help="Another model's predictions, to compare with.", rich_help_panel="Predictions"
    )

    def __post_init__(self) -> None:
        make_paths(self, "predictions", "against")
        if self.predictions and self.model:
            raise UsageError(
                "a model scores images; name images in place of `predictions`", argument="model"
            )
