"""What a user may point at: image files and folders of them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from maskspot.errors import DataError

if TYPE_CHECKING:
    from maskspot.images import ImageSource


@dataclass(frozen=True, slots=True)
class Item:
    """One image to score.

    Attributes:
        name: what its `Score` calls it.
        load: gives the image, where and when it is read; it is called in a worker thread, once,
            and raises `ImageError` or OSError where there is none.
        path: the local file that it is read from (of an archive's member: the archive), else None.
    """

    name: str
    load: "Callable[[], ImageSource]"
    path: Path | None = None


SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)
"""File endings, in lower case, by which a folder's images are told from its other files."""


def find_images(arguments: Sequence[Path]) -> dict[str, Path]:
    """Return the images that the arguments name, by name, sorted by name.

    A folder stands for the images in it and below it, told by their endings; hidden files and
    folders are left out, and links to folders are not followed. A file that is named itself
    needs no ending, nor to exist: it is for the reader to say what is wrong with it.

    The name is the path inside the folder where one folder is all there is, and otherwise the
    path as it was written; always with forward slashes.

    Raises:
        DataError: a folder has no image in it, or cannot be listed.
    """
    found: dict[str, Path] = {}
    alone = len(arguments) == 1
    for argument in arguments:
        if not os.path.isdir(argument):
            found[argument.as_posix()] = argument
            continue
        before = len(found)
        for path in _walk(argument):
            found[(path.relative_to(argument) if alone else path).as_posix()] = path
        if len(found) == before:
            raise DataError(f"{argument}: no images in this folder ({', '.join(SUFFIXES)})")
    return dict(sorted(found.items()))


def match_names(names: Iterable[str], images: Mapping[str, Path], where: Path) -> dict[str, Path]:
    """Return the images that a CSV names, in its order.

    An image is named by its path inside the folder, its file name, or that without its ending;
    white space about a name is passed over.

    Args:
        names: as the CSV has them.
        images: those that were found, by path.
        where: the CSV, for errors.

    Raises:
        DataError: some are missing, or a name fits several.
    """
    chosen, missing = find_names(names, images, where)
    if missing:
        more = ", ..." if len(missing) > 3 else ""  # noqa: PLR2004
        raise DataError(
            f"{where}: {len(missing)} of the images it names are not there: "
            f"{', '.join(missing[:3])}{more}"
        )
    return chosen


def find_names(
    names: Iterable[str], images: Mapping[str, Path], where: Path
) -> tuple[dict[str, Path], list[str]]:
    """Return the images that a CSV names, as `match_names` does, and the names of the missing.

    Raises:
        DataError: a name fits several.
    """
    aliases: dict[str, set[Path]] = {}
    for key, path in images.items():
        for alias in {PurePosixPath(key).name, PurePosixPath(key).stem}:
            aliases.setdefault(alias, set()).add(path)
    chosen, missing = {}, []
    for name in names:
        short = name.strip()
        paths = [images[short]] if short in images else sorted(aliases.get(short, ()))
        if len(paths) > 1:
            raise DataError(f"{where}: {short} may be {paths[0]} or {paths[1]}: which one?")
        if paths:
            chosen[name] = paths[0]
        else:
            missing.append(short)
    return chosen, missing


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                yield path
