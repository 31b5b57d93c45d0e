"""Measure decoding alone and the network alone, each on all cores: the limit of any pipeline.

Writes JSON with the images per second of each; imports and loading are not counted.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from common import cpus, find, options, read
from tuned_onnxruntime import open_session


def timed(
    pool: ThreadPoolExecutor, work: Callable[[Any], Any], on: Sequence[Any]
) -> tuple[list[Any], float]:
    """Return the results of the work, and how many a second."""
    list(pool.map(work, on[: 4 * cpus()]))  # the first calls load codecs and allocate memory
    started = time.perf_counter()
    results = list(pool.map(work, on))
    return results, len(on) / (time.perf_counter() - started)


def main() -> None:
    """Measure on a folder."""
    given = options(__doc__)
    session = open_session(given.model)
    with ThreadPoolExecutor(cpus()) as pool:
        pixels, decode = timed(pool, lambda file: read(file, given), find(given.folder))
        _, inference = timed(
            pool, lambda image: session.run(["probability"], {"images": image[None]}), pixels
        )
    rates = {"decode": decode, "inference": inference}
    given.output.write_text(json.dumps(rates), "utf-8")


if __name__ == "__main__":
    main()
