"""Where does the heatmap point? Into a box of a mask, for how many of the images that show one?

    python benchmarks/pointing.py DATA... -m MODEL... [--only validation.csv...]

Of each folder's images that boxes.csv boxes a mask in and that the model rightly finds masked: is
the peak of the heatmap, as overlays and reports show it, inside a mask's box, grown by half its
size? And the middle of the raw heatmap's largest cell? `--only` names, for each model, a CSV whose
first column has the images that it has not learned from: the validation.csv of a run or of a fold.
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

GROWN = 0.5  # of a box's width and height, on all sides together


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
    """Return which points, as shares of width and height, are in the grown box of a mask."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    for left, top, right, bottom in boxes.corners[boxes.masked]:
        wide, high = (right - left) * GROWN / 2, (bottom - top) * GROWN / 2
        across = (x >= left - wide) & (x <= right + wide)
        inside |= across & (y >= top - high) & (y <= bottom + high)
    return inside


if __name__ == "__main__":
    main()
