"""A competition's data in a folder: downloaded, taken from archives on disk, or drawn."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from maskspot.arguments import argument, check_bounds, make_paths
from maskspot.errors import DataError, UsageError
from maskspot.files import locked, replacing, sha256
from maskspot.progress import SILENT, Progress
from maskspot.zindi.account import Ask, ZindiAccount, connect
from maskspot.zindi.competition import COMPETITION, SHA256
from maskspot.zindi.unpack import unpack

if TYPE_CHECKING:
    from maskspot.datasets.labels import Layout
    from maskspot.datasets.survey import Survey
    from maskspot.zindi.client import Zindi

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""Endings, in lower case, of the files that are unpacked into `images/`."""


@dataclass(frozen=True)
class FetchSource:
    """Where the data comes from; by default from Zindi."""

    sources: tuple[Path, ...] = argument(
        (),
        help="Take an archive or a CSV from disk, or all of a folder; may be repeated.",
        names=("from",),
        rich_help_panel="Input",
    )
    demo: bool = argument(
        False, help="Draw a small data set instead; needs no network.", rich_help_panel="Input"
    )
    seed: int = argument(
        0, help="Seed of the drawings of the demo.", least=0, rich_help_panel="Input"
    )

    def __post_init__(self) -> None:
        make_paths(self, "sources")
        check_bounds(self)


def fetch(
    folder: str | PurePath,
    source: FetchSource | None = None,
    layout: "Layout | None" = None,
    account: ZindiAccount | None = None,
    ask: Ask | None = None,
    progress: Progress = SILENT,
) -> "Survey":
    """Get a competition's photos and labels, ready for training.

    Files that are in the folder already are neither downloaded again nor replaced; after an
    interruption, the next call continues.

    Args:
        folder: the folder to fill; it is made if it does not exist.
        source: where the data comes from.
        layout: columns of the labels, if they cannot be recognised.
        account: the competition of Zindi, and who takes part in it.
        ask: asks a person for the password of `account`, where that is needed.
        progress: told what is done.

    Returns:
        What the folder holds then. Every image was read to its end, except for the demo.

    Raises:
        UsageError: the arguments contradict each other, or a source is invalid.
        ServiceError: Zindi does not answer, or refuses.
        DataError: an archive is damaged or hostile, or a file of the user is in the way.
    """
    from maskspot.datasets.survey import survey

    folder, source = Path(folder), source or FetchSource()
    if source.demo:
        return _draw(folder, source, progress)
    if source.sources:
        _take(source.sources, folder, progress)
    elif folder.is_dir() and survey(folder, layout, decode=False).complete:
        progress.say(f"{folder}: nothing to download")
    else:
        with connect(account, ask, progress) as zindi:
            _download(zindi, folder, progress)
    return survey(folder, layout, progress=progress)


def _draw(folder: Path, source: FetchSource, progress: Progress) -> "Survey":
    if source.sources:
        raise UsageError("`demo` draws its own images; leave out `sources`")
    from maskspot.datasets.demo import draw
    from maskspot.datasets.survey import survey

    with progress.step("drawing the images"):
        draw(folder, seed=source.seed)
    return survey(folder, decode=False)


def _download(zindi: "Zindi", folder: Path, progress: Progress) -> None:
    """Download the CSVs and archives that the folder lacks, and unpack the archives."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        with progress.step("listing the files"):
            names = [name for name in zindi.files() if _is_archive(name) or _is_csv(name)]
        absent = [name for name in names if not (folder / name).exists()]
        if absent:
            zindi.join()
        for name in absent:
            zindi.download(name, folder / name, progress)
        if zindi.competition == COMPETITION:
            for name in names:
                if name in SHA256 and sha256(folder / name) != SHA256[name]:
                    progress.warn(f"{folder / name}: differs from the file known by this name")
        _unpack_all([folder / name for name in names if _is_archive(name)], folder, progress)


def _take(sources: Iterable[Path], folder: Path, progress: Progress) -> None:
    """Fill a folder from CSVs, archives and folders of them, which stay where they are."""
    files = [file for source in sources for file in _files_of(source)]
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        for file in files:
            if _is_csv(file.name):
                _copy(file, folder / file.name)
        _unpack_all([file for file in files if _is_archive(file.name)], folder, progress)


def _copy(file: Path, target: Path) -> None:
    if not target.exists():
        with replacing(target) as beside:
            shutil.copyfile(file, beside)
    elif not target.samefile(file) and target.read_bytes() != file.read_bytes():
        raise DataError(f"{target} exists and differs from {file}; move one of them away")


def _files_of(source: Path) -> list[Path]:
    if source.is_dir():
        found = [
            file
            for file in sorted(source.iterdir())
            if file.is_file() and (_is_csv(file.name) or _is_archive(file.name))
        ]
        if not found:
            raise _invalid(f"{source} has no CSV and no archive ({', '.join(ARCHIVES)})")
        return found
    if not source.is_file():
        raise _invalid(f"{source}: no such file")
    if not (_is_csv(source.name) or _is_archive(source.name)):
        raise _invalid(f"{source} is neither a CSV nor an archive")
    return [source]


def _invalid(problem: str) -> UsageError:
    return UsageError(problem, argument="sources")


def _unpack_all(archives: list[Path], folder: Path, progress: Progress) -> None:
    """Unpack into `images/`; several archives each into a folder of their own in it."""
    for archive in archives:
        inner = folder / "images"
        target = inner if len(archives) == 1 else inner / archive.name.split(".")[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        unpack(archive, target, progress=progress)


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES) and not name.startswith(".")


def _is_csv(name: str) -> bool:
    return PurePath(name).suffix.lower() == ".csv" and not name.startswith(".")
