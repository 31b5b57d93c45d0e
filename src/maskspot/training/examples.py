"""The labelled images of a run, decoded, with what else is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskspot.datasets.boxes import Boxes, read_boxes
from maskspot.datasets.labels import Labelled, read_folders
from maskspot.errors import DataError
from maskspot.progress import SILENT, Progress
from maskspot.training.balance import balance
from maskspot.training.pixel_cache import load_pixels
from maskspot.training.run import Run


@dataclass(frozen=True)
class Examples:
    """Labelled images, decoded.

    Attributes:
        images: the files and their labels, N of them.
        pixels: as prediction sees them, uint8 (N, S, S, 3).
        targets: 0 or 1, or NaN for images that are left out, float32 (N,).
        source: the pixels that views are cut from, uint8 (N, R, R, 3).
        boxes: face boxes of each image; None where they are unknown.
        weights: of each image in the loss, float32 (N,).
    """

    images: Sequence[Labelled]
    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]
    source: NDArray[np.uint8]
    boxes: Sequence[Boxes | None]
    weights: NDArray[np.float32]

    @classmethod
    def from_pixels(cls, pixels: NDArray[np.uint8], targets: NDArray[np.float32]) -> "Examples":
        """Return examples without files or boxes, whose views are cut from the pixels."""
        ones = np.ones(len(pixels), np.float32)
        return cls([], pixels, targets, pixels, [None] * len(pixels), ones)

    @property
    def usable(self) -> NDArray[np.intp]:
        """Rows of the images that are not left out."""
        return np.flatnonzero(~np.isnan(self.targets))


def load_examples(run: Run, progress: Progress = SILENT) -> Examples:
    """Read a run's labels and decode its images; an unreadable image is left out.

    Raises:
        DataError: the data cannot be used, or have changed since the run was started.
    """
    settings = run.settings
    images = read_folders(run.data, settings.layout)
    masks = sum(item.target for item in images)
    progress.say(f"{len(images)} images: {masks} with a mask, {len(images) - masks} without")
    paths, shown = [item.path for item in images], settings.preprocessing
    pixels = load_pixels(paths, shown, run.cache, progress)
    targets = np.array([item.target for item in images], dtype=np.float32)
    run.pin("images or labels", pixels.key.encode(), targets.tobytes())
    _leave_out(run, images, targets, pixels.errors, progress)
    source = pixels
    if settings.resolution not in (0, settings.size):
        larger = replace(shown, size=settings.resolution)
        source = load_pixels(paths, larger, run.cache, progress)
    weights = np.ones(len(images), np.float32)
    if settings.balance:
        weights = _balanced(run, images, targets, progress)
    boxes = _boxes(run, images)
    return Examples(images, pixels.array, targets, source.array, boxes, weights)


def split(
    targets: NDArray[np.float32], share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split rows into training and validation, stratified by class and seeded.

    Args:
        targets: 0 or 1, or NaN for images that are left out, float32 (N,).
        share: of each class that validates; at least one image on either side.
        seed: of the draw.

    Returns:
        Sorted rows of training and of validation.
    """
    rng = np.random.default_rng(seed)
    held: list[NDArray[np.intp]] = []
    for target in (0, 1):
        rows = rng.permutation(np.flatnonzero(targets == target))
        held.append(rows[: min(max(round(share * len(rows)), 1), len(rows) - 1)])
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(np.flatnonzero(~np.isnan(targets)), validation), validation


def _leave_out(
    run: Run,
    images: Sequence[Labelled],
    targets: NDArray[np.float32],
    errors: dict[int, str],
    progress: Progress,
) -> None:
    """Set the targets of unreadable images to NaN, and list them in `skipped.csv`."""
    for row, reason in sorted(errors.items()):
        targets[row] = np.nan
        progress.warn(f"{images[row].path}: {reason}; left out")
    rows = [(images[row].name, reason) for row, reason in sorted(errors.items())]
    run.write_csv("skipped.csv", ["image", "reason"], rows)
    for target, word in ((1, "with"), (0, "without")):
        if np.count_nonzero(targets == target) < 2:  # noqa: PLR2004
            raise DataError(f"{run.data[0]}: fewer than two readable images {word} a mask")


def _boxes(run: Run, images: Sequence[Labelled]) -> Sequence[Boxes | None]:
    settings = run.settings
    if not settings.boxes:
        return [None] * len(images)
    boxes = read_boxes(settings.boxes, run.data, images, settings.preprocessing)
    contents = (each.corners.tobytes() + each.masked.tobytes() if each else b"-" for each in boxes)
    run.pin("boxes", *contents)
    return boxes


def _balanced(
    run: Run, images: Sequence[Labelled], targets: NDArray[np.float32], progress: Progress
) -> NDArray[np.float32]:
    columns = [name.strip() for name in (run.settings.balance or "").split(",")]
    with progress.step("balancing sources"):
        result = balance(run.data, images, targets, columns)
    progress.say(
        f"sizes, formats and sources predict the label with AUC {result.before:.2f}; "
        f"after weighting {result.after:.2f} (chance 0.50)"
    )
    run.write_json("balance.json", {"before": result.before, "after": result.after})
    return result.weights
