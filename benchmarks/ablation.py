"""What each part of the recipe is worth: out-of-fold log loss with it and without.

    python benchmarks/ablation.py recipes/ablation.toml DATA... --runs FOLDER

The TOML file has a table `base` of settings and a table `change` of tables of settings, one for
each row. Every row is trained with the base's settings but for its own, on the same folds. A run
that is finished is not repeated. Prints a table; each difference has a 95 % bootstrap interval
over the images (2,000 resamples, paired).
"""

import argparse
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskspot.cli.console import say
from maskspot.exporting.export import export
from maskspot.training.presets import resolve
from maskspot.training.run import Run
from maskspot.training.train import resume, train


def _run(folder: Path, settings: dict[str, Any], data: list[Path]) -> Run:
    if folder.exists():
        return resume(folder, export=export)
    return train(
        data, resolve(options=settings), name=folder.name, runs=folder.parent, export=export
    )


def _losses(run: Run) -> NDArray[np.float64]:
    targets, probabilities = map(np.array, run.read_predictions())
    return np.asarray(-np.log(np.where(targets == 1, probabilities, 1 - probabilities)))


def _row(name: str, metrics: dict[str, Any], losses: Any, base: Any) -> str:
    scores = metrics["validation"]
    cells = [name, *(f"{scores[each]:.4f}" for each in ("log_loss", "accuracy", "auc"))]
    if losses is base:
        return " | ".join([*cells, ""])
    rng = np.random.default_rng(0)
    gains = losses - base
    means = [rng.choice(gains, len(gains)).mean() for _ in range(2000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return " | ".join([*cells, f"{gains.mean():+.4f} ({low:+.4f} to {high:+.4f})"])


def main() -> None:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("plan", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"))
    given = parser.parse_args()
    plan = tomllib.loads(given.plan.read_text(encoding="utf-8"))
    rows, base = [], None
    for name, change in {"base": {}, **plan["change"]}.items():
        folder = given.runs / name.replace(" ", "-")
        run = _run(folder, plan["base"] | change, given.data)
        metrics, losses = run.metrics() or {}, _losses(run)
        base = losses if base is None else base
        rows.append(_row(name, metrics, losses, base))
        say(rows[-1])
    print("| | log loss | accuracy | AUC | log loss against base |\n|---|---|---|---|---|")
    print("\n".join(f"| {row} |" for row in rows))


if __name__ == "__main__":
    main()
