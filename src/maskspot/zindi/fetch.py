"""A competition's data on disk: downloaded, or taken from archives at hand, and unpacked."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol

from maskspot.errors import DataError, UsageError
from maskspot.files import locked, replacing, sha256
from maskspot.zindi.competition import COMPETITION, SHA256
from maskspot.zindi.unpack import unpack

if TYPE_CHECKING:
    from maskspot.zindi.client import Zindi

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""Endings, in lower case, of the files that are unpacked into `images/`."""


class Listener(Protocol):
    """Who is told how fetching goes."""

    def begin(self, what: str, unit: str) -> Callable[[int, int | None], None]:
        """Something begins; the function returned is told how much of it is done, and of what."""

    def warn(self, text: str) -> None:
        """Something is odd, and no error."""


def fetch(zindi: "Zindi", folder: Path, listener: Listener) -> None:
    """Download what the folder lacks of a competition's CSVs and archives, and unpack these.

    Files that are there are left as they are.

    Raises:
        ServiceError: the service does not answer, or refuses.
        DataError: an archive is damaged or hostile, or differs from images that are there, or
            another process fills the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        names = [name for name in zindi.files() if _is_archive(name) or _is_csv(name)]
        absent = [name for name in names if not (folder / name).exists()]
        if absent:
            zindi.join()
        for name in absent:
            zindi.download(name, folder / name, listener.begin(name, "bytes"))
        if zindi.competition == COMPETITION:
            for name in names:
                if name in SHA256 and sha256(folder / name) != SHA256[name]:
                    listener.warn(f"{folder / name}: not the file that was known by this name")
        _unpack_all([folder / name for name in names if _is_archive(name)], folder, listener)


def take(sources: Iterable[Path], folder: Path, listener: Listener) -> None:
    """Make the same of CSVs and archives that are on disk; they stay where they are.

    Args:
        sources: CSVs, archives, and folders of them.
        folder: to fill; made if need be.
        listener: told how it goes.

    Raises:
        UsageError: a source is none of these.
        DataError: an archive is damaged or hostile, or the folder has other files of such names.
    """
    files = [file for source in sources for file in _files_of(source)]
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        for file in files:
            if _is_csv(file.name):
                _copy(file, folder / file.name)
        _unpack_all([file for file in files if _is_archive(file.name)], folder, listener)


def _copy(file: Path, target: Path) -> None:
    if not target.exists():
        with replacing(target) as beside:
            shutil.copyfile(file, beside)
    elif not target.samefile(file) and target.read_bytes() != file.read_bytes():
        raise DataError(f"{target} is there and differs from {file}: move one of them away")


def _files_of(source: Path) -> list[Path]:
    if source.is_dir():
        found = [
            file
            for file in sorted(source.iterdir())
            if file.is_file() and (_is_csv(file.name) or _is_archive(file.name))
        ]
        if not found:
            raise UsageError(f"--from: {source} has no CSV and no archive ({', '.join(ARCHIVES)})")
        return found
    if not source.is_file():
        raise UsageError(f"--from: {source}: no such file")
    if not (_is_csv(source.name) or _is_archive(source.name)):
        raise UsageError(f"--from: {source} is neither a CSV nor an archive")
    return [source]


def _unpack_all(archives: list[Path], folder: Path, listener: Listener) -> None:
    """Unpack into `images/`; several archives each into a folder of their own in it."""
    for archive in archives:
        inner = folder / "images"
        target = inner if len(archives) == 1 else inner / archive.name.split(".")[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        unpack(archive, target, done=listener.begin(archive.name, "files"))


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES) and not name.startswith(".")


def _is_csv(name: str) -> bool:
    return PurePath(name).suffix.lower() == ".csv" and not name.startswith(".")
