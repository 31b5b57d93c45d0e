"""Draw the reliability diagram of a submission.

python benchmarks/calibration.py test_labels.csv sub.csv calibration.png
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from maskspot.datasets.labels import Layout, read_labels
from maskspot.evaluation.calibration import ece, reliability
from maskspot.evaluation.prediction_files import read_predictions

BINS = 10


def main() -> None:
    """Write the plot, and print the expected calibration error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("labels", type=Path)
    parser.add_argument("submission", type=Path)
    parser.add_argument("plot", type=Path)
    given = parser.parse_args()
    labels = read_labels(given.labels, Layout())
    said = read_predictions(given.submission, labels, given.labels)
    targets = np.array(list(labels.values()), dtype=np.float64)
    probabilities = np.array(list(said.values()), dtype=np.float64)
    error = ece(targets, probabilities)
    mpl.use("agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(
        2, sharex=True, figsize=(5, 6), height_ratios=(3, 1), layout="constrained"
    )
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    found = reliability(targets, probabilities, BINS)
    reach = [(found.share - found.low).clip(0), (found.high - found.share).clip(0)]
    label = f"one of {len(found.images)} equal parts"
    above.errorbar(found.probability, found.share, reach, marker="o", capsize=3, label=label)
    above.set(ylabel="share with a mask", ylim=(-0.03, 1.03))
    above.set_title(f"{len(targets)} photos, expected calibration error {error:.3f}")
    above.legend()
    below.hist(probabilities, bins=20, range=(0, 1))
    below.set(xlabel="probability", ylabel="photos", yscale="log")
    figure.savefig(given.plot, dpi=100)
    print(f"expected calibration error {error:.4f}")


if __name__ == "__main__":
    main()
