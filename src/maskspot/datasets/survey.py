"""What a folder holds of a competition's data, and what it lacks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from maskspot.csv_tables import read_rows
from maskspot.datasets.labels import Layout, csv_files, find_labels, read_labels
from maskspot.errors import DataError, ImageError
from maskspot.images import open_rgb
from maskspot.inputs.items import find_images
from maskspot.inputs.names import find_names


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        labels: the CSV of labels, None without one.
        sample: the sample submission, None without one.
        with_mask: labelled images that show a mask.
        without_mask: labelled images that show none.
        test: images that the sample names.
        missing: names that the labels or the sample have and no image.
        extra: images that neither names.
        unreadable: images that cannot be decoded, each with the reason; empty unless they were
            looked at.
    """

    labels: Path | None
    sample: Path | None
    with_mask: int
    without_mask: int
    test: int
    missing: list[str]
    extra: list[str]
    unreadable: list[tuple[str, str]]

    @property
    def complete(self) -> bool:
        """Labels and sample are there, and every image that they name."""
        return bool(self.labels and self.sample) and not self.missing


def survey(
    folder: Path,
    layout: Layout | None = None,
    decode: bool = True,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Survey:
    """Look at a folder of data: the labels, the sample, and every image.

    Args:
        folder: with CSVs, and images in `images/` or flat.
        layout: which columns the labels have, where that cannot be told.
        decode: read every image to its end.
        done: told how many images are read, and of how many.

    Raises:
        DataError: the labels or the sample contradict themselves.
        UsageError: which CSV or columns are meant cannot be told.
    """
    contents = look(folder, layout or Layout())
    targets = contents.targets
    return Survey(
        contents.labels,
        contents.sample,
        sum(targets.values()),
        len(targets) - sum(targets.values()),
        len(contents.tests),
        contents.missing,
        contents.extra,
        _unreadable(contents.images, done) if decode else [],
    )


@dataclass(frozen=True)
class Contents:
    """What a folder holds, by the names in its CSVs.

    Attributes:
        labels: the CSV of labels, None without one.
        sample: the sample submission, None without one.
        targets: labels by image.
        tests: images that the sample names.
        images: every image's file, by its path inside the folder.
        chosen: those files that the CSVs name, by the names they have there.
        missing: names that the CSVs have and no image.
    """

    labels: Path | None
    sample: Path | None
    targets: dict[str, int]
    tests: list[str]
    images: dict[str, Path]
    chosen: dict[str, Path]
    missing: list[str]

    @property
    def extra(self) -> list[str]:
        """Images that no CSV names."""
        named = set(self.chosen.values())
        return [name for name, path in self.images.items() if path not in named]


def look(folder: Path, layout: Layout) -> Contents:
    """Read a folder's CSVs, and find the images that they name; no image is opened.

    Raises:
        DataError: the labels or the sample contradict themselves.
        UsageError: which CSV or columns are meant cannot be told.
    """
    images = _images(folder)
    sample = find_sample(folder)
    labels = find_labels(folder)
    if layout.labels is not None:
        inner = folder / layout.labels
        labels = inner if inner.exists() else Path(layout.labels)
    targets = read_labels(labels, layout) if labels else {}
    tests = [row[0].strip() for row in read_rows(sample)[1]] if sample else []
    chosen, missing = find_names(dict.fromkeys([*targets, *tests]), images, labels or folder)
    return Contents(labels, sample, targets, tests, images, chosen, missing)


def find_sample(folder: Path) -> Path | None:
    """Return the sample submission of a folder: its CSV with "sample" in its name.

    Raises:
        DataError: there are several.
    """
    found = [file for file in csv_files(folder) if "sample" in file.name.lower()]
    if len(found) > 1:
        raise DataError(f"{folder}: which is the sample submission, {found[0]} or {found[1]}?")
    return found[0] if found else None


def _images(folder: Path) -> dict[str, Path]:
    try:
        images = find_images([folder])
    except DataError:
        return {}
    inner = {name: path for name, path in images.items() if name.startswith("images/")}
    return inner or images


def _unreadable(images: dict[str, Path], done: Callable[[int, int], None]) -> list[tuple[str, str]]:
    def reason(path: Path) -> str | None:
        try:
            open_rgb(path)
        except ImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        bad = []
        for at, (name, why) in enumerate(
            zip(images, pool.map(reason, images.values()), strict=True), 1
        ):
            if why:
                bad.append((name, why))
            done(at, len(images))
    return bad
