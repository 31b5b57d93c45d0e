"""Share code among the peers, each of which takes a folder and a model and writes a CSV.

A peer is a separate program, so that it may run in another Python environment, and so that its
imports and its loading of the model count. Its exit code is 3 if a package is missing.
"""

import argparse
import csv
import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

MISSING = 3
"""Exit code of a peer whose package is not installed."""


def options(description: str | None) -> argparse.Namespace:
    """Parse the options that every peer has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="images, and nothing else")
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("output", type=Path, help="file to write")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--fit", choices=("squash", "pad"), default="squash")
    parser.add_argument("--filter", default="bilinear", help="Pillow's name of it")
    parser.add_argument("--draft", action="store_true", help="let libjpeg shrink large JPEGs")
    parser.add_argument("--keras", type=Path, help="a run's .keras file: the same network")
    parser.add_argument("--scale", type=float, default=1, help="of the Keras network's logit")
    parser.add_argument("--bias", type=float, default=0)
    return parser.parse_args()


def find(folder: Path) -> list[Path]:
    """Return a folder's images."""
    return sorted(folder.iterdir())


def read(file: Path, given: argparse.Namespace) -> NDArray[np.uint8]:
    """Decode and resize for the model, as a careful user of Pillow does."""
    shape, resample = (given.size, given.size), Image.Resampling[given.filter.upper()]
    with Image.open(file) as image:
        if given.draft:  # libjpeg's scaling, to at least twice the wanted size
            image.draft(None, (2 * given.size, 2 * given.size))
        ImageOps.exif_transpose(image, in_place=True)  # avoids a copy
        upright = image if image.mode == "RGB" else image.convert("RGB")
        if given.fit == "pad":
            return np.asarray(ImageOps.pad(upright, shape, resample, color=(128, 128, 128)))
        return np.asarray(upright.resize(shape, resample))


def write(output: Path, files: Iterable[Path], probabilities: Iterable[float]) -> None:
    """Write a submission."""
    with output.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("image", "target"))
        for file, probability in zip(files, probabilities, strict=True):
            rows.writerow((file.name, repr(float(probability))))


def cpus() -> int:
    """Return how many CPUs this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def need(name: str) -> Any:
    """Import a peer's package, or exit with the code for one that is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(MISSING)
