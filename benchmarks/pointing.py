"""Where does the heatmap point? Into a box of a mask, for how many of the images that show one?

    python benchmarks/pointing.py DATA... -m MODEL [--only validation.csv]

Of each folder's images that boxes.csv boxes a mask in and that the model rightly finds masked: is
the middle of the heatmap's largest cell inside a mask's box, grown by half its size? `--only` names
a CSV whose first column has the images that the model has not learned from: a run's validation.csv
or oof.csv.
"""

import argparse
from pathlib import Path

import numpy as np

import maskspot
from maskspot.datasets.boxes import read_boxes
from maskspot.datasets.labels import read_folders, read_rows

GROWN = 0.5  # of a box's width and height, on all sides together


def main() -> None:
    """Print the share, and that of random cells."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("data", nargs="+", type=Path)
    words.add_argument("-m", "--model", default="default")
    words.add_argument("--only", type=Path)
    given = words.parse_args()
    predictor = maskspot.load(given.model)
    only = {row[0] for row in read_rows(given.only)[1]} if given.only else None
    images = [item for item in read_folders(given.data) if only is None or item.name in only]
    boxes = read_boxes("boxes.csv", given.data, images, predictor.info.preprocessing)
    hits, chances = [], []
    for item, found in zip(images, boxes, strict=True):
        if found is None or not found.masked.any():
            continue
        score = predictor.predict(item.path, heatmap=True)
        if score.heatmap is None or score.probability is None or score.probability < 0.5:  # noqa: PLR2004
            continue
        rows, columns = score.heatmap.shape
        inside = np.zeros((rows, columns), bool)
        x = (np.arange(columns) + 0.5) / columns
        y = (np.arange(rows)[:, None] + 0.5) / rows
        for left, top, right, bottom in found.corners[found.masked]:
            wide, high = (right - left) * GROWN / 2, (bottom - top) * GROWN / 2
            inside |= (
                (x >= left - wide) & (x <= right + wide) & (y >= top - high) & (y <= bottom + high)
            )
        hits.append(bool(inside.ravel()[score.heatmap.argmax()]))
        chances.append(inside.mean())
    print(
        f"{len(hits)} true positives with boxed masks: the largest cell is inside one in "
        f"{np.mean(hits):.1%}; a random cell would be in {np.mean(chances):.1%}"
    )


if __name__ == "__main__":
    main()
