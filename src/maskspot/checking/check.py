"""Look a data set over, and say what is wrong with it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskspot.checking.copies import exact_copies, near_copies
from maskspot.checking.label_errors import label_errors, read_oof
from maskspot.checking.leaks import leaks, telling
from maskspot.checking.photos import odd_sizes, read_photos, unreadable
from maskspot.checking.problems import FATAL, KINDS, Problem
from maskspot.datasets.labels import Layout, read_folders
from maskspot.datasets.survey import look

RARE = 0.1
"""Share of the labelled images below which a class is rare."""


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Attributes:
        with_mask: labelled images that show a mask, those that are missing too.
        without_mask: labelled images that show none.
        test: images that the sample submission names.
        leaks: by property of the files, how well it alone predicts the label, as AUC.
        problems: gravest kind first, and of each kind the highest score first.
        files: of the images that are there, by name.
    """

    with_mask: int
    without_mask: int
    test: int
    leaks: dict[str, float]
    problems: list[Problem]
    files: dict[str, Path]

    @property
    def sound(self) -> bool:
        """Nothing is wrong that training would trip over."""
        return not any(problem.kind in FATAL for problem in self.problems)


def check(
    folder: Path,
    layout: Layout | None = None,
    oof: Sequence[Path] = (),
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Check a folder of labelled images, as training takes it, and the test images in it.

    Args:
        folder: with a CSV of labels, or one folder for each class; a sample submission's images
            are those to test on.
        layout: what cannot be told from the folder.
        oof: CSVs of out-of-fold probabilities (`image`, `probability`), for label errors.
        done: told how many images are read, and of how many.

    Raises:
        DataError: a CSV or the folder is missing, or contradicts itself.
        UsageError: which CSV, column or folder is meant cannot be told.
    """
    probabilities = read_oof(oof)
    targets, tests, named, problems = _contents(folder, layout or Layout())
    photos, hashed = read_photos(named, done)
    found = leaks(photos)
    ones = sum(targets)
    problems += [
        *unreadable(photos),
        *exact_copies(photos),
        *near_copies(photos, hashed),
        *(label_errors(photos, probabilities) if oof else ()),
        *telling(found, ones, len(targets) - ones),
        *_balance(ones, len(targets) - ones),
        *odd_sizes(photos),
    ]
    order = list(KINDS)
    problems.sort(key=lambda problem: (order.index(problem.kind), -(problem.score or 0)))
    files = {name: path for name, path, _ in named}
    return Report(ones, len(targets) - ones, len(tests), found, problems, files)


def _contents(
    folder: Path, layout: Layout
) -> tuple[list[int], list[str], list[tuple[str, Path, int | None]], list[Problem]]:
    """Return the labels, the tests' names, the images that are there, and what is amiss."""
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


def counts(report: Report) -> dict[str, int]:
    """Return how many problems there are of each kind."""
    return {kind: sum(each.kind == kind for each in report.problems) for kind in KINDS}
