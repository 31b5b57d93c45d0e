"""Does the input pipeline keep up? Training from it against training on one batch in memory.

    python benchmarks/pipeline.py CONFIG DATA... [--steps 20] [--rounds 5] [--runs FOLDER]

Takes turns of so many steps of each, and prints images per second and their ratio.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from maskspot.extras import require_train
from maskspot.training.presets import resolve


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="whose cache is used")
    given = parser.parse_args()
    require_train("the benchmark")
    from maskspot.training import network
    from maskspot.training.batches import TrainingBatches
    from maskspot.training.examples import load_examples
    from maskspot.training.losses import compile_network
    from maskspot.training.run import Run

    settings = resolve(
        file=given.config,
        options={"weights": "none", "init": None, "teacher": None, "start_size": 0, "epochs": 999},
    )
    run = Run.create(given.runs / f"benchmark-{time.time():.0f}", settings, given.data)
    examples = load_examples(run)
    batches = TrainingBatches(examples, np.arange(len(examples.targets)), settings)
    model = compile_network(network.build(settings), settings)
    model.make_train_function()
    pipeline = iter(batches.dataset())
    memory = iter(batches.dataset().take(1).cache().repeat())

    def speed(feed: Any) -> float:
        started = time.perf_counter()
        for _ in range(given.steps):
            float(model.train_function(feed)["loss"])
        return float(given.steps * batches.size / (time.perf_counter() - started))

    for feed in (memory, pipeline):
        model.train_function(feed)  # traces the step
    print(
        "| round | in memory, images/s | from the pipeline, images/s | ratio |\n|---|---|---|---|"
    )
    ratios = []
    for number in range(given.rounds):
        ceiling, actual = speed(memory), speed(pipeline)
        ratios.append(actual / ceiling)
        print(f"| {number + 1} | {ceiling:.1f} | {actual:.1f} | {ratios[-1]:.3f} |", flush=True)
    print(f"\nmedian ratio {np.median(ratios):.3f}; run left in {run.folder}")


if __name__ == "__main__":
    main()
