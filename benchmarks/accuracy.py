"""How good is a submission? Metrics with 95 % bootstrap intervals, whole and by slice.

python benchmarks/accuracy.py test_labels.csv sub.csv [--slices sources.csv kind source]
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskspot.evaluation.metrics import accuracy, auc, log_loss

METRICS: dict[str, Callable[..., float]] = {"accuracy": accuracy, "log loss": log_loss, "AUC": auc}
DRAWS = 2000


def read(file: Path, column: int = 1) -> dict[str, str]:
    """Return a CSV's first column to another."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return {row[0]: row[column] for row in list(csv.reader(stream))[1:]}


def interval(metric: Callable[..., float], t: NDArray[np.float64], p: NDArray[np.float64]) -> str:
    """Return a metric with the 2.5 and 97.5 percentiles of its bootstrap (images redrawn)."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(t), (DRAWS, len(t)))
    low, high = np.nanpercentile([metric(t[row], p[row]) for row in rows], [2.5, 97.5])
    return f"{metric(t, p):.4f} ({low:.4f} to {high:.4f})"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("submission", type=Path)
    parser.add_argument("--slices", nargs="+", default=[], metavar=("CSV", "COLUMN"))
    options = parser.parse_args()
    targets, probabilities = read(options.labels), read(options.submission)
    slices = {"all": list(targets)}
    if options.slices:
        file, *columns = options.slices
        with Path(file).open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream))
        for column in columns:
            values = read(Path(file), header.index(column))
            for value in sorted({values[name] for name in targets}):
                slices[f"{column}: {value}"] = [n for n in targets if values[n] == value]
    print("| | images | masks |", " | ".join(METRICS), "|")
    print("|---|---|---|" + "---|" * len(METRICS))
    for label, names in slices.items():
        t = np.array([float(targets[name]) for name in names])
        p = np.array([float(probabilities[name]) for name in names])
        figures = [
            "one class" if metric is auc and len(set(t)) == 1 else interval(metric, t, p)
            for metric in METRICS.values()
        ]
        print(f"| {label} | {len(t)} | {t.sum():.0f} |", " | ".join(figures), "|")


if __name__ == "__main__":
    main()
