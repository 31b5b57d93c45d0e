"""Backbones trained alike, to be compared: on the same data, folds and settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from maskspot.datasets.labels import read_folders
from maskspot.errors import UsageError
from maskspot.training.run import Run
from maskspot.training.settings import Settings


def open_runs(
    folders: Mapping[str, Path], settings: Settings, data: Sequence[Path]
) -> Iterator[tuple[Run, bool]]:
    """Yield a run for each backbone, and whether it is new; it is for the caller to train it.

    One that is there goes on, or is finished. A new one is made when its turn comes, after all
    that is known to be wrong has been refused.

    Args:
        folders: of the runs, by backbone.
        settings: of all of them, but for the backbone.
        data: folders of labelled images.

    Raises:
        UsageError: a backbone is none, or a run that is there has other settings or data.
        DataError: the data cannot be used, or a folder that is there is no run.
    """
    wanted = {name: replace(settings, backbone=name) for name in folders}
    read_folders(data, settings.layout)
    for name, folder in folders.items():
        if folder.exists():
            _check(Run.open(folder), wanted[name], data)
    for name, folder in folders.items():
        new = not folder.exists()
        yield Run.create(folder, wanted[name], data) if new else Run.open(folder), new


def _check(run: Run, settings: Settings, data: Sequence[Path]) -> None:
    """Refuse a run that is there but is not the one that is asked for."""
    theirs, ours = asdict(run.settings), asdict(settings)
    differing = [
        f"{key} {theirs[key]}, not {ours[key]}" for key in ours if theirs[key] != ours[key]
    ]
    if run.data != [path.resolve() for path in data]:
        differing.append(f"data {', '.join(map(str, run.data))}")
    if differing:
        raise UsageError(f"{run.folder} exists with {differing[0]}: take another --name")
