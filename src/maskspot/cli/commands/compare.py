"""`maskspot compare`."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import ImageColumn, TargetColumn, plain_values, progress_bar, say, warn
from maskspot.cli.destinations import Destinations
from maskspot.errors import MissingExtraError, UsageError
from maskspot.extras import require_train

if TYPE_CHECKING:
    from maskspot.comparing.compare import Comparison
    from maskspot.comparing.quality import Exam

_ENDINGS = (".png", ".svg", ".pdf")


def _training(help: str, **options: Any) -> Any:
    return typer.Option(help=help, rich_help_panel="Training, with --train", **options)


def compare(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs' folders, model files, shipped models' names.",
            metavar="RUN|MODEL...",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels, 0 or 1, by which all are judged.", metavar="LABELS.CSV"),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Their images; may be given several times.", metavar="IMAGES"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Plot to write: .png, .svg or .pdf.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Of measuring the latency.")] = 20,
    resamples: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Of the bootstrap; 0: no intervals.")
    ] = 2000,
    image_column: ImageColumn = None,
    target_column: TargetColumn = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
    train: Annotated[
        str | None,
        _training("Backbones to train, and to compare too.", metavar="NAME,NAME,..."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        _training("Folder of labelled images to train on; may be given several times."),
    ] = None,
    name: Annotated[str, _training("Their runs are NAME-BACKBONE.")] = "compare",
    runs: Annotated[Path, _training("Folder that runs are kept in.")] = Path("runs"),
    config: Annotated[
        Path | None, _training("TOML or JSON file of settings; options win over it.")
    ] = None,
    weights: Annotated[str | None, _training("What they start from.")] = None,
    size: Annotated[int | None, _training("Side of the square input, in pixels.")] = None,
    epochs: Annotated[int | None, _training("Epochs at most.")] = None,
    folds: Annotated[
        int | None, _training("Networks of each, each without one part of the images.")
    ] = None,
    seed: Annotated[int | None, _training("Of the split, the shuffles, the augmentation.")] = None,
) -> int:
    """Show how good models are and what they cost, as a table and a plot.

    Log loss and accuracy against parameters, file size and latency, with the Pareto front.
    """
    settings = {"weights": weights, "size": size, "epochs": epochs, "folds": folds, "seed": seed}
    given = {key: value for key, value in settings.items() if value is not None}
    if not (models or train):
        raise UsageError("name runs or models to compare, or backbones to --train")
    if bool(train) != bool(data) or (not train and (config or given)):
        raise UsageError("--train and --data: backbones and images to train them on go together")
    if bool(labels) != bool(images):
        raise UsageError("--labels and --images: a CSV and the images it names go together")
    if "-" in (images or []):
        raise UsageError("--images: -, as each model reads the images; name files")
    from maskspot.comparing.compare import Listener
    from maskspot.comparing.compare import compare as compare_models
    from maskspot.evaluation.evaluate import Question

    destinations = Destinations({"--output": output})
    destinations.check([labels, config, *(models or []), *(images or [])])
    for folder in data or []:
        destinations.check_data(folder)
    failures: list[str] = []

    def failed(image: str, reason: str) -> None:
        failures.append(image)
        say(f"{image}: left out: {reason}")

    with _plot(output) if output else nullcontext() as draw:
        exam = None
        if labels:
            exam = _exam(labels, images or [], image_column, target_column, destinations)
        chosen = list(models or [])
        if train:
            chosen += _train(train, data or [], name, runs, config, given, quiet)
        with _progress(quiet) as step:
            comparison = compare_models(
                chosen,
                exam,
                rounds=rounds,
                question=Question(resamples=resamples),
                listener=Listener(step, failed),
            )
        if draw:
            draw(comparison)
    if not comparison.same_images:
        warn("not judged by the same images; --labels and --images name some for all")
    if as_json:
        print(json.dumps(_values(comparison, len(failures)), indent=2, allow_nan=False))
    else:
        from maskspot.cli.tables.comparison import show

        show(comparison)
    return 1 if failures else 0


def _exam(
    labels: Path,
    images: Sequence[str],
    image_column: str | None,
    target_column: str | None,
    destinations: Destinations,
) -> "Exam":
    from maskspot.comparing.quality import Exam
    from maskspot.datasets.labels import Layout, read_labels
    from maskspot.inputs.items import find_items
    from maskspot.inputs.names import match_items

    targets = read_labels(labels, Layout(image_column=image_column, target_column=target_column))
    items = destinations.sparing(find_items(images))
    return Exam(labels, targets, match_items(list(targets), items, labels))


def _train(
    backbones: str,
    data: Sequence[Path],
    name: str,
    runs: Path,
    config: Path | None,
    given: Mapping[str, Any],
    quiet: bool,
) -> list[str]:
    """Train backbones where that is not done yet, and return their runs' folders."""
    from maskspot.cli.commands.train import anywhere, carry_out, run_folder
    from maskspot.training.presets import resolve

    names = list(dict.fromkeys(each.strip() for each in backbones.split(",")))
    settings = anywhere(resolve(None, config, given))
    folders = {each: run_folder(runs, f"{name}-{each}", each) for each in names}
    require_train("maskspot compare --train")
    from maskspot.comparing.training import open_runs

    for run, new in open_runs(folders, settings, data):
        carry_out(run, new, quiet)
    return list(map(str, folders.values()))


@contextmanager
def _plot(output: Path) -> Iterator[Callable[["Comparison"], None]]:
    """Give what draws a plot; a plot that cannot be written is refused before any work."""
    if output.suffix.lower() not in _ENDINGS:
        raise UsageError(f"--output: {output} is no name of a plot: {', '.join(_ENDINGS)}")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("maskspot compare --output", "report")
    from maskspot.extras import import_matplotlib
    from maskspot.files import replacing

    import_matplotlib()
    with replacing(output) as beside:

        def draw(comparison: "Comparison") -> None:
            from maskspot.comparing.plot import draw

            draw(comparison, beside)

        yield draw


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give what shows how far the work is, where a person looks."""
    with progress_bar(quiet, "steps") as bar:
        task = bar.add_task("loading", total=None) if bar else None

        def step(what: str, done: int, total: int) -> None:
            if bar and task is not None:
                bar.update(task, description=what, completed=done, total=total)

        yield step


def _values(comparison: "Comparison", left_out: int) -> Any:
    """Return what JSON says."""
    from maskspot.comparing.compare import COSTS, METRICS

    fronts = {
        (metric, cost): comparison.front(metric, cost) for metric in METRICS for cost in COSTS
    }
    return plain_values(
        {
            "same_images": comparison.same_images,
            "left_out": left_out,
            "rounds": comparison.rounds,
            "models": [
                {
                    **dataclasses.asdict(entry),
                    "front": {
                        metric: {cost: fronts[metric, cost][at] for cost in COSTS}
                        for metric in METRICS
                    },
                }
                for at, entry in enumerate(comparison.entries)
            ],
        }
    )
