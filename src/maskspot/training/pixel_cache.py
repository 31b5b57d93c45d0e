"""A memory-mapped cache of decoded images, so that each is decoded once."""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskspot.errors import DataError, ImageError
from maskspot.files import replacing, write_text
from maskspot.images import Preprocessing
from maskspot.progress import SILENT, Progress

# Part of every key: raise it whenever `images` decodes the same bytes to other pixels.
_DECODER = 1


@dataclass(frozen=True)
class Pixels:
    """Decoded images.

    Attributes:
        array: uint8 (N, S, S, 3), memory-mapped, read-only; zeros where an image is unreadable.
        errors: what is wrong with unreadable images, by index.
        key: hash of the files' content, their order and the preprocessing, in hexadecimal.
    """

    array: NDArray[np.uint8]
    errors: dict[int, str]
    key: str


def load_pixels(
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    folder: Path,
    progress: Progress = SILENT,
) -> Pixels:
    """Return the images' pixels, from the cache in `folder` or decoded into it.

    Its key is the content of the files, their order and the preprocessing, so it is never stale.
    It may be deleted at any time.

    Args:
        paths: the image files.
        preprocessing: how they become square.
        folder: where caches are kept; it is created if it is missing.
        progress: is told how many images are decoded.

    Raises:
        DataError: a file is missing, or the disk is too small for the cache.
    """
    with ThreadPoolExecutor() as pool:
        try:
            with progress.step("reading images"):
                digests = list(pool.map(_digest, paths))
        except OSError as error:
            raise DataError(f"{error.filename}: {error.strerror}") from None
        key = hashlib.sha256(
            json.dumps([_DECODER, preprocessing.to_dict(), digests]).encode()
        ).hexdigest()
        file = folder / f"pixels-{key[:20]}.npy"
        cached = _open(file, key, paths, preprocessing)
        if cached is None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                errors = _decode_all(pool, paths, preprocessing, file, progress)
                write_text(file.with_suffix(".json"), json.dumps(errors))
            except OSError as error:
                raise DataError(f"{folder}: cannot write decoded images ({error})") from None
            cached = _open(file, key, paths, preprocessing)
    if cached is None:
        raise DataError(f"{folder}: decoded images changed while they were read; start again")
    return cached


def _open(
    file: Path, key: str, paths: Sequence[Path], preprocessing: Preprocessing
) -> Pixels | None:
    """Return what is cached; None if nothing is, it is damaged, or more images are readable now.

    Another Pillow, or a plug-in, may read an image that was unreadable.
    """
    try:
        reasons = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        errors = {int(row): str(reason) for row, reason in reasons.items()}
        array = np.load(file, mmap_mode="r")
        if len(array) != len(paths):
            return None
        for row in errors:
            with contextlib.suppress(ImageError):
                preprocessing.read(paths[row])
                return None
    except (OSError, ValueError, EOFError, IndexError):
        return None
    return Pixels(array, errors, key)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decode_all(
    pool: ThreadPoolExecutor,
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    file: Path,
    progress: Progress,
) -> dict[int, str]:
    shape = (len(paths), preprocessing.size, preprocessing.size, 3)
    errors: dict[int, str] = {}

    def decode(index: int) -> None:
        try:
            array[index] = preprocessing.read(paths[index])
        except ImageError as error:
            errors[index] = str(error)

    with replacing(file) as beside, progress.step("decoding", "images", len(paths)) as step:
        array = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=shape)
        for done, _ in enumerate(pool.map(decode, range(len(paths))), 1):
            step.update(done)
        array.flush()
    return errors
