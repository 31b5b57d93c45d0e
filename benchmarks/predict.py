"""Measure how fast folders are scored, compared with the machine's limit and with other ways.

    python benchmarks/predict.py FOLDER [-m MODEL] [--ours MODEL] [--device NAME] [--rounds 5]
        [--limit N] [--labels CSV] [--keras RUN/last.keras] [--peers PYTHON] [--make-large N]
        [--json FILE]

Every contender is a separate process and is timed from its start to its finished CSV, including
imports and loading of the model. Contenders run in turns; ratios are medians of the rounds'
ratios. The ceiling is the perfect overlap of decoding alone and of the network alone, both on
all cores and without imports and loading (`peers/ceiling.py`).

`--keras` names a run's network; Keras' own speed, and that of the plain loop over the network as
converted, are then measured too, at the run's size. `--ours` gives maskspot a cheaper form of
the network, such as `int8` where the others have `default`. `--peers` names a Python that has
openvino, torch and transformers if this one lacks them; a peer that is not installed is reported
as such. `--make-large` draws N JPEGs of 12 megapixels and scores these.
"""

import argparse
import csv
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from measuring import (
    Measured,
    describe,
    draw,
    in_turns,
    maskspot,
    median_ratio,
    report,
    run,
    succeed,
    table,
)

OURS, CEILING, PLAIN = "maskspot", "ceiling", "onnxruntime, plain loop"
CONVERTED, KERAS = f"{PLAIN}, as converted", "Keras load_img + predict"
HUGGING_FACE = "Hugging Face pipeline (B0)"
PEERS = {
    PLAIN: "plain_onnxruntime.py",
    CONVERTED: "plain_onnxruntime.py",
    "onnxruntime, tuned by hand": "tuned_onnxruntime.py",
    "OpenVINO": "with_openvino.py",
    KERAS: "with_keras.py",
    HUGGING_FACE: "with_transformers.py",
}
MISSING = 3
HEADER = (
    *("", "images/s", "of the ceiling", "maskspot is x", "peak MB"),
    *("max Δp to plain", "log loss"),
)


