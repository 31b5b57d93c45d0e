"""Check a data set, and report what is wrong with it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskspot.checking.copies import exact_copies, near_copies
from maskspot.checking.label_errors import label_errors
from maskspot.checking.leaks import leak_problems, leaks
from maskspot.checking.photos import odd_sizes, read_photos, unreadable
from maskspot.checking.problems import FATAL, KINDS, Problem
from maskspot.datasets.labels import Layout, read_folders
from maskspot.datasets.survey import look
from maskspot.evaluation.prediction_files import read_oof
from maskspot.progress import SILENT, Progress

RARE = 0.1
"""Share of the labelled images below which a class is rare."""


@dataclass(frozen=True)
class DataCheck:
    """What `check` returns.

    Attributes:
        folder: the data set.
        with_mask: number of labelled images with a mask, including missing ones.
        without_mask: number of labelled images without one, including missing ones.
        test: number of images that the sample submission names.
        leaks: how well a property of the files alone predicts the label, as AUC, by property.
        problems: the most severe kind first, and within a kind the highest score first.
        labels_checked: whether labels were compared with out-of-fold probabilities.
        files: the files of the images that exist, by name.
    """

    folder: Path
    with_mask: int
    without_mask: int
    test: int
    leaks: dict[str, float]
    problems: list[Problem]
    labels_checked: bool
    files: dict[str, Path] = field(repr=False)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong that makes training stop or learn nonsense."""
        return not any(problem.kind in FATAL for problem in self.problems)

    @property
    def counts(self) -> dict[str, int]:
        """The number of problems of each kind, the most severe first; no kind has 0."""
        found = [problem.kind for problem in self.problems]
        return {kind: found.count(kind) for kind in KINDS if kind in found}


def check(
    folder: str | os.PathLike[str],
    layout: Layout | None = None,
    oof: Sequence[str | os.PathLike[str]] = (),
    progress: Progress = SILENT,
) -> DataCheck:
    """Check a folder of labelled images, as training reads it, and the test images in it.

    Args:
        folder: holds a CSV of labels, or one folder for each class; the images that a sample
            submission names are the test images.
        layout: what cannot be told from the folder.
        oof: CSVs of out-of-fold probabilities (`image`, `probability`), to find wrong labels.
        progress: told how many images are read.

    Raises:
        DataError: a CSV or the folder is missing, or contradicts itself.
        UsageError: `layout` must name a CSV, column or folder.
    """
    folder = Path(folder)
    probabilities = read_oof([Path(file) for file in oof])
    targets, tests, named, problems = _contents(folder, layout or Layout())
    photos, hashed = read_photos(named, progress)
    with progress.step("looking for copies and leaks"):
        found = leaks(photos)
        ones = sum(targets)
        problems += [
            *unreadable(photos),
            *exact_copies(photos),
            *near_copies(photos, hashed),
            *(label_errors(photos, probabilities) if oof else ()),
            *leak_problems(found, ones, len(targets) - ones),
            *_balance(ones, len(targets) - ones),
            *odd_sizes(photos),
        ]
    order = list(KINDS)
    problems.sort(key=lambda problem: (order.index(problem.kind), -(problem.score or 0)))
    return DataCheck(
        folder=folder,
        with_mask=ones,
        without_mask=len(targets) - ones,
        test=len(tests),
        leaks=found,
        problems=problems,
        labels_checked=bool(oof),
        files={name: path for name, path, _ in named},
    )


def _contents(
    folder: Path, layout: Layout
) -> tuple[list[int], list[str], list[tuple[str, Path, int | None]], list[Problem]]:
    """Return the labels, the names of test images, the existing images, and the problems."""
    contents = look(folder, layout)
    named: list[tuple[str, Path, int | None]]
    if contents.labels is None:
        items = read_folders([folder], layout)
        targets = {item.name: item.target for item in items}
        named = [(item.name, item.path, item.target) for item in items]
    else:
        targets, chosen = contents.targets, contents.chosen
        named = [(name, chosen[name], t) for name, t in targets.items() if name in chosen]
    tests = list(dict.fromkeys(contents.tests))
    named += [(name, contents.chosen[name], None) for name in tests if name in contents.chosen]
    files = {path for _, path, _ in named}
    problems = [
        *(Problem("missing", name, "", "no such image") for name in contents.missing),
        *(Problem("extra", n) for n, path in contents.images.items() if path not in files),
    ]
    return list(targets.values()), tests, named, problems


def _balance(ones: int, zeros: int) -> Iterator[Problem]:
    detail = f"{ones} with a mask, {zeros} without"
    if not ones or not zeros:
        yield Problem("one-class", "", "", detail)
    elif min(ones, zeros) < RARE * (ones + zeros):
        yield Problem("balance", "", "", detail, max(ones, zeros) / (ones + zeros))
