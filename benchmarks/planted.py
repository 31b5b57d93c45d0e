"""Measure how many planted wrong labels and copies `maskspot check` finds.

    python benchmarks/planted.py DATA --oof oof.csv [--draws 5] [--json FILE]

Each draw copies the data set (a CSV of labels and `images/`), flips 20 labels and adds 20 copies
of photos: reduced to 60 %, compressed with JPEG quality 35, mirrored, or cropped by 1 to 5 % on
each side. The result is how many of the first 20 labels and of the first 20 copies that `check`
lists were planted. Labels that are wrong in the data itself count as misses.
"""

import argparse
import csv
import os
import random
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from measuring import report, table
from PIL import Image

from maskspot.checking.check import check
from maskspot.checking.problems import Problem
from maskspot.csv_tables import read_rows
from maskspot.images import open_rgb

PLANTED = 20
COPIES = ("near-conflict", "duplicate", "near-duplicate")


def main() -> None:
    """Plant errors, check, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--labels", default="train_labels.csv")
    parser.add_argument("--oof", type=Path, nargs="+", required=True)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    truth = {name: int(target) for name, target in read_rows(given.data / given.labels)[1]}
    rows, figures = [], []
    for seed in range(given.draws):
        with tempfile.TemporaryDirectory() as folder:
            flips, copies = plant(given.data / "images", truth, Path(folder), random.Random(seed))
            problems = check(Path(folder), oof=given.oof).problems
        labels = sum(each.image in flips for each in first(problems, ("label",)))
        found = sum(is_planted(each, copies) for each in first(problems, COPIES))
        figures.append({"labels": labels, "copies": found})
        precision = (labels + found) / (2 * PLANTED)
        rows.append([str(seed), str(labels), str(found), f"{precision:.0%}"])
    mean = {key: statistics.mean(each[key] for each in figures) for key in ("labels", "copies")}
    precision = sum(mean.values()) / (2 * PLANTED)
    rows.append(["mean", f"{mean['labels']:.1f}", f"{mean['copies']:.1f}", f"{precision:.1%}"])
    text = table(("draw", "labels of 20", "copies of 20", "of 40"), rows)
    report(text, {"draws": figures}, given.json)


def plant(
    images: Path, truth: Mapping[str, int], folder: Path, rng: random.Random
) -> tuple[set[str], dict[str, str]]:
    """Write the data set; return the flipped images, and each copy with its original."""
    (folder / "images").mkdir()
    for name in truth:
        os.symlink((images / name).resolve(), folder / "images" / name)
    flips, copies = set(rng.sample(sorted(truth), PLANTED)), {}
    for at, name in enumerate(rng.sample(sorted(truth), PLANTED)):
        copy = "".join(rng.choices("abcdefghij", k=30)) + ".jpg"
        changed = change(open_rgb(images / name), at)
        changed.save(folder / "images" / copy, quality=35 if at % 4 == 1 else 80)
        copies[copy] = name
    labels = {name: target ^ (name in flips) for name, target in truth.items()}
    rows = [*labels.items(), *((copy, labels[name]) for copy, name in copies.items())]
    rng.shuffle(rows)
    with (folder / "train_labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("image", "target"), *rows])
    return flips, copies


def change(image: Image.Image, at: int) -> Image.Image:
    """Return an image changed as the copy with that number is, except for the quality."""
    if at % 4 == 0:
        return image.resize([max(40, side * 6 // 10) for side in image.size])
    if at % 4 == 2:  # noqa: PLR2004
        share = (1 + at // 4) / 100
        width, height = image.size
        left, top = round(width * share), round(height * share)
        return image.crop((left, top, width - left, height - top))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if at % 4 == 3 else image  # noqa: PLR2004


def first(problems: list[Problem], kinds: tuple[str, ...]) -> list[Problem]:
    """Return the first 20 problems of some kinds."""
    return [each for each in problems if each.kind in kinds][:PLANTED]


def is_planted(problem: Problem, copies: Mapping[str, str]) -> bool:
    """Return whether a problem is a copy and its original."""
    pair = {problem.image, problem.other}
    return any({copy, name} == pair for copy, name in copies.items())


if __name__ == "__main__":
    main()
