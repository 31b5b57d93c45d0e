"""Measure how often the heatmap's peak lies in the box of a mask.

    python benchmarks/pointing.py DATA... -m MODEL... [--only validation.csv...]

Uses the images with a boxed mask in boxes.csv that the model correctly finds masked. The peak is
the one that overlays and reports show; a hit is inside a mask's box, enlarged by half. The
middle of the largest cell of the raw heatmap is measured too. `--only` names, for each model, a
CSV whose first column has the images that the model was not trained on: the validation.csv of a
run or a fold.
"""

import argparse
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import maskspot
from maskspot.csv_tables import read_rows
from maskspot.datasets.boxes import Boxes, read_boxes
from maskspot.datasets.labels import read_folders
from maskspot.model.heatmaps import peak

GROWN = 0.5  # share that is added to a box's sides


def main() -> None:
    """Print the share, and that of random cells."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("data", nargs="+", type=Path)
    words.add_argument("-m", "--model", nargs="+", default=["default"])
    words.add_argument("--only", type=Path, nargs="+", default=[])
    given = words.parse_args()
    hits: list[bool] = []
    cells: list[bool] = []
    chances: list[float] = []
    for model, file in zip_longest(given.model, given.only):
        predictor = maskspot.load(model)
        only = {row[0] for row in read_rows(file)[1]} if file else None
        images = [item for item in read_folders(given.data) if only is None or item.name in only]
        boxes = read_boxes("boxes.csv", given.data, images, predictor.info.preprocessing)
        for item, found in zip(images, boxes, strict=True):
            if found is None or not found.masked.any():
                continue
            score = predictor.predict(item.path, heatmap=True)
            if score.heatmap is None or score.probability is None or score.probability < 0.5:  # noqa: PLR2004
                continue
            rows, columns = score.heatmap.shape
            x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows)[:, None] + 0.5) / rows
            inside = is_inside(found, x, y)
            cells.append(bool(inside.ravel()[score.heatmap.argmax()]))
            chances.append(float(inside.mean()))
            hits.append(bool(is_inside(found, *map(np.array, peak(score)))))
    print(
        f"{len(hits)} true positives with boxed masks: the peak is inside one in "
        f"{np.mean(hits):.1%}, the largest cell in {np.mean(cells):.1%}; "
        f"a random cell would be in {np.mean(chances):.1%}"
    )


def is_inside(boxes: Boxes, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points, as shares of width and height, are in the enlarged box of a mask."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    for left, top, right, bottom in boxes.corners[boxes.masked]:
        wide, high = (right - left) * GROWN / 2, (bottom - top) * GROWN / 2
        across = (x >= left - wide) & (x <= right + wide)
        inside |= across & (y >= top - high) & (y <= bottom + high)
    return inside


if __name__ == "__main__":
    main()
