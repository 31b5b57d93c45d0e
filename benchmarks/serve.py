"""How fast is the server, beside `maskspot predict` with the same photos on the same cores?

    python benchmarks/serve.py FOLDER [-m MODEL] [--clients 32] [--seconds 120] [--json FILE]

Clients send one photo at a time over connections of their own, each as soon as its last answer is
there, and check it against what `predict` wrote: every bit of the probability. `predict` runs
before and after; its rate is without its start (measured on one photo), and the mean of both. The
clients run on the same cores as the server, and cost it a little. Latencies and memory are taken
after a warm-up of five seconds at most. Where others use the machine, the milliseconds of processor
that an image takes say more than the rates.
"""

import argparse
import csv
import http.client
import itertools
import json
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import maskspot, report, succeed, table
from serving import Server, serving

OK = 200
HEADER = (
    *(
        "",
        "images/s",
        "of predict",
        "CPU ms/image",
        "requests",
        "errors",
        "p50 ms",
        "p99 ms",
        "max ms",
    ),
    *("MB at start", "MB at end", "MB at most"),
)


@dataclass
class Load:
    """What clients did: seconds of each request, and what was no answer or the wrong one."""

    photos: list[tuple[str, bytes, float]]
    ends: float
    warm: float
    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    turn: "itertools.count[int]" = field(default_factory=itertools.count)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="images, flat")
    parser.add_argument("-m", "--model", default="default", help="file, or shipped model's name")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--limit", type=int, default=500, help="take the first N images")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@dataclass(frozen=True)
class Predicted:
    """What `predict` took, in seconds and seconds of processor, and what it found."""

    seconds: float
    cpu: float
    scores: dict[str, float]


def predict(model: str, images: list[Path], folder: Path) -> Predicted:
    """Run `predict`."""
    listing, output = folder / "list.txt", folder / "out.csv"
    listing.write_text("".join(f"{image}\n" for image in images), "utf-8")
    output.unlink(missing_ok=True)
    command = maskspot("predict", "-q", "-m", model, "--from", listing, "-o", output)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = succeed(command).seconds
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with output.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return Predicted(seconds, cpu, {row["image"]: float(row["target"]) for row in rows})


def client(port: int, load: Load) -> None:
    """Send photos until the time is over."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while time.perf_counter() < load.ends:
        name, content, probability = load.photos[next(load.turn) % len(load.photos)]
        started = time.perf_counter()
        try:
            headers = {"Content-Type": "application/octet-stream"}
            connection.request("POST", "/v1/predict", content, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            trouble = type(error).__name__
            connection.close()
        else:
            right = answer.status == OK and said["results"][0]["probability"] == probability
            trouble = "" if right else f"{answer.status} {said.get('error', f'{name}: not equal')}"
        ended = time.perf_counter()
        with load.lock:
            if trouble:
                load.errors[trouble] += 1
            if load.warm <= ended <= load.ends:
                load.seconds.append(ended - started)
    connection.close()


def storm(given: argparse.Namespace, server: Server, load: Load) -> dict[str, Any]:
    """Let all clients loose; return the server's memory each second, in MB, and its processor's."""
    memory = []
    with ThreadPoolExecutor(given.clients) as pool:
        futures = [pool.submit(client, server.port, load) for _ in range(given.clients)]
        time.sleep(max(0.0, load.warm - time.perf_counter()))
        cpu, warm = server.cpu(), len(load.seconds)
        while time.perf_counter() < load.ends:
            memory.append(server.memory())
            time.sleep(1)
        cpu, count = server.cpu() - cpu, len(load.seconds) - warm
        for future in futures:
            future.result()
    return {"memory": memory, "cpu": cpu / max(1, count)}


def main() -> None:
    """Print the table."""
    given = arguments()
    images = sorted(each for each in given.folder.resolve().iterdir() if each.is_file())
    images = images[: given.limit]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        predict(given.model, images, folder)  # the disk's part, once
        start = [predict(given.model, images[:1], folder)]
        whole = [predict(given.model, images, folder)]
        with serving("-m", given.model, "--device", "cpu") as server:
            scores = whole[0].scores
            photos = [(str(each), each.read_bytes(), scores[str(each)]) for each in images]
            now, warm = time.perf_counter(), min(5.0, given.seconds / 4)
            load = Load(photos, now + given.seconds, now + warm)
            figures = storm(given, server, load)
            code, said = server.stop()
        start.append(predict(given.model, images[:1], folder))
        whole.append(predict(given.model, images, folder))
    if code or said:
        load.errors[f"ended with {code}: {said}"] += 1
    pairs, count = list(zip(whole, start, strict=True)), len(images) - 1
    figures |= found(given.seconds - warm, load)
    figures["predict"] = [count / (each.seconds - one.seconds) for each, one in pairs]
    figures["predict_cpu"] = [(each.cpu - one.cpu) / count for each, one in pairs]
    report(table(HEADER, rows(figures)), figures, given.json)
    for trouble, times in load.errors.items():
        print(f"{times} x {trouble}", file=sys.stderr)
    sys.exit(1 if load.errors else 0)


def found(seconds: float, load: Load) -> dict[str, Any]:
    """Return what the clients saw."""
    centiles = statistics.quantiles(load.seconds, n=100)
    return {
        "rate": len(load.seconds) / seconds,
        "requests": len(load.seconds),
        "errors": dict(load.errors),
        "p50": 1000 * centiles[49],
        "p99": 1000 * centiles[98],
        "slowest": 1000 * max(load.seconds),
    }


def rows(figures: dict[str, Any]) -> list[list[str]]:
    """Return the table's rows."""
    usual, memory = statistics.fmean(figures["predict"]), figures["memory"]
    cpu = statistics.fmean(figures["predict_cpu"])
    times = [f"{figures[name]:.0f}" for name in ("p50", "p99", "slowest")]
    sizes = [f"{value:.0f}" for value in (memory[0], memory[-1], max(memory))]
    counts = [str(figures["requests"]), str(sum(figures["errors"].values()))]
    ratio, spent = f"{figures['rate'] / usual:.3f}", f"{1000 * figures['cpu']:.1f}"
    alone = " and ".join(f"{rate:.1f}" for rate in figures["predict"])
    return [
        ["maskspot serve", f"{figures['rate']:.1f}", ratio, spent, *counts, *times, *sizes],
        ["maskspot predict", alone, "1.000", f"{1000 * cpu:.1f}", *[""] * 8],
    ]


if __name__ == "__main__":
    main()
