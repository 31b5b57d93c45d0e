"""`maskspot train`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from maskspot.cli.console import say
from maskspot.cli.options import Partial, Quiet, completed, with_options
from maskspot.cli.progress import showing
from maskspot.errors import UsageError
from maskspot.training.presets import PRESETS, resolve
from maskspot.training.settings import SECTIONS, Settings

_RUN = "Run"

EXAMPLES = (
    "maskspot train photos --name mine",
    "maskspot train photos --folds 5 --epochs 20",
    "maskspot train --resume runs/mine",
)


@with_options
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
        str | None,
        typer.Option(
            help="Name of the run.",
            metavar="NAME",
            show_default="the backbone and a number",
            rich_help_panel=_RUN,
        ),
    ] = None,
    runs: Annotated[
        Path,
        typer.Option(help="Folder that runs are kept in.", metavar="DIR", rich_help_panel=_RUN),
    ] = Path("runs"),
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Run to continue, with its own settings.", metavar="RUN", rich_help_panel=_RUN
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Settings to start from.",
            metavar="|".join(PRESETS),
            autocompletion=completed(PRESETS),
            rich_help_panel=_RUN,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML or JSON file of settings; options override it.",
            metavar="FILE",
            rich_help_panel=_RUN,
        ),
    ] = None,
    *,
    settings: Annotated[
        Mapping[str, Any],
        Partial(Settings, panels=SECTIONS),
    ],
    quiet: Quiet = False,
) -> None:
    """Train a network on labelled photos; writes runs/NAME, which export turns into a model.

    The defaults below are those of the preset default. Ctrl-C stops it; --resume continues from the
    last finished epoch.
    """
    if resume and (data or name or preset or config or settings):
        raise UsageError("--resume keeps the settings of the run: give no DATA or settings with it")
    if not resume and not data:
        raise UsageError("name a folder of labelled images: maskspot train DATA")
    chosen = None if resume else resolve(preset, config, settings)
    from maskspot.exporting.export import export
    from maskspot.training import train as training

    try:
        with showing(quiet) as progress:
            if resume:
                run = training.resume(resume, export=export, progress=progress)
            else:
                run = training.train(
                    data or [], chosen, name=name, runs=runs, export=export, progress=progress
                )
    except training.TrainingStopped as stopped:
        say(f"stopped; continue with: maskspot train --resume {stopped.run.folder}")
        raise
    if not quiet:
        say(f"{run.folder}: {_outcome(run.metrics() or {})}")
        say(f"next: maskspot export {run.folder} -o model.onnx")
    print(run.folder)


def _outcome(metrics: Mapping[str, Any]) -> str:
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
