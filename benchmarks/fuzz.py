"""Check that no damaged image file crashes or hangs maskspot.

    python benchmarks/fuzz.py [--count 200000] [--first 0] [--seed 0] [--workers 1] [--json FILE]

Small drawn files of every format, damaged in a way that their number determines, go through
`maskspot.scoring.pipeline.score`. Each file must give exactly one row in its place, with a
probability or a reason. A worker fails on a file if it dies, is silent for longer than `--hang`
seconds or needs more than `--memory` MB; that file is identified and saved in `--save`. The exit
code is 1 if any file failed.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from fuzzing import mutant, seeds
from measuring import report, table

BATCH = 250
TOGETHER = 6
"""A batch may take this many times longer than a file before its files are tried one by one."""


@dataclass
class Tally:
    """Counts files by format and status, and keeps which failed and why."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)
    peak: float = 0


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-m", "--model", default="fast", help="model file or name")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--hang", type=float, default=20, help="seconds that a file may take")
    parser.add_argument("--memory", type=float, default=3000, help="MB that a worker may use")
    parser.add_argument("--save", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def work(model: str, seed: int, tasks: Connection) -> None:
    """Score files by number until there are no more; runs in a separate process."""
    from maskspot import load
    from maskspot.inputs.items import Item
    from maskspot.scoring.pipeline import score

    predictor = load(model)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries print warnings there
    tasks.send("ready")
    while (numbers := tasks.recv()) is not None:
        mutants = [mutant(seed, number) for number in numbers]
        items = [
            Item(str(number), partial(bytes, content))
            for number, (_, content) in zip(numbers, mutants, strict=True)
        ]
        try:
            scores = list(score(predictor, items, threads=1))
        except Exception as error:
            tasks.send((f"raised {type(error).__name__}: {error}", [], 0.0))
            continue
        fault = ""
        if [each.source for each in scores] != [item.name for item in items]:
            fault = "rows are not one for each file, in order"
        elif any((each.probability is None) != bool(each.error) for each in scores):
            fault = "a row has neither probability nor reason, or both"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        kinds = [kind for kind, _ in mutants]
        rows = [(kind, each.status) for kind, each in zip(kinds, scores, strict=False)]
        tasks.send((fault, rows, peak))


class Worker:
    """A process that scores, and is replaced when it fails."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._tasks, theirs = context.Pipe()
        self._process = context.Process(
            target=work, args=(self._given.model, self._given.seed, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        if self._tasks.recv() != "ready":
            sys.exit("a worker did not start")

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()

    def give(self, numbers: list[int]) -> None:
        """Send it files to score."""
        self._tasks.send(numbers)
        self._patience = self._given.hang * (1 if len(numbers) == 1 else TOGETHER)

    def take(self, tally: Tally) -> str:
        """Wait for the answer and count it; return what failed, or an empty string."""
        fault = ""
        try:
            if self._tasks.poll(self._patience):
                fault, rows, peak = self._tasks.recv()
                tally.peak = max(tally.peak, peak)
                if peak > self._given.memory:
                    fault = fault or f"{peak:.0f} MB of memory"
                if not fault:
                    tally.rows.update(rows)
                    return ""
            else:
                fault = f"no answer within {self._patience} seconds"
        except (EOFError, OSError):
            self._process.join()
            fault = f"the process died with {self._process.exitcode}"
        self.stop()
        self._start()
        return fault


def find_fault(worker: Worker, numbers: list[int], tally: Tally, given: argparse.Namespace) -> None:
    """Score the files of a failed batch one by one, and save those that fail."""
    before = len(tally.failures)
    for number in numbers:
        worker.give([number])
        if fault := worker.take(tally):
            tally.failures.append((number, fault))
            given.save.mkdir(parents=True, exist_ok=True)
            (given.save / f"{given.seed}-{number}").write_bytes(mutant(given.seed, number)[1])
            print(f"file {number}: {fault}", file=sys.stderr, flush=True)
    if len(tally.failures) == before:
        together = f"files {numbers[0]} to {numbers[-1]} failed together, none alone"
        tally.failures.append((numbers[0], together))
        print(together, file=sys.stderr, flush=True)


def fuzz(given: argparse.Namespace, tally: Tally) -> None:
    """Score all files."""
    workers = [Worker(given) for _ in range(given.workers)]
    last = given.first + given.count
    batches = [
        list(range(start, min(start + BATCH, last))) for start in range(given.first, last, BATCH)
    ]
    started = time.perf_counter()
    for at in range(0, len(batches), len(workers)):
        turn = list(zip(workers, batches[at : at + len(workers)], strict=False))
        for worker, numbers in turn:
            worker.give(numbers)
        for worker, numbers in turn:
            if fault := worker.take(tally):
                print(f"{numbers[0]} to {numbers[-1]}: {fault}", file=sys.stderr, flush=True)
                find_fault(worker, numbers, tally, given)
        if at % 40 == 0:
            rate = tally.rows.total() / (time.perf_counter() - started)
            print(f"{tally.rows.total():,} files, {rate:.0f}/s", file=sys.stderr, flush=True)
    for worker in workers:
        worker.stop()


def main() -> None:
    """Print the table."""
    given = arguments()
    tally = Tally()
    started = time.perf_counter()
    fuzz(given, tally)
    seconds = time.perf_counter() - started
    statuses = sorted({status for _, status in tally.rows})
    kinds = list(dict.fromkeys(kind for kind, _ in seeds()))
    rows = [[kind, *(f"{tally.rows[kind, each]:,}" for each in statuses)] for kind in kinds]
    sums = [sum(tally.rows[kind, each] for kind in kinds) for each in statuses]
    rows.append(["all", *(f"{number:,}" for number in sums)])
    text = table(("format", *statuses), rows) + (
        f"\n\n{tally.rows.total():,} of {given.count:,} files gave a row each; "
        f"{len(tally.failures)} failures; {given.count / seconds:.0f} files/s; "
        f"peak {tally.peak:.0f} MB"
    )
    figures = {
        "rows": {f"{kind} {status}": count for (kind, status), count in tally.rows.items()},
        "failures": tally.failures,
        "files_per_second": given.count / seconds,
        "peak_mb": tally.peak,
        "seed": given.seed,
        "first": given.first,
    }
    report(text, figures, given.json)
    sys.exit(1 if tally.failures or tally.rows.total() != given.count else 0)


if __name__ == "__main__":
    main()
