"""Decoding alone and the network alone, each on all cores: what no pipeline can beat together.

Writes JSON: images per second of each. Imports and loading are not counted: a ceiling has none.
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
    """Return what the work gives, and how much a second."""
    list(pool.map(work, on[: 4 * cpus()]))  # first uses load codecs and touch memory
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
