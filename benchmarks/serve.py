"""Compare the speed of the server with `maskspot predict` on the same photos and cores.

    python benchmarks/serve.py FOLDER [-m MODEL] [--clients 32] [--seconds 120] [--json FILE]

Each client has its own connection and sends one photo as soon as its last answer has arrived.
Every bit of the probability is compared with what `predict` wrote. `predict` runs before and
after; its rate is the mean of both, without start-up (measured on one photo). One thread runs
all clients, on the server's cores, which slows it a little. Latencies and memory are taken after
a warm-up of at most five seconds. On a shared machine, processor time per image is more reliable
than rates.
"""

import argparse
import csv
import itertools
import json
import re
import resource
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import maskspot, report, succeed, table
from serving import Server, serving

HEADER = (
    *(
        "",
        "images/s",
        "of predict",
        "CPU ms/image",
        "of clients",
        "requests",
        "errors",
        "p50 ms",
        "p99 ms",
        "max ms",
    ),
    *("MB at start", "MB at end", "MB at most"),
)


@dataclass(frozen=True)
class Photo:
    """The complete request for a photo, and the exact probability that the answer must have."""

    name: str
    request: bytes
    result: bytes

    @classmethod
    def of(cls, file: Path, probability: float) -> "Photo":
        """Prepare the request, as the clients' work would slow the server."""
        content = file.read_bytes()
        head = (
            "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        result = f'"probability":{json.dumps(probability)},'
        return cls(file.name, head.encode() + content, result.encode())


@dataclass
class Load:
    """What clients measured: seconds of each request, and missing or wrong answers."""

    photos: list[Photo]
    ends: float
    warm: float
    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    turn: "itertools.count[int]" = field(default_factory=itertools.count)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of images, without subfolders")
    parser.add_argument("-m", "--model", default="default", help="model file or name")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--limit", type=int, default=500, help="take the first N images")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@dataclass(frozen=True)
class Predicted:
    """Seconds and processor seconds of `predict`, and its probabilities."""

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


class Client:
    """A connection that sends a photo as soon as the last answer has arrived."""

    def __init__(self, port: int, load: Load) -> None:
        self.load = load
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.send()

    def send(self) -> None:
        """Send the next photo."""
        photos = self.load.photos
        self.photo = photos[next(self.load.turn) % len(photos)]
        self.answer = b""
        self.started = time.perf_counter()
        self.connection.sendall(self.photo.request)

    def receive(self) -> bool:
        """Read what has arrived; return whether the answer is complete, and record it."""
        more = self.connection.recv(1 << 16)
        self.answer += more
        head, end, body = self.answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if more and not (end and length and len(body) >= int(length[1])):
            return False
        ended = time.perf_counter()
        if not more:
            self.load.errors["connection closed"] += 1
        elif not head.startswith(b"HTTP/1.1 200") or self.photo.result not in body:
            self.load.errors[f"{self.photo.name}: {head[:12]!r}, or not equal"] += 1
        if self.load.warm <= ended <= self.load.ends:
            self.load.seconds.append(ended - self.started)
        return True


def storm(given: argparse.Namespace, server: Server, load: Load) -> dict[str, Any]:
    """Run all clients; return the server's memory each second, in MB, and its processor time."""
    memory: list[float] = []
    cpu, warm, own = 0.0, 0, 0.0
    with selectors.DefaultSelector() as selector:
        for _ in range(given.clients):
            client = Client(server.port, load)
            selector.register(client.connection, selectors.EVENT_READ, client)
        while selector.get_map() and (now := time.perf_counter()) < load.ends + 60:
            if now >= load.warm + len(memory) and now < load.ends:
                if not memory:
                    cpu, warm, own = server.cpu(), len(load.seconds), time.process_time()
                memory.append(server.memory())
            for key, _ in selector.select(0.2):
                if key.data.receive():
                    if time.perf_counter() < load.ends and not load.errors["connection closed"]:
                        key.data.send()
                    else:
                        selector.unregister(key.fileobj)
                        key.data.connection.close()
        load.errors += Counter({"no answer": len(selector.get_map())})  # drops zeros
    count = max(1, len(load.seconds) - warm)
    cpu, own = server.cpu() - cpu, time.process_time() - own
    return {"memory": memory, "cpu": cpu / count, "clients_cpu": own / count}


def main() -> None:
    """Print the table."""
    given = arguments()
    images = sorted(each for each in given.folder.resolve().iterdir() if each.is_file())
    images = images[: given.limit]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        predict(given.model, images, folder)  # reads the photos from disk once
        start = [predict(given.model, images[:1], folder)]
        whole = [predict(given.model, images, folder)]
        with serving("-m", given.model, "--device", "cpu") as server:
            scores = whole[0].scores
            photos = [Photo.of(each, scores[str(each)]) for each in images]
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
    """Return the clients' figures."""
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
    ratio = f"{figures['rate'] / usual:.3f}"
    spent = [f"{1000 * figures[name]:.1f}" for name in ("cpu", "clients_cpu")]
    alone = " and ".join(f"{rate:.1f}" for rate in figures["predict"])
    return [
        ["maskspot serve", f"{figures['rate']:.1f}", ratio, *spent, *counts, *times, *sizes],
        ["maskspot predict", alone, "1.000", f"{1000 * cpu:.1f}", *[""] * 9],
    ]


if __name__ == "__main__":
    main()
