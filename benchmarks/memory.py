"""Measure whether memory grows with the number of images.

    python benchmarks/memory.py [--counts 2000 100000] [-m fast] [--format csv] [--json FILE]

Prints the peak resident memory of `maskspot predict` on folders of different sizes: hard links
to a hundred small JPEGs, in one folder or in nested folders. The ratio is to the first count of
the same layout. The temporary folder must not be on an in-memory file system.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measuring import Measured, draw, in_turns, maskspot, report, succeed, table

ORIGINALS = 100
FAN = 100


def flat(number: int) -> str:
    """Return the path of an image if all are in one folder."""
    return f"image{number:07}.jpg"


def nested(number: int) -> str:
    """Return the path of an image if no folder has more than a hundred entries."""
    outer, inner = divmod(number // FAN, FAN)
    return f"{outer:03}/{inner:02}/image{number % FAN:02}.jpg"


LAYOUTS: dict[str, Callable[[int], str]] = {"flat": flat, "nested": nested}


def fill(folder: Path, originals: list[Path], count: int, path: Callable[[int], str]) -> None:
    """Make a folder of `count` images."""
    for number in range(count):
        target = folder / path(number)
        if number % FAN == 0:
            target.parent.mkdir(parents=True, exist_ok=True)
        os.link(originals[number % len(originals)], target)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[2000, 100_000])
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=[*LAYOUTS])
    parser.add_argument("-m", "--model", default="fast", help="model file or name")
    parser.add_argument("--format", default="csv", help="format: csv, jsonl or parquet")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    calls = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "originals").mkdir()
        originals = draw(folder / "originals", ORIGINALS, 80, 60)
        for layout in given.layouts:
            for count in given.counts:
                images = folder / f"{layout}{count}"
                fill(images, originals, count, LAYOUTS[layout])
                output = folder / f"output.{given.format}"
                line = maskspot("predict", "-q", images, "-m", given.model, "-o", output)
                calls[layout, count] = partial(succeed, line)
        results: dict[str, list[Measured]] = in_turns(
            {f"{layout} {count:,}": call for (layout, count), call in calls.items()}, given.rounds
        )
    rows, figures = [], {}
    for layout, count in calls:
        rounds = results[f"{layout} {count:,}"]
        peak = max(each.peak for each in rounds)
        first = max(each.peak for each in results[f"{layout} {given.counts[0]:,}"])
        rate = count / min(each.seconds for each in rounds)
        rows.append([f"{count:,}, {layout}", f"{peak:.1f}", f"{peak / first:.3f}", f"{rate:.0f}"])
        figures[f"{layout} {count}"] = {"peak_mb": peak, "images_per_second": rate}
    report(table(("images", "peak MB", "ratio", "images/s"), rows), figures, given.json)


if __name__ == "__main__":
    main()
