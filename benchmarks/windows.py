"""Measure what a second look is worth: log loss out of fold against time, by size and windows.

    python benchmarks/windows.py RUN [--images 500] [--views views.npz] [--plot windows.png]

RUN is a finished run with folds, preferably by source. For each image, the network that has not
seen it looks at the whole image and, at each size, at the cells of its map. How views are
combined and calibrated is fitted on the other folds. `--images` limits the images of each fold,
drawn at random; `--views` stores what the networks computed, so that another table takes
seconds. Log loss weights both classes equally.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measuring import table
from numpy.typing import NDArray

from maskspot.cpus import usable_cpus
from maskspot.datasets.labels import Labelled
from maskspot.evaluation.calibration import Calibration, bounds_for, fit, prior_weights
from maskspot.evaluation.logistic import newton, sigmoid
from maskspot.evaluation.metrics import auc
from maskspot.exporting.build import model_info
from maskspot.exporting.calibrating import held_back
from maskspot.exporting.convert import convert
from maskspot.exporting.graph import compose, open_session
from maskspot.exporting.windows import TEMPERATURES, soft_maximum
from maskspot.images import Preprocessing
from maskspot.model.info import HEATMAP, INPUT, OUTPUT
from maskspot.training import network
from maskspot.training.run import Run

SIZES = (384, 448, 512)
WINDOWS = (0.3, 0.45, 0.57, 0.7, 0.85)
"""Sides of windows, as shares of the side of the map."""

PLAIN = ("names", "targets", "folds", "whole")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What networks compute for images that they have not seen.

    Attributes:
        names: of the images, (N,).
        targets: 0 or 1, (N,).
        folds: which network judged each, (N,).
        whole: its logit of the whole image, (N,).
        cells: its logit of each cell at each size, (N, G, G).
        milliseconds: a pass at each size takes, the network's own first.
    """

    names: NDArray[np.str_]
    targets: Floats
    folds: NDArray[np.intp]
    whole: Floats
    cells: dict[int, Floats]
    milliseconds: dict[int, float]


class Row(NamedTuple):
    """A combination of views: passes, milliseconds, log loss, accuracy and AUC."""

    view: str
    windows: str
    numbers: tuple[float, ...]


def main() -> None:
    """Print the table, and draw the plot."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("run", type=Path)
    words.add_argument("--images", type=int)
    words.add_argument("--views", type=Path)
    words.add_argument("--plot", type=Path)
    given = words.parse_args()
    seen = load(given.run, given.views, given.images)
    rows = list(entries(seen))
    names = ["view", "windows", "passes", "ms", "log loss", "accuracy", "AUC"]
    cells = [[row.view, row.windows, *(f"{each:.4g}" for each in row.numbers)] for row in rows]
    print(table(names, cells))
    if given.plot:
        draw(rows, given.plot)


def load(folder: Path, kept: Path | None, images: int | None = None) -> Seen:
    """Return what the networks compute, read from an earlier call's file if it exists."""
    if kept and kept.is_file():
        found = np.load(kept)
        cells = {size: found[f"cells-{size}"].astype(np.float64) for size in SIZES}
        times = {size: float(found[f"ms-{size}"]) for size in (0, *SIZES)}
        names, targets, folds, whole = (found[name] for name in PLAIN)
        return Seen(names, targets, folds, whole, cells, times)
    seen = look(Run.open(folder), images)
    if kept:
        arrays: dict[str, Any] = {
            f"cells-{size}": cells.astype(np.float32) for size, cells in seen.cells.items()
        }
        arrays |= {f"ms-{size}": np.float64(ms) for size, ms in seen.milliseconds.items()}
        arrays |= {name: getattr(seen, name) for name in PLAIN}
        np.savez_compressed(kept, allow_pickle=False, **arrays)
    return seen


def look(run: Run, images: int | None = None) -> Seen:
    """Run each fold's network on images that it has not seen, on all or on some of them."""
    found = [_look(fold, number, images) for number, fold in enumerate(run.fold_runs())]
    names, targets, folds, whole = (
        np.concatenate([getattr(each, name) for each in found]) for name in PLAIN
    )
    cells = {size: np.concatenate([each.cells[size] for each in found]) for size in SIZES}
    return Seen(names, targets, folds, whole, cells, found[0].milliseconds)


