"""Measure how long the first score takes, and the help.

    python benchmarks/startup.py [-m MODEL] [--rounds 21] [--json FILE]

Compares `maskspot predict one.jpg` with a bare script that imports onnxruntime, Pillow and
numpy, loads the same model and runs it once; and `maskspot --help` with that of an empty Typer
app. New processes run in turns; ratios are medians of the rounds' ratios.
"""

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path
from sys import executable

from measuring import (
    Measured,
    describe,
    draw,
    in_turns,
    maskspot,
    median_ratio,
    report,
    succeed,
    table,
)

BARE = """
import sys
import numpy as np
import onnxruntime
from PIL import Image
file, model, size = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
image = Image.open(file).convert("RGB").resize((int(size), int(size)), Image.Resampling.BILINEAR)
print(session.run(["probability"], {"images": np.asarray(image)[None]})[0].item())
"""

EMPTY = """
import typer
app = typer.Typer()
@app.command()
def nothing() -> None:
    "Do nothing."
app()
"""

PAIRS = {
    "maskspot predict one.jpg": "bare onnxruntime script",
    "maskspot.load().predict(one)": "bare onnxruntime script",
    "maskspot --help": "empty Typer app --help",
}


def contenders(folder: Path, model: Path, size: int) -> dict[str, list[object]]:
    """Return the command lines, and write their files into a folder."""
    (photo,) = draw(folder, 1, 800, 600)
    bare, empty = folder / "bare.py", folder / "empty.py"
    bare.write_text(BARE)
    empty.write_text(EMPTY)
    api = f"import maskspot; print(maskspot.load({str(model)!r}).predict({str(photo)!r}))"
    return {
        "python -c pass": [executable, "-c", "pass"],
        "bare onnxruntime script": [executable, bare, photo, model, size],
        "maskspot.load().predict(one)": [executable, "-c", api],
        "maskspot predict one.jpg": [*maskspot("predict", photo, "-m", model)],
        "empty Typer app --help": [executable, empty, "--help"],
        "maskspot --help": [*maskspot("--help")],
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-m", "--model", default="default", help="model file or name")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    about = describe(given.model)
    model, size = Path(about["file"]), about["preprocessing"]["size"]
    with tempfile.TemporaryDirectory() as temporary:
        lines = contenders(Path(temporary), model, size)
        calls = {name: partial(succeed, line) for name, line in lines.items()}
        for call in calls.values():
            call()  # compiles byte code and reads files into the page cache
        results: dict[str, list[Measured]] = in_turns(calls, given.rounds)
    seconds = {name: [each.seconds for each in rounds] for name, rounds in results.items()}
    rows = []
    for name, times in seconds.items():
        peer = PAIRS.get(name)
        ratio = f"{median_ratio(times, seconds[peer]):.2f}" if peer else ""
        peak = statistics.median(each.peak for each in results[name])
        cells = [name, f"{statistics.median(times) * 1000:.0f}", f"{min(times) * 1000:.0f}"]
        rows.append([*cells, f"{peak:.0f}", ratio, peer or ""])
    header = ("", "median ms", "least ms", "peak MB", "ratio", "to")
    report(table(header, rows), {"rounds": given.rounds, "seconds": seconds}, given.json)


if __name__ == "__main__":
    main()