@dataclass
class Result:
    """The rounds of a contender: images a second (none if not installed), MB, probabilities."""

    rates: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="folder of images, without subfolders")
    parser.add_argument("-m", "--model", default="default", help="model file or name")
    parser.add_argument("--ours", help="model for maskspot alone")
    parser.add_argument("--device", default="auto", help="device of maskspot; peers use the CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="take the first N images")
    parser.add_argument("--names", type=Path, help="CSV whose first column names the images")
    parser.add_argument("--labels", type=Path, help="CSV of image and target, for the log loss")
    parser.add_argument("--keras", type=Path, help="the same network as a .keras file")
    parser.add_argument("--peers", type=Path, default=Path(sys.executable), help="peers' Python")
    parser.add_argument("--only", nargs="+", default=[], help="words in the names of the peers")
    parser.add_argument("--draft", action="store_true", help="measure predict --draft as well")
    parser.add_argument("--make-large", type=int, metavar="N", help="draw N 12-megapixel JPEGs")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if (given.folder is None) == (given.make_large is None):
        parser.error("name a folder, or --make-large N")
    return given


def choose(given: argparse.Namespace, folder: Path) -> list[str]:
    """Fill a folder with the images for every contender, or links to them; return their names."""
    if given.make_large:
        return [file.name for file in draw(folder, given.make_large, 4000, 3000)]
    files = sorted(file for file in given.folder.resolve().iterdir() if file.is_file())
    if given.names:
        names = read(given.names)
        files = [file for file in files if file.name in names]
    files = list(islice(files, given.limit))
    if not files:
        sys.exit(f"{given.folder}: no images")
    for file in files:
        file.read_bytes()  # read from disk once, so that no contender has to
        (folder / file.name).symlink_to(file)
    return [file.name for file in files]


def read(file: Path) -> dict[str, float]:
    """Return a CSV's second column by its first, where the second is a number."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return {row[0]: float(row[1] or "nan") for row in islice(csv.reader(stream), 1, None)}


def commands(given: argparse.Namespace, folder: Path, converted: Path) -> dict[str, list[str]]:
    """Return every contender's command line, to which the path of its output is added."""
    about = describe(given.model)
    model, calibration = about["file"], about["calibration"]
    common = [f"--{name}={value}" for name, value in about["preprocessing"].items()]
    same = [f"--scale={calibration.get('scale', 1)}", f"--bias={calibration.get('bias', 0)}"]
    if given.keras:
        same += [f"--keras={given.keras.resolve()}", *preprocessing(given.keras)]
    drafts = (False, True) if given.draft else (False,)
    on = ["--device", given.device] if given.device != "auto" else []
    result = {}
    for draft in drafts:
        more, suffix = (["--draft"], ", draft") if draft else ([], "")
        script = Path(__file__).with_name("peers") / "ceiling.py"
        result[CEILING + suffix] = [sys.executable, str(script), *common, *more]
        result[OURS + suffix] = maskspot("predict", "-q", "-m", given.ours or model, *on, *more)
    for name, file in PEERS.items():
        if given.only and not any(word.lower() in name.lower() for word in given.only):
            continue
        if name == CONVERTED and not given.keras:
            continue
        here = "onnxruntime" in file or "keras" in file
        command = [sys.executable if here else str(given.peers)]
        command += [str(Path(__file__).with_name("peers") / file), *common]
        result[name] = command + (same if name in (KERAS, CONVERTED) else [])
    models = {CONVERTED: str(converted)}
    return {
        name: [*command, str(folder), *([] if name.startswith(OURS) else [models.get(name, model)])]
        for name, command in result.items()
    }


def preprocessing(network: Path) -> list[str]:
    """Return how the images of a run become square, as options for a peer."""
    settings = json.loads(network.with_name("settings.json").read_text("utf-8"))
    return [f"--{name}={settings[name]}" for name in ("size", "fit", "filter")]


def convert(network: Path, output: Path) -> None:
    """Convert the network of a run in a separate process."""
    size = preprocessing(network)[0].partition("=")[2]
    succeed([sys.executable, Path(__file__).parent / "peers" / "convert.py", network, size, output])


def score(name: str, command: list[str], output: Path) -> Measured:
    """Run one contender."""
    output.unlink(missing_ok=True)
    measured = run([*command, *(["-o"] if name.startswith(OURS) else []), str(output)])
    if measured.code not in (0, MISSING):
        sys.exit(f"{name} ended with {measured.code}:\n{measured.said}")
    return measured


def contend(name: str, command: list[str], output: Path, count: int, result: Result) -> None:
    """Run one contender once, and record its result."""
    measured = score(name, command, output)
    if measured.code == MISSING:
        return
    result.peaks.append(measured.peak)
    if name.startswith(CEILING):
        rates = json.loads(output.read_text("utf-8"))
        result.rates.append(1 / (1 / rates["decode"] + 1 / rates["inference"]))
        for part, value in rates.items():
            result.scores[part] = result.scores.get(part, 0) + value  # a sum; see `rows`
        return
    result.rates.append(count / measured.seconds)
    result.scores = read(output)


def log_loss(scores: Mapping[str, float], labels: Mapping[str, float]) -> float:
    """Return the mean log loss."""
    losses = [
        -math.log(max(1e-15, scores[name] if target else 1 - scores[name]))
        for name, target in labels.items()
    ]
    return statistics.fmean(losses)


def rows(results: dict[str, Result], labels: dict[str, float], same: set[str]) -> list[list[str]]:
    """Return the rows of the table; `same` names the contenders with the same network."""
    ours, plain = results[OURS].rates, results.get(PLAIN, Result()).scores
    lines = []
    for name, result in results.items():
        if not result.rates:
            lines.append([name, "not installed", *[""] * 5])
            continue
        rate = statistics.median(result.rates)
        if name.startswith(CEILING):
            count = len(result.rates)
            for part in ("decode", "inference"):
                mean = result.scores[part] / count
                lines.append([f"{part} alone{name[7:]}", f"{mean:.1f}", *[""] * 5])
            versus = f"{median_ratio(ours, result.rates):.2f}"
            lines.append([f"{name}: perfect overlap", f"{rate:.1f}", "1.00", versus, *[""] * 3])
            continue
        share = median_ratio(result.rates, results[CEILING].rates)
        cells = [name, f"{rate:.1f}", f"{share:.3f}", f"{median_ratio(ours, result.rates):.2f}"]
        cells.append(f"{statistics.median(result.peaks):.0f}")
        known = name in same
        change = max((abs(result.scores[n] - p) for n, p in plain.items()), default=math.nan)
        cells.append(f"{change:.1e}" if known and plain else "")
        cells.append(f"{log_loss(result.scores, labels):.5f}" if known and labels else "")
        lines.append(cells)
    return lines


def main() -> None:
    """Print the table."""
    given = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder, output = Path(temporary) / "images", Path(temporary) / "output.csv"
        folder.mkdir()
        names = choose(given, folder)
        converted = Path(temporary) / "converted.onnx"
        if given.keras:
            convert(given.keras, converted)
        lines = commands(given, folder, converted)
        results = {name: Result() for name in lines}
        contenders: dict[str, Callable[[], None]] = {
            name: partial(contend, name, command, output, len(names), results[name])
            for name, command in lines.items()
        }
        in_turns(contenders, given.rounds)
    labels = read(given.labels) if given.labels else {}
    labels = {name: labels[name] for name in names if name in labels}
    other = {HUGGING_FACE, *([] if given.keras else [KERAS])}
    lines_out = rows(results, labels, set(results) - other)
    figures: dict[str, Any] = {
        "model": str(given.model),
        "ours": str(given.ours or given.model),
        "images": len(names),
        "rounds": given.rounds,
        "rates": {name: result.rates for name, result in results.items()},
        "table": [HEADER, *lines_out],
    }
    size = f"{len(names)} images, model {Path(given.model).name}, {given.rounds} rounds\n\n"
    report(size + table(HEADER, lines_out), figures, given.json)


if __name__ == "__main__":
    main()