def _look(fold: Run, number: int, images: int | None) -> Seen:
    model, info = network.load(fold.kept()), model_info(fold, "fold")
    sizes = (info.preprocessing.size, *SIZES)
    sessions: dict[int, tuple[Any, Preprocessing]] = {}
    for size in sizes:
        shown = replace(info, preprocessing=replace(info.preprocessing, size=size))
        proto = compose([convert(model, size, info)], shown, Calibration(), False)
        sessions[size] = open_session(proto), shown.preprocessing
    bias = float(model.get_layer("logit").get_weights()[1][0])

    def views(item: Labelled) -> list[Floats]:
        maps = []
        for session, preprocessing in sessions.values():
            pixels = preprocessing.read(item.path)[None]
            (heatmap,) = session.run([HEATMAP], {INPUT: pixels})
            maps.append(heatmap[0].astype(np.float64) * heatmap[0].size + bias)
        return maps

    items = held_back(fold)
    if images is not None:
        rows = np.random.default_rng(0).permutation(len(items))[:images]
        items = [items[row] for row in rows]
    with ThreadPoolExecutor(usable_cpus()) as pool:
        maps = list(zip(*pool.map(views, items), strict=True))
    whole, *rest = (np.stack(each) for each in maps)
    times: dict[int, float] = {}
    for size, (session, _) in sessions.items():
        blank = {INPUT: np.zeros((1, size, size, 3), np.uint8)}
        taken = []
        for _ in range(20):
            started = time.perf_counter()
            session.run([OUTPUT], blank)
            taken.append(1000 * (time.perf_counter() - started))
        times[size if size != sizes[0] else 0] = float(np.median(taken))
    return Seen(
        np.array([item.name for item in items]),
        np.array([item.target for item in items], np.float64),
        np.full(len(items), number),
        whole.mean((1, 2)),
        dict(zip(SIZES, rest, strict=True)),
        times,
    )


def entries(seen: Seen) -> Iterator[Row]:
    """Yield a row for the whole image, and one for each size and side of windows."""
    short = seen.milliseconds[0]
    yield Row("whole at 256", "", (1.0, short, *quality(seen, seen.whole[:, None])))
    for size, cells in seen.cells.items():
        grid, passes, long = cells.shape[1], (size / 256) ** 2, seen.milliseconds[size]
        everything = cells.mean((1, 2))[:, None]
        yield Row(f"whole at {size}", "", (passes, long, *quality(seen, everything)))
        for share in WINDOWS:
            side = max(1, round(share * grid))
            step = max(1, side // 4)
            parts = windows_of(cells, side, step)
            label = f"{side} of {grid}, step {step}"
            alone = quality(seen, whole_and(None, parts))
            yield Row(f"windows at {size}", label, (passes, long, *alone))
            both = quality(seen, whole_and(seen.whole, parts))
            yield Row(f"both, {size}", label, (1 + passes, short + long, *both))


def windows_of(cells: Floats, side: int, step: int) -> Floats:
    """Return the means of windows, (N, K)."""
    seen = np.lib.stride_tricks.sliding_window_view(cells, (side, side), axis=(1, 2))
    return np.asarray(seen[:, ::step, ::step].mean((-1, -2)).reshape(len(cells), -1))


def whole_and(whole: Floats | None, parts: Floats) -> dict[float, Floats]:
    """Return the features at each temperature: the soft maximum and the whole image."""
    maxima = {each: soft_maximum(parts, each) for each in TEMPERATURES}
    return {
        each: found[:, None] if whole is None else np.stack([whole, found], 1)
        for each, found in maxima.items()
    }


def quality(seen: Seen, features: Floats | Mapping[Any, Floats]) -> tuple[float, float, float]:
    """Return log loss, accuracy and AUC out of fold, fitted on the other folds."""
    p = out_of_fold(seen, features)
    weights = prior_weights(seen.targets, 0.5)
    right = np.where(seen.targets == 1, p, 1 - p)
    loss = -(weights @ np.log(right)) / len(p)
    return float(loss), float(weights @ (right > 0.5)) / len(p), auc(seen.targets, p)  # noqa: PLR2004


def out_of_fold(seen: Seen, features: Floats | Mapping[Any, Floats]) -> Floats:
    """Return probabilities, (N,), combined and calibrated on the other folds."""
    choices = features if isinstance(features, Mapping) else {1.0: features}
    result = np.empty(len(seen.targets))
    for fold in np.unique(seen.folds):
        rest, out = seen.folds != fold, seen.folds == fold
        t, weights = seen.targets[rest], prior_weights(seen.targets[rest], 0.5)
        fitted = []
        for x in choices.values():
            inputs = np.column_stack([x, np.ones(len(x))])
            prior = np.array([*([1 / x.shape[1]] * x.shape[1]), 0.0])
            w = newton(inputs[rest], t, prior, 0 * t, weights)
            margin = inputs @ w
            loss = weights @ (np.logaddexp(0, margin[rest]) - t * margin[rest])
            fitted.append((loss, margin))
        margin = min(fitted, key=lambda each: each[0])[1]
        said = sigmoid(margin)
        result[out] = fit(t, said[rest], 0.5, bounds_for(len(t))).apply(said[out])
    return result


def draw(rows: Sequence[Row], file: Path) -> None:
    """Plot log loss against milliseconds."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for kind, marker in (("whole", "o"), ("windows", "s"), ("both", "^")):
        chosen = np.array([row.numbers for row in rows if row.view.startswith(kind)])
        axes.scatter(chosen[:, 1], chosen[:, 2], marker=marker, label=kind)
    axes.set(xlabel="milliseconds an image, one core", ylabel="log loss out of fold")
    axes.legend()
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    main()
