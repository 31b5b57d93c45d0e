"""What an export fits on held-back images: the calibration, and how windows are combined."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from maskspot.cpus import usable_cpus
from maskspot.csv_tables import read_rows
from maskspot.datasets.labels import Labelled, read_folders
from maskspot.errors import DataError, ImageError, UsageError
from maskspot.evaluation.calibration import Calibration, bounds_for, fit, prior_weights, quality
from maskspot.evaluation.logistic import newton
from maskspot.exporting.graph import open_session
from maskspot.exporting.heatmap import CELLS
from maskspot.exporting.windows import WHOLE, Windows
from maskspot.images import Preprocessing
from maskspot.model.info import INPUT
from maskspot.training.run import Run

LEAST_IMAGES = 100
"""Held-back images below which nothing is calibrated: the few parameters would fit their noise."""

Floats = NDArray[np.float64]


def source_of(run: Run, calibration: Run | None) -> Run:
    """Return the run whose held-back images are fitted on: another one if it is named.

    Raises:
        DataError: it is not finished.
        UsageError: it is of another network than the one to export.
    """
    source = calibration or run
    if source.metrics() is None:
        raise DataError(f"--calibration: {source.folder}: not finished")
    ours, theirs = run.settings, source.settings
    if (ours.backbone, ours.size) != (theirs.backbone, theirs.size):
        raise UsageError(
            f"--calibration: {source.folder} is of {theirs.backbone} at {theirs.size} pixels, "
            f"{run.folder} of {ours.backbone} at {ours.size}: name a run of the same network"
        )
    return source


def calibrate(
    targets: Sequence[float] | Floats,
    probabilities: Sequence[float] | Floats,
    source: Run,
    prior: float,
    required: bool = False,
) -> tuple[Calibration, dict[str, Any]]:
    """Fit scale, bias and bound on held-back images.

    Args:
        targets: 0 or 1, (N,).
        probabilities: of the network, (N,).
        source: the run whose images they are.
        prior: the share of masks that the result is for.
        required: too few images are an error.

    Returns:
        The calibration, and what the model file says of it: nothing where there are fewer than
        `LEAST_IMAGES` images, or of one class only.

    Raises:
        DataError: there are too few images.
    """
    if len(targets) < LEAST_IMAGES or len(set(targets)) == 1:
        if required:
            raise DataError(
                f"--calibration: {source.folder} has {len(targets)} held-back images; it takes "
                f"{LEAST_IMAGES}, of both classes"
            )
        return Calibration(), {}
    calibration = fit(targets, probabilities, prior, bounds_for(len(targets)))
    return calibration, {
        **asdict(calibration),
        "prior": prior,
        "run": source.folder.resolve().name,
        "images": len(targets),
        "before": quality(targets, probabilities),
        "after": quality(targets, calibration.apply(probabilities)),
    }


def held_back(run: Run) -> list[Labelled]:
    """Return the labelled images that a run without folds, or a fold, held back.

    Raises:
        DataError: the data have gone.
    """
    names = {row[0] for row in read_rows(run.folder / "validation.csv")[1]}
    return [item for item in read_folders(run.data, run.settings.layout) if item.name in names]


def view_logits(
    views: onnx.ModelProto, items: Sequence[Labelled], preprocessing: Preprocessing
) -> tuple[Floats, Floats, Floats]:
    """Return targets (N,), logits of whole images (N,), and of the cells of the map (N, h, w).

    Images that cannot be read are left out.

    Args:
        views: of `windows.views_of`.
        items: labelled images.
        preprocessing: how they become the larger input.

    Raises:
        DataError: there are no images, or none can be read.
    """
    session = open_session(views)

    def look(item: Labelled) -> tuple[float, Floats, Floats] | None:
        try:
            pixels = preprocessing.read(item.path)
        except ImageError:
            return None
        whole, cells = session.run([WHOLE, CELLS], {INPUT: pixels[None]})
        return item.target, whole[0, 0], cells[0]

    with ThreadPoolExecutor(usable_cpus()) as pool:
        seen = [each for each in pool.map(look, items) if each is not None]
    if not seen:
        raise DataError("windows: no held-back image of the run can be read again")
    targets, whole, cells = (np.array(each, np.float64) for each in zip(*seen, strict=True))
    return targets, whole, cells


def fit_windows(size: int, targets: Floats, whole: Floats, cells: Floats, prior: float) -> Windows:
    """Return the windows of least log loss on held-back images, of `Windows.choices`.

    Args:
        size: side of the network's own input.
        targets: 0 or 1, (N,).
        whole: logits of the whole images, (N,).
        cells: logits of the cells of their maps, (N, h, w).
        prior: the share of masks that images are weighted to.
    """
    weights, found = prior_weights(targets, prior), []
    for windows in Windows.choices(size):
        if windows.cells > cells.shape[1]:
            continue
        features = np.stack([whole, windows.maximum(cells), np.ones(len(whole))], 1)
        w = newton(features, targets, np.array([0.5, 0.5, 0]), 0 * whole, weights)
        margin = features @ w
        loss = float(weights @ (np.logaddexp(0, margin) - targets * margin))
        share = float(np.clip(w[1] / max(w[0] + w[1], 1e-9), 0, 1))
        found.append((loss, replace(windows, share=share)))
    return min(found, key=lambda each: each[0])[1]
