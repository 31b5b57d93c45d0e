"""What a user may point at: image files and folders of them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from maskspot.errors import DataError

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
        if not argument.is_dir():
            found[argument.as_posix()] = argument
            continue
        before = len(found)
        for path in _walk(argument):
            found[(path.relative_to(argument) if alone else path).as_posix()] = path
        if len(found) == before:
            raise DataError(f"{argument}: no images in this folder ({', '.join(SUFFIXES)})")
    return dict(sorted(found.items()))


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                yield path
