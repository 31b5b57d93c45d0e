"""What a folder of competition data holds, and what is missing from it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from maskspot.csv_tables import read_rows
from maskspot.datasets.labels import Layout, csv_files, find_labels, read_labels
from maskspot.errors import DataError, ImageError, MaskspotError
from maskspot.images import open_rgb
from maskspot.inputs.items import find_images
from maskspot.inputs.names import find_names
from maskspot.progress import SILENT, Progress


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        labels: the CSV of labels; None if there is none.
        sample: the sample submission; None if there is none.
        with_mask: number of labelled images with a mask.
        without_mask: number of labelled images without one.
        test: number of images that the sample names.
        missing: names in the labels or the sample that no image has.
        extra: images that neither of them names.
        unreadable: images that cannot be decoded, each with the reason; empty if none was decoded.
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
        """Whether there are labels, a sample, and every image that they name."""
        return bool(self.labels and self.sample) and not self.missing


def survey(
    folder: Path,
    layout: Layout | None = None,
    decode: bool = True,
    progress: Progress = SILENT,
) -> Survey:
    """Look at a folder of data: the labels, the sample, and every image.

    Args:
        folder: holds CSVs, and images in `images/` or flat.
        layout: which columns the labels have, where that cannot be told.
        decode: decode every image completely.
        progress: told how many images are decoded.

    Raises:
        DataError: the labels or the sample contradict themselves.
        UsageError: `layout` must name the CSV or columns.
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
        _unreadable(contents.images, progress) if decode else [],
    )


@dataclass(frozen=True)
class Contents:
    """What a folder holds, by the names in its CSVs.

    Attributes:
        labels: the CSV of labels; None if there is none.
        sample: the sample submission; None if there is none.
        targets: labels by image name.
        tests: names of the images in the sample.
        images: the file of every image, by its path in the folder.
        chosen: the files of images that the CSVs name, by these names.
        missing: names in the CSVs that no image has.
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
    """Read the CSVs of a folder, and find the images that they name; no image is opened.

    Raises:
        DataError: the labels or the sample contradict themselves.
        UsageError: `layout` must name the CSV or columns.
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
    """Return the sample submission of a folder: the CSV with "sample" in its name.

    Raises:
        DataError: there are several.
    """
    found = [file for file in csv_files(folder) if "sample" in file.name.lower()]
    if len(found) > 1:
        raise DataError(f"{folder}: has several sample submissions: {found[0]}, {found[1]}")
    return found[0] if found else None


def csvs_of(folder: Path, labels: str | None = None) -> list[Path]:
    """Return the CSVs that reading a folder of data reads, as far as they can be told.

    Args:
        folder: the data.
        labels: the CSV of labels, as in `Layout`; None if it is told by its name.
    """
    found = [folder / labels, Path(labels)] if labels else []
    for find in (find_labels, find_sample):
        with suppress(MaskspotError, OSError):  # which reading the folder reports
            if file := find(folder):
                found.append(file)
    return found


def _images(folder: Path) -> dict[str, Path]:
    try:
        images = find_images([folder])
    except DataError:
        return {}
    inner = {name: path for name, path in images.items() if name.startswith("images/")}
    return inner or images


def _unreadable(images: Mapping[str, Path], progress: Progress) -> list[tuple[str, str]]:
    def reason(path: Path) -> str | None:
        try:
            open_rgb(path)
        except ImageError as error:
            return str(error)
        return None

    found = []
    with (
        ThreadPoolExecutor() as pool,
        progress.step("reading the images", "images", len(images)) as step,
    ):
        reasons = pool.map(reason, images.values())
        for done, (name, why) in enumerate(zip(images, reasons, strict=True), 1):
            if why:
                found.append((name, why))
            step.update(done)
    return found
