"""Measure probabilities that you have as arrays; needs numpy alone, and no model.

python examples/evaluate_arrays.py
"""

import numpy as np

import maskspot


def main() -> None:
    """Compare two sets of probabilities for the same images, with 95 % intervals."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 500)
    noise = rng.normal(size=(2, 500))
    good, better = 1 / (1 + np.exp(-(2 * targets - 1) * np.array([[1], [3]]) - noise))
    found = maskspot.evaluate(targets, better, against=good)
    for name in ("log_loss", "accuracy", "auc", "brier"):
        each = getattr(found.quality, name)
        print(f"{name} {each.value:.4f} ({each.low:.4f} to {each.high:.4f})")
    assert found.comparison
    difference = found.comparison.log_loss
    print(f"log loss less the other's {difference.value:.4f} (to {difference.high:.4f})")


if __name__ == "__main__":
    main()
