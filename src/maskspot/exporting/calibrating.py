"""What an export fits on held-back images: the calibration, and how windows are combined."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from maskspot.cpus import usable_cpus
from maskspot.csv_tables import read_rows
from maskspot.datasets.labels import Labelled, read_folders
from maskspot.errors import DataError, ImageError, UsageError
from maskspot.evaluation.calibration import Calibration, bounds_for, fit, prior_weights, quality
from maskspot.evaluation.logistic import newton, sigmoid
from maskspot.evaluation.metrics import summary
from maskspot.exporting.convert import convert_views
from maskspot.exporting.graph import open_session
from maskspot.exporting.heatmap import CELLS
from maskspot.exporting.options import ExportOptions
from maskspot.exporting.windows import WHOLE, Windows
from maskspot.images import Preprocessing
from maskspot.model.info import INPUT, ModelInfo
from maskspot.training import network
from maskspot.training.run import Run

LEAST_IMAGES = 100
"""Minimum number of held-back images for calibration; with fewer it would fit their noise."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """What an export fits on held-back images.

    Attributes:
        calibration: of the logits.
        facts: what the model file says of the calibration; empty if there is none.
        metrics: of the calibrated probabilities.
        windows: how windows are combined; None if the network does not look at windows.
    """

    calibration: Calibration
    facts: Mapping[str, Any]
    metrics: Mapping[str, float]
    windows: Windows | None = None


def fit_calibration(run: Run, options: ExportOptions) -> Fitted:
    """Fit the calibration of a network on the predictions of its run, or of another one.

    Raises:
        DataError: the other run is not finished, or has too few images.
        UsageError: it is of another network.
    """
    calibration, facts = Calibration(), dict[str, Any]()
    if options.calibrate:
        source = _source(run, options)
        calibration, facts = calibrate(*source.read_predictions(), source, options)
    targets, probabilities = run.read_predictions()
    return Fitted(calibration, facts, summary(targets, calibration.apply(probabilities)))


def fit_views(run: Run, info: ModelInfo, options: ExportOptions) -> Fitted:
    """Fit how windows are combined with the whole image, and the calibration of the result.

    Every image is predicted by the network that held it back.

    Raises:
        DataError: the run to calibrate on is not finished, or has too few readable images.
        UsageError: it is of another network.
    """
    size, source = run.settings.size, _source(run, options)
    windows = Windows.of(size)
    large = replace(info.preprocessing, size=windows.size)
    seen = [
        view_logits(
            convert_views(network.load(each.kept()), info, windows.size), held_back(each), large
        )
        for each in source.fold_runs() or [source]
    ]
    targets, whole, cells = (np.concatenate(each) for each in zip(*seen, strict=True))
    if len(targets) >= LEAST_IMAGES:
        windows = fit_windows(size, targets, whole, cells, options.prior)
    probabilities = sigmoid(windows.combine(whole, cells))
    calibration, facts = Calibration(), dict[str, Any]()
    if options.calibrate:
        calibration, facts = calibrate(targets, probabilities, source, options)
    metrics = summary(targets, calibration.apply(probabilities))
    return Fitted(calibration, facts, metrics, windows)


def _source(run: Run, options: ExportOptions) -> Run:
    """Return the run whose held-back images are used."""
    if options.calibration is None:
        return run
    source = Run.open(options.calibration)
    if source.metrics() is None:
        raise DataError(f"{source.folder}: not finished", argument="calibration")
    ours, theirs = run.settings, source.settings
    if (ours.backbone, ours.size) != (theirs.backbone, theirs.size):
        raise UsageError(
            f"{source.folder} is of {theirs.backbone} at {theirs.size} pixels, {run.folder} of "
            f"{ours.backbone} at {ours.size}: choose a run of the same network",
            argument="calibration",
        )
    return source


def calibrate(
    targets: Sequence[float] | Floats,
    probabilities: Sequence[float] | Floats,
    source: Run,
    options: ExportOptions,
) -> tuple[Calibration, dict[str, Any]]:
    """Fit scale, bias and bound on held-back images.

    Args:
        targets: 0 or 1, (N,).
        probabilities: of the network, (N,).
        source: the run that held the images back.
        options: of the export.

    Returns:
        The calibration, and the metadata of the file; neutral and empty if there are fewer than
        `LEAST_IMAGES` images, or only one class.

    Raises:
        DataError: there are too few images, and the options name the run to calibrate on.
    """
    if len(targets) < LEAST_IMAGES or len(set(targets)) == 1:
        if options.calibration is None:
            return Calibration(), {}
        raise DataError(
            f"{source.folder} has {len(targets)} held-back images; at least {LEAST_IMAGES} of "
            "both classes are needed",
            argument="calibration",
        )
    calibration = fit(targets, probabilities, options.prior, bounds_for(len(targets)))
    return calibration, {
        **asdict(calibration),
        "prior": options.prior,
        "run": source.folder.resolve().name,
        "images": len(targets),
        "before": quality(targets, probabilities),
        "after": quality(targets, calibration.apply(probabilities)),
    }


def held_back(run: Run) -> list[Labelled]:
    """Return the labelled images that a run without folds, or a fold, held back.

    Raises:
        DataError: the data are missing.
    """
    names = {row[0] for row in read_rows(run.folder / "validation.csv")[1]}
    return [item for item in read_folders(run.data, run.settings.layout) if item.name in names]


def view_logits(
    views: onnx.ModelProto, items: Sequence[Labelled], preprocessing: Preprocessing
) -> tuple[Floats, Floats, Floats]:
    """Return targets (N,), logits of whole images (N,), and of the cells of the map (N, h, w).

    Unreadable images are left out.

    Args:
        views: of `windows.views_of`.
        items: labelled images.
        preprocessing: how they become the larger input.

    Raises:
        DataError: there are no readable images.
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
        raise DataError("windows: no held-back image of the run is readable")
    targets, whole, cells = (np.array(each, np.float64) for each in zip(*seen, strict=True))
    return targets, whole, cells


def fit_windows(size: int, targets: Floats, whole: Floats, cells: Floats, prior: float) -> Windows:
    """Return those of `Windows.choices` with the lowest log loss on held-back images.

    Args:
        size: side of the network's own input.
        targets: 0 or 1, (N,).
        whole: logits of the whole images, (N,).
        cells: logits of the cells of their maps, (N, h, w).
        prior: share of images with masks, by which images are weighted.
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
