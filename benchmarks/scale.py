"""Compare the speed of Ray's workers with as many threads of the local engine on the same cores.

    python benchmarks/scale.py FOLDER [-m MODEL] [--images 2000] [--workers 1 2] [--json FILE]

Both engines take turns and read the folder's images, repeated up to `--images`, from a Parquet
file of paths. A rate is that of the second half: the time for all images minus the time for half
of them, so that start-up does not count. The cores of Ray's workers also run its scheduler and
store.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from measuring import in_turns, maskspot, median_ratio, report, succeed, table


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of images, without subfolders")
    parser.add_argument("-m", "--model", default="default", help="model file or name")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--partition", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def seconds(given: argparse.Namespace, listing: Path, engine: str, workers: int) -> float:
    """Score the images of a list, and return how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / ("scores" if engine == "ray" else "scores.parquet")
        more = ("--partition", given.partition) if engine == "ray" else ()
        words = ("--from", listing, "-m", given.model, "-o", output, "--threads", workers)
        return succeed(maskspot("predict", *words, "--engine", engine, *more, "-q")).seconds


def main() -> None:
    """Print the table."""
    given = arguments()
    files = sorted(each for each in given.folder.resolve().iterdir() if each.is_file())
    images = [str(files[at % len(files)]) for at in range(given.images)]
    with tempfile.TemporaryDirectory() as temporary:
        lists = {}
        for count in (given.images // 2, given.images):
            lists[count] = Path(temporary) / f"{count}.txt"
            lists[count].write_text("".join(f"{image}\n" for image in images[:count]), "utf-8")
        half, whole = lists.values()

        def rate(engine: str, workers: int) -> float:
            first = seconds(given, half, engine, workers)
            later = seconds(given, whole, engine, workers) - first
            return float((given.images - given.images // 2) / later)

        contenders = {
            (engine, workers): (lambda engine=engine, workers=workers: rate(engine, workers))
            for workers in given.workers
            for engine in ("local", "ray")
        }
        found = in_turns({f"{e}, {w}": call for (e, w), call in contenders.items()}, given.rounds)
    first = found[f"local, {given.workers[0]}"]
    lines = []
    for engine, workers in contenders:
        rates = found[f"{engine}, {workers}"]
        lines.append(
            [
                f"{engine}, {workers}",
                f"{statistics.median(rates):.1f}",
                f"{median_ratio(rates, found[f'local, {workers}']):.3f}",
                f"{median_ratio(rates, first):.2f}",
            ]
        )
    header = ("engine, workers", "images/s", "of local", "of one worker")
    figures: dict[str, Any] = {"rates": found}
    report(table(header, lines), figures, given.json)


if __name__ == "__main__":
    main()
