"""Labelled images on disk: a folder with a CSV of labels, or one folder for each class."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from maskspot.arguments import argument
from maskspot.csv_tables import is_number, number, read_rows
from maskspot.errors import DataError, UsageError
from maskspot.inputs.folders import is_image
from maskspot.inputs.items import find_images
from maskspot.inputs.names import match_names

LABEL_FILES = ("train_labels.csv", "train.csv", "labels.csv")
"""Names that the CSV of labels in a folder may have, in order of precedence; case is ignored."""

COLUMNS = (("image", "target"), ("id", "label"))
"""Names of the two columns that need not be given; a CSV of two columns may have any names."""

POSITIVE = (
    *("mask", "masks", "masked", "with_mask", "withmask", "mask_on", "face_mask"),
    *("positive", "pos", "yes", "y", "true", "t"),
)
NEGATIVE = (
    *("no_mask", "nomask", "unmasked", "without_mask", "withoutmask", "mask_off", "non_mask"),
    *("no_face_mask", "negative", "neg", "none", "no", "n", "false", "f"),
)
"""Labels and folder names of the two classes, as `target_of` normalises them."""


@dataclass(frozen=True)
class Labelled:
    """One image with its label.

    Attributes:
        name: of the image, as the labels have it.
        path: the file.
        target: 1 if at least one face mask is visible, else 0.
    """

    name: str
    path: Path
    target: int


@dataclass(frozen=True)
class Layout:
    """How a folder of labelled images is laid out, where that cannot be told from the folder.

    Attributes:
        labels: the CSV of labels, as a path from the folder or from the current one.
        image_column: its column of image names.
        target_column: its column of labels.
        positive: the class folder whose images show masks.
    """

    labels: str | None = argument(
        None,
        help="CSV of labels, in the folder or elsewhere.",
        metavar="FILE",
        rich_help_panel="Labels",
    )
    image_column: str | None = argument(
        None, help="Column of image names in the CSV of labels.", rich_help_panel="Labels"
    )
    target_column: str | None = argument(
        None, help="Column of labels, 0 or 1, in that CSV.", rich_help_panel="Labels"
    )
    positive: str | None = argument(
        None, help="Class folder whose images show masks.", rich_help_panel="Labels"
    )


def read_folders(folders: Iterable[Path], layout: Layout | None = None) -> list[Labelled]:
    """Read one or more folders of labelled images, each sorted by name, as one data set.

    A folder holds a CSV of labels beside its images (flat, or in `images/`), or one folder of
    images for each of the two classes.

    Raises:
        DataError: labels or images are missing, or contradict each other.
        UsageError: `layout` must name a CSV, column or folder.
    """
    found: dict[str, Labelled] = {}
    for folder in folders:
        for item in _read_folder(folder, layout or Layout()):
            _add(found, str(item.path.resolve()), item, folder)
    return list(found.values())


def _read_folder(folder: Path, layout: Layout) -> list[Labelled]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images")
    file = find_labels(folder) if layout.labels is None else Path(layout.labels)
    if file is None:
        found = _read_classes(folder, layout.positive)
    else:
        file = folder / file if (folder / file).exists() else file
        found = _read_csv(file, folder, layout)
    for target, word in ((1, "with"), (0, "without")):
        if not any(item.target == target for item in found):
            raise DataError(f"{file or folder}: no image is labelled {word} a mask ({target})")
    return sorted(found, key=lambda item: item.name)


def csv_files(folder: Path) -> list[Path]:
    """Return the CSVs in a folder, sorted, without hidden ones, which may be incomplete."""
    return sorted(file for file in folder.glob("[!.]*") if file.suffix.lower() == ".csv")


def find_labels(folder: Path) -> Path | None:
    """Return the CSV of labels in a folder: by its name, or the only one that is not a sample.

    Raises:
        UsageError: several may be meant.
    """
    files = {file.name.lower(): file for file in csv_files(folder)}
    for name in LABEL_FILES:
        if name in files:
            return files[name]
    files = {name: file for name, file in files.items() if "sample" not in name}
    if len(files) > 1:
        names = ", ".join(file.name for file in files.values())
        raise UsageError(f"{folder}: which file has the labels? Name one with `labels`: {names}")
    return next(iter(files.values()), None)


def read_labels(file: Path, layout: Layout) -> dict[str, int]:
    """Return the labels of a CSV by image name, in the order of the CSV.

    Raises:
        DataError: the CSV cannot be read, a label is invalid, or an image has both labels.
        UsageError: `layout` must name the columns.
    """
    header, rows = read_rows(file)
    image, target = _columns(file, header, layout)
    found: dict[str, int] = {}
    for row in rows:
        name, value = row[image].strip(), _target(row[target], f"{file}, row {row.number}")
        if found.setdefault(name, value) != value:
            raise DataError(f"{file}, row {row.number}: {name} is labelled both 0 and 1")
    return found


def _read_csv(file: Path, folder: Path, layout: Layout) -> list[Labelled]:
    targets = read_labels(file, layout)
    images = find_images([folder])
    if (folder / "images").is_dir():
        images = {key: path for key, path in images.items() if key.startswith("images/")}
    paths = match_names(targets, images, file)
    found: dict[str, Labelled] = {}
    for name, target in targets.items():
        _add(found, str(paths[name]), Labelled(name, paths[name], target), file)
    return list(found.values())


def _columns(file: Path, header: list[str], layout: Layout) -> tuple[int, int]:
    names = [name.strip() for name in header]
    pairs = [
        (layout.image_column or image, layout.target_column or target)
        for image, target in (*COLUMNS, tuple(names) if len(names) == 2 else COLUMNS[0])  # noqa: PLR2004
    ]
    for image, target in [] if _is_row(names) else pairs:
        if image in names and target in names and image != target and not is_number(target):
            return names.index(image), names.index(target)
    if _is_row(names):
        raise DataError(f"{file}: its first line must be a header, such as image,target")
    raise UsageError(
        f"{file}: name the columns of images and labels with `image_column` and "
        f"`target_column`; it has {', '.join(names)}"
    )


def _is_row(names: list[str]) -> bool:
    """Return whether a row that should be a header is an image with its label."""
    labelled = is_image(names[0]) and any(target_of(name) is not None for name in names[1:])
    return labelled or all(map(is_number, names[1:]))


def target_of(text: str) -> int | None:
    """Return the target that a label means, 1 with a mask and 0 without; None if it is unknown.

    Args:
        text: a number, or a word of `POSITIVE` or `NEGATIVE`, in any case, with spaces or hyphens
            in place of underscores.
    """
    if is_number(text):
        return {0.0: 0, 1.0: 1}.get(number(text))
    word = re.sub(r"[\s_-]+", "_", text.strip().lower())
    return 1 if word in POSITIVE else 0 if word in NEGATIVE else None


def _target(text: str, where: str) -> int:
    target = target_of(text)
    if target is None:
        raise DataError(
            f"{where}: a label must be 0 or 1, or a word such as mask or no_mask, not {text!r}"
        )
    return target


def _add(found: dict[str, Labelled], key: str, item: Labelled, where: Path) -> None:
    """Add an image unless it is there already; two labels that differ are an error."""
    if found.setdefault(key, item).target != item.target:
        raise DataError(f"{where}: {item.name} is labelled both 0 and 1")


def _read_classes(folder: Path, positive: str | None) -> list[Labelled]:
    classes = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    names = ", ".join(path.name for path in classes) or "none"
    if len(classes) != 2:  # noqa: PLR2004
        raise DataError(
            f"{folder}: has neither a CSV of labels nor one folder for each of two classes: {names}"
        )
    chosen = [path for path in classes if path.name == positive]
    if positive is None:
        chosen = [path for path in classes if target_of(path.name) == 1]
        others = [path for path in classes if target_of(path.name) == 0]
        chosen = chosen or [path for path in classes if others and path not in others]
    if len(chosen) != 1:
        raise UsageError(f"{folder}: which folder shows masks? Name it with `positive`: {names}")
    return [
        Labelled(f"{kind.name}/{name}", path, int(kind in chosen))
        for kind in classes
        for name, path in find_images([kind]).items()
    ]
