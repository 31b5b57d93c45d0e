"""`maskspot train`."""

import inspect
import shutil
from collections.abc import Callable, Sequence
from dataclasses import Field, fields, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import progress_bar, say, warn, with_parameters
from maskspot.datasets.labels import read_folders
from maskspot.errors import UsageError
from maskspot.extras import require_train
from maskspot.training.presets import PRESETS, resolve
from maskspot.training.settings import WEIGHTS, Settings, setting_types

if TYPE_CHECKING:
    from rich.progress import Progress

    from maskspot.datasets.labels import Labelled
    from maskspot.training.run import Row, Run


def _help(spec: Field[Any]) -> str:
    text: str = spec.metadata["help"]
    choices = spec.metadata["choices"]
    return (
        text
        + (f": {', '.join(choices)}" if choices else "")
        + (f" (default: {spec.default})" if spec.default is not None else "")
    )


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting, in place of its `**options`."""
    *own, _ = inspect.signature(command).parameters.values()
    types = setting_types()
    options = [
        inspect.Parameter(
            spec.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                types[spec.name] | None,
                typer.Option(
                    help=_help(spec),
                    show_default=False,
                    rich_help_panel="Settings, with the values of the preset default",
                ),
            ],
        )
        for spec in fields(Settings)
    ]
    return with_parameters(command, [*own, *options])


@_with_settings
def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of labelled images: a labels CSV with images beside it or in images/, "
            "or one folder for each class.",
            metavar="DATA...",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the run.", show_default="the backbone's and a number")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder that runs are kept in.")] = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run, as it was set.", metavar="RUN")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Settings to begin with.", metavar="|".join(PRESETS)),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML or JSON file of settings; options win over it.")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
    **options: Any,
) -> None:
    """Train a network on labelled photos; leaves runs/NAME, which export turns into a model.

    Ctrl-C stops it; --resume goes on from the last finished epoch.
    """
    given = {key: value for key, value in options.items() if value is not None}
    if resume and (data or name or preset or config or given):
        raise UsageError("--resume goes on as the run was set: no DATA and no settings beside it")
    if not resume and not data:
        raise UsageError("name the folder of labelled images: maskspot train DATA")
    settings = None if resume else resolve(preset, config, given)
    require_train("maskspot train")
    from maskspot.training.run import Run

    if resume:
        run = Run.open(resume)
    else:
        assert data
        assert settings
        read_folders(data, settings.layout)  # refuse bad data before a folder is made
        settings = anywhere(settings)
        run = Run.create(run_folder(runs, name, settings.backbone), settings, data)
    carry_out(run, not resume, quiet)
    if not quiet:
        say(f"now: maskspot export {run.folder} -o model.onnx")
    print(run.folder)


def carry_out(run: "Run", new: bool, quiet: bool) -> None:
    """Train a run to its end, and tell of it on stderr.

    Args:
        run: it goes on from where it stands.
        new: it was made for this; if it fails with nothing in it to keep, it goes away.
        quiet: tell of nothing but warnings.
    """
    from maskspot.training.train import train as train_run

    try:
        with progress_bar(quiet, "images") as bar:
            metrics = train_run(run, _Display(bar, quiet, run.settings.epochs))
    except KeyboardInterrupt:
        say(f"stopped; go on with: maskspot train --resume {run.folder}")
        raise
    except Exception:
        if new and not any(run.folder.rglob(run.checkpoint.name)):
            shutil.rmtree(run.folder)
        raise
    if not quiet:
        say(f"{run.folder}: {_outcome(metrics)}")


def anywhere(settings: Settings) -> Settings:
    """Make the files that settings name such as a resume finds from any folder."""
    named = {"init": settings.init, "teacher": settings.teacher, "repeat": settings.repeat}
    if settings.weights not in WEIGHTS:
        named["weights"] = settings.weights
    files = {key: Path(value).expanduser() for key, value in named.items() if value}
    found: dict[str, Any] = {
        key: str(file.resolve()) for key, file in files.items() if file.exists()
    }
    return replace(settings, **found)


def run_folder(runs: Path, name: str | None, backbone: str) -> Path:
    """Return the folder of a run, in that of all runs; one without a name gets a number.

    Raises:
        UsageError: the name is none of a folder.
    """
    if name is None:
        return next(
            folder for number in count(1) if not (folder := runs / f"{backbone}-{number}").exists()
        )
    if not name or Path(name).name != name or name.startswith("."):
        raise UsageError(f"--name: {name!r} is no plain name of a folder; --runs says where")
    return runs / name


def _outcome(metrics: dict[str, Any]) -> str:
    names = {"log_loss": "log loss", "accuracy": "accuracy", "auc": "AUC"}
    scores = metrics["validation"]
    if "folds" not in metrics:
        values = ", ".join(f"{word} {scores[name]:.4f}" for name, word in names.items())
        return f"kept epoch {metrics['kept_epoch']} of {metrics['epochs']}; validation {values}"
    values = ", ".join(
        f"{word} {scores[name]:.4f} ({metrics['mean'][name]:.4f} ± {metrics['sd'][name]:.4f})"
        for name, word in names.items()
    )
    return f"{metrics['folds']} folds; out of fold (mean ± sd of the folds): {values}"


class _Display:
    """Shows training on stderr: a bar for the whole run, a line for each finished epoch."""

    def __init__(self, bar: "Progress | None", quiet: bool, epochs: int) -> None:
        self.bar, self.quiet, self.epochs = bar, quiet, epochs
        self.task = bar.add_task("decoding", total=None) if bar else None

    def data(self, images: "Sequence[Labelled]") -> None:
        masks = sum(item.target for item in images)
        self._line(f"{len(images)} images: {masks} with a mask, {len(images) - masks} without")
        self._update(total=len(images))

    def fold(self, number: int, folds: int) -> None:
        self._line(f"fold {number} of {folds}")

    def balanced(self, before: float, after: float) -> None:
        self._line(
            f"sizes, formats and sources predict the label with AUC {before:.2f}; "
            f"by the images' weights {after:.2f} (chance 0.50)"
        )

    def decoded(self, count: int) -> None:
        self._update(advance=count)

    def skipped(self, item: "Labelled", reason: str) -> None:
        warn(f"{item.path}: {reason}; left out")

    def step(self, epoch: int, step: int, steps: int, loss: float, speed: float) -> None:
        self._update(
            description=f"epoch {epoch}/{self.epochs}  loss {loss:.4f}",
            total=self.epochs * steps,
            completed=(epoch - 1) * steps + step,
            speed=speed,
        )

    def epoch(self, row: "Row", best: bool) -> None:
        self._line(
            f"epoch {row['epoch']:g}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}; "
            f"validation loss {row['val_loss']:.4f}, accuracy {row['val_accuracy']:.4f}"
            f"{' (best)' if best else ''}; {row['images_per_second']:.0f} images/s"
        )

    def _line(self, text: str) -> None:
        if not self.quiet:
            say(text)

    def _update(self, **values: Any) -> None:
        if self.bar and self.task is not None:
            self.bar.update(self.task, **values)
