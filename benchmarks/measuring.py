"""Share code among the benchmarks of prediction: timing in turns, tables, the machine's name.

This module imports nothing heavy and leaves that to other processes: on Linux, the peak memory
of a command includes what the process used before it executed the command.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        peak: its largest resident memory, in MB.
        code: its exit code; of one that a signal ended, minus the signal.
        said: what it wrote, both streams.
    """

    seconds: float
    peak: float
    code: int
    said: str


def maskspot(*arguments: object) -> list[str]:
    """Return a command line for the console script beside this Python, or for the module."""
    script = Path(sys.executable).with_name("maskspot")
    start = [str(script)] if script.is_file() else [sys.executable, "-m", "maskspot"]
    return [*start, *map(str, arguments)]


def run(command: Sequence[object]) -> Measured:
    """Run a command to its end, even if it fails."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)  # reaped by wait4
        said.seek(0)
        text = said.read().decode(errors="replace")
    return Measured(seconds, usage.ru_maxrss * 1024 / 1e6, process.returncode, text)


def succeed(command: Sequence[object]) -> Measured:
    """Run a command that must succeed."""
    measured = run(command)
    if measured.code:
        sys.exit(f"{' '.join(map(str, command))} ended with {measured.code}:\n{measured.said}")
    return measured


def in_turns(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Call each in turn for some rounds, so that other load affects all of them."""
    results: dict[str, list[T]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            results[name].append(contender())
    return results


def draw(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Draw JPEGs in a separate process."""
    script = Path(__file__).with_name("drawing.py")
    succeed([sys.executable, script, folder, count, width, height])
    return sorted(folder.glob("drawn*.jpg"))


def describe(model: str) -> dict[str, Any]:
    """Return a model's file and its metadata, read in a separate process."""
    code = (
        "import dataclasses, json, sys; from maskspot.model.shipped import find_model; "
        "from maskspot.model.predictor import Predictor; file = find_model(sys.argv[1]).resolve(); "
        "print(json.dumps(dataclasses.asdict(Predictor(file).info) | {'file': str(file)}))"
    )
    about: dict[str, Any] = json.loads(succeed([sys.executable, "-c", code, model]).said)
    return about


def median_ratio(numerators: Iterable[float], denominators: Iterable[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def machine() -> dict[str, Any]:
    """Describe the machine: processor, usable CPUs, Python, and the relevant packages."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    runtimes = metadata.packages_distributions()["onnxruntime"]  # may be a build for another device
    packages = ("maskspot", *sorted(set(runtimes)), "pillow")
    versions = {name: metadata.version(name) for name in packages}
    return {"cpu": cpu, "cpus": cpus(), "python": platform.python_version(), **versions}


def cpus() -> int:
    """Return how many CPUs this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def report(text: str, figures: Mapping[str, Any], file: Path | None) -> None:
    """Print the machine and a table; write the figures as JSON if `--json` was given."""
    where = machine()
    print(", ".join(f"{name} {value}" for name, value in where.items()), end="\n\n")
    print(text, flush=True)
    if file:
        file.write_text(json.dumps({"machine": where, **figures}, indent=1) + "\n", "utf-8")
