"""Backbones trained on the same data, folds and settings, to be compared."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from maskspot.comparing.options import BackboneTraining
from maskspot.errors import UsageError
from maskspot.exporting.export import export
from maskspot.progress import Progress
from maskspot.training.presets import with_absolute_paths
from maskspot.training.run import Run
from maskspot.training.settings import Settings
from maskspot.training.train import resume, run_folder, train


def train_backbones(
    training: BackboneTraining, settings: Settings, progress: Progress
) -> Iterator[Run]:
    """Train backbones, and yield their runs. Finished runs are not trained again.

    Everything that is known to be wrong is refused before any training.

    Args:
        training: the backbones, their data, and where runs are kept.
        settings: of all runs, except for the backbone.
        progress: is told how training proceeds.

    Raises:
        UsageError: there is no such backbone, or a run exists with other settings or data.
        DataError: the data cannot be used, or a folder that exists is not a run.
    """
    shared = with_absolute_paths(settings)
    wanted = {each: replace(shared, backbone=each) for each in dict.fromkeys(training.backbones)}
    folders = {each: run_folder(training.runs, f"{training.name}-{each}", each) for each in wanted}
    existing = {each: Run.open(folder) for each, folder in folders.items() if folder.exists()}
    for backbone, run in existing.items():
        _check(run, wanted[backbone], training)
    for backbone, folder in folders.items():
        if backbone in existing:
            yield resume(existing[backbone], export=export, progress=progress)
        else:
            yield train(
                training.data,
                wanted[backbone],
                name=folder.name,
                runs=training.runs,
                export=export,
                progress=progress,
            )


def _check(run: Run, settings: Settings, training: BackboneTraining) -> None:
    """Refuse a run that has other settings or data."""
    actual, expected = asdict(run.settings), asdict(settings)
    differing = [
        f"{key} {actual[key]}, not {expected[key]}"
        for key in expected
        if actual[key] != expected[key]
    ]
    if run.data != [path.resolve() for path in training.data]:
        differing.append(f"data {', '.join(map(str, run.data))}")
    if differing:
        raise UsageError(f"{run.folder} exists with {differing[0]}: choose another `name`")
