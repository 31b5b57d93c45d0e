"""Check that no work is lost by `kill -9` at random moments followed by `--resume`.

    python benchmarks/kills.py [FOLDER] [--kills 30] [--formats csv jsonl] [-m fast] [--json FILE]

An uninterrupted run gives the expected bytes. Then `--kills` runs are started, killed at a
random moment, and resumed. The output must be identical to the expected one, and its folder must
contain nothing else. Without a folder, 600 JPEGs are drawn. `--repeat` kills each run several
times before it may finish. The exit code is 1 if a run failed.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from measuring import draw, maskspot, report, succeed, table


@dataclass
class Trial:
    """One run that was killed.

    Attributes:
        moments: when it was killed, in seconds from each start.
        beside: how many bytes the killed runs left beside the output.
        resumed: how long the last run took, which went to its end.
        identical: the output has the bytes of an uninterrupted run.
        strays: what else is in the output's folder at the end.
    """

    moments: list[float]
    beside: int
    resumed: float
    identical: bool
    strays: list[str]


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=1, help="kills before a run may finish")
    parser.add_argument("--formats", nargs="+", default=["csv", "jsonl"])
    parser.add_argument("-m", "--model", default="fast", help="model file or name")
    parser.add_argument("--options", nargs="+", default=[], help="for predict, without dashes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def kill_after(command: list[str], seconds: float) -> bool:
    """Start a command and send SIGKILL; return whether it was still running."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        time.sleep(seconds)
        late = process.poll() is not None
        process.kill()
    return not late


def attempt(
    command: list[str], output: Path, expected: bytes, moments: list[float]
) -> Trial | None:
    """Kill at these moments, resume, and compare; None if a kill came too late."""
    for number, moment in enumerate(moments):
        if not kill_after([*command, *(["--resume"] if number else [])], moment):
            return None
    beside = sum(file.stat().st_size for file in output.parent.iterdir())
    resumed = succeed([*command, "--resume"]).seconds
    strays = sorted(file.name for file in output.parent.iterdir() if file != output)
    return Trial(moments, beside, resumed, output.read_bytes() == expected, strays)


def trials(given: argparse.Namespace, folder: Path, kind: str) -> tuple[float, list[Trial]]:
    """Return the duration of an uninterrupted run, and the results of the killed ones."""
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / f"scores.{kind}"
        options = [f"--{option}" for option in given.options]
        command = maskspot("predict", "-q", folder, "-m", given.model, "-o", output, *options)
        succeed(command)
        seconds = succeed(command).seconds
        expected = output.read_bytes()
        done: list[Trial] = []
        while len(done) < given.kills:
            for file in Path(temporary).iterdir():
                file.unlink()
            moments = [
                chance.uniform(0.02, 1) * seconds / given.repeat for _ in range(given.repeat)
            ]
            trial = attempt(command, output, expected, moments)
            if trial is None:
                continue
            done.append(trial)
            well = "identical" if trial.identical and not trial.strays else f"WRONG {trial}"
            print(f"{kind} {len(done)}: {trial.moments} s: {well}", file=sys.stderr, flush=True)
    return seconds, done


def main() -> None:
    """Print the table."""
    given = arguments()
    rows, figures, wrong = [], {}, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder
        if folder is None:
            folder = Path(temporary)
            draw(folder, 600, 320, 240)
        for kind in given.formats:
            seconds, done = trials(given, folder, kind)
            identical = sum(each.identical for each in done)
            strays = sum(bool(each.strays) for each in done)
            wrong += len(done) - identical + strays
            share = statistics.median(each.resumed for each in done) / seconds
            cells = [str(identical), str(strays), f"{seconds:.1f}", f"{share:.2f}"]
            rows.append([kind, str(len(done)), *cells])
            figures[kind] = {"seconds": seconds, "trials": [asdict(each) for each in done]}
    header = ("", "runs killed", "identical", "with strays", "whole run s", "resumed run, share")
    report(table(header, rows), figures, given.json)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
