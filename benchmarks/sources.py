"""Measure a recipe on photos of sources that it has not seen.

    python benchmarks/sources.py RUN DATA... [--images 500] [--views views.npz]

RUN is a finished run of `maskspot train DATA... --folds K --group source`. Each image is judged
by the network that has not seen its source, once as a whole and once with windows, combined as
in `export --windows`; combination and calibration are fitted on the other folds. False alarms
are images without a mask whose probability is above one half. `--images` and `--views` are those
of windows.py.
"""

import argparse
from pathlib import Path

import numpy as np
from measuring import table
from numpy.typing import NDArray
from windows import Floats, Seen, load, out_of_fold

from maskspot.datasets.facts import read_fact
from maskspot.datasets.labels import read_folders
from maskspot.evaluation.calibration import prior_weights
from maskspot.evaluation.metrics import auc, log_loss
from maskspot.exporting.windows import Windows


def main() -> None:
    """Print a table for the whole image, and one with windows."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("run", type=Path)
    words.add_argument("data", type=Path, nargs="+")
    words.add_argument("--images", type=int)
    words.add_argument("--views", type=Path)
    words.add_argument("--column", default="source")
    given = words.parse_args()
    seen = load(given.run, given.views, given.images)
    items = read_folders(given.data)
    facts = dict(
        zip([item.name for item in items], read_fact(given.column, given.data, items), strict=True)
    )
    sources = np.array([facts[name] for name in seen.names])
    print("whole image\n" + table_of(seen, sources, out_of_fold(seen, seen.whole[:, None])))
    both = out_of_fold(seen, views(seen))
    print("\nwith windows\n" + table_of(seen, sources, both))


def views(seen: Seen) -> dict[Windows, Floats]:
    """Return the logit of the whole image beside that of each choice of windows."""
    choices = Windows.choices(256)
    cells = seen.cells[choices[0].size]
    return {each: np.stack([seen.whole, each.maximum(cells)], 1) for each in choices}


def table_of(seen: Seen, sources: NDArray[np.str_], p: NDArray[np.float64]) -> str:
    """Return a Markdown table: all images, then each source, the largest first."""
    names, counts = np.unique(sources, return_counts=True)
    order = names[np.argsort(-counts)]
    rows = [("all", np.ones(len(p), bool)), *((name, sources == name) for name in order)]
    header = ["", "images", "masks", "log loss", "accuracy", "AUC", "false alarms"]
    lines = [[name, *numbers(seen.targets[at], p[at])] for name, at in rows]
    weights = prior_weights(seen.targets, 0.5)
    even = -(weights @ np.log(np.where(seen.targets == 1, p, 1 - p))) / len(p)
    return table(header, lines) + f"\n\nlog loss with both classes in equal parts: {even:.4f}"


def numbers(t: NDArray[np.float64], p: NDArray[np.float64]) -> list[str]:
    """Return the cells of a row."""
    both = 0 < t.mean() < 1
    alarms = f"{(p[t == 0] > 0.5).mean():.2%}" if (t == 0).any() else ""  # noqa: PLR2004
    right = ((p > 0.5) == (t == 1)).mean()  # noqa: PLR2004
    return [
        *(str(len(t)), str(int(t.sum())), f"{log_loss(t, p):.4f}", f"{right:.4f}"),
        *(f"{auc(t, p):.4f}" if both else "one class", alarms),
    ]


if __name__ == "__main__":
    main()
