"""`maskspot evaluate`."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import (
    ImageColumn,
    Model,
    TargetColumn,
    check_report,
    plain_values,
    progress_bar,
    say,
)
from maskspot.cli.destinations import Destinations
from maskspot.errors import DataError, UsageError
from maskspot.model.shipped import DEFAULT

if TYPE_CHECKING:
    from maskspot.inputs.items import Item
    from maskspot.reporting.album import Album

_Found = dict[str, float | None]


def evaluate(
    labels: Annotated[Path, typer.Argument(help="CSV of labels, 0 or 1.", metavar="LABELS.CSV")],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images to score: files, folders, patterns, archives, URLs.",
            metavar="IMAGES...",
            show_default=False,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "-p", "--predictions", help="Or what was predicted for them: CSV or JSON Lines."
        ),
    ] = None,
    model: Model = None,
    against: Annotated[
        Path | None, typer.Option(help="Another model's predictions, to compare with.")
    ] = None,
    slices: Annotated[
        Path | None, typer.Option(help="CSV that has more about the images, for --by.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Its column to slice by; may be given several times."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="From this probability on it counts as a mask.")
    ] = 0.5,
    cost: Annotated[
        str, typer.Option(help="What a false alarm and a missed mask cost.", metavar="FP:FN")
    ] = "1:1",
    resamples: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Of the bootstrap; 0: no intervals.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    report: Annotated[
        Path | None,
        typer.Option(help="HTML file to write: curves, a gallery of errors, the model's card."),
    ] = None,
    image_column: ImageColumn = None,
    target_column: TargetColumn = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> int:
    """Show how good probabilities are: metrics with 95 % intervals, slices, comparisons.

    Of the predictions of a file, or of a model for images; both are matched to the labels by name.
    """
    import numpy as np

    from maskspot.datasets.labels import Layout, read_labels
    from maskspot.evaluation.evaluate import Question
    from maskspot.evaluation.evaluate import evaluate as assess
    from maskspot.evaluation.prediction_files import read_columns, read_predictions

    images = images or []
    _check_options(bool(images), predictions, model, slices, by, report)
    destinations = Destinations({"--report": report})
    destinations.check([labels, predictions, model, against, slices, *images])
    question = Question(threshold, _cost(cost), resamples, seed)
    layout = Layout(image_column=image_column, target_column=target_column)
    targets = read_labels(labels, layout)
    columns = read_columns(slices, targets, by or []) if slices else {}
    other = read_predictions(against, targets, labels) if against else None
    album = _album(targets) if report else None
    if predictions:
        maker, ours = str(predictions), read_predictions(predictions, targets, labels)
        failures: dict[str, str] = {}
    else:
        maker, ours, failures = _predict(
            model, _labelled(images, targets, labels, destinations), album, quiet
        )
    sides = [(predictions, ours), *([(against, other)] if other else [])]
    failures |= _lacking(targets, sides, failures)
    used = [name for name in targets if name not in failures]
    if not used:
        raise DataError(f"{predictions or labels}: no labelled image has a probability")
    chosen = set(used)
    found = assess(
        [targets[name] for name in used],
        np.array([ours[name] for name in used], dtype=np.float64),
        slices={
            column: [cell for name, cell in zip(targets, cells, strict=True) if name in chosen]
            for column, cells in columns.items()
        },
        against=np.array([other[name] for name in used], dtype=np.float64) if other else None,
        question=question,
    )
    if report and album:
        from maskspot.reporting.evaluations import evaluation_page
        from maskspot.reporting.page import write_page

        said = {name: float(ours[name] or 0) for name in used}
        if predictions and images:
            album.photograph(_labelled(images, targets, labels, destinations), said)
        by_model = None if predictions else model or DEFAULT
        page = evaluation_page(
            found,
            targets,
            said,
            album.pictures(),
            predictions.name if predictions else maker,
            by_model,
            question.cost,
            failures,
        )
        write_page(page, report)
    if as_json:
        values = {"of": maker, "left_out": len(failures), **dataclasses.asdict(found)}
        print(json.dumps(plain_values(values), indent=2, allow_nan=False))
    else:
        from maskspot.cli.tables.evaluation import show

        show(found, question.cost, str(against))
    return 1 if failures else 0


def _check_options(
    images: bool,
    predictions: Path | None,
    model: str | None,
    slices: Path | None,
    by: list[str] | None,
    report: Path | None,
) -> None:
    """Refuse options that do not go together."""
    if not images and not predictions:
        raise UsageError("name images to score, or what was predicted with --predictions")
    if images and predictions and not report:
        raise UsageError("name images to score, or --predictions; both only for a --report")
    if predictions and model:
        raise UsageError("--model: the --predictions are made already; name images instead")
    if bool(slices) != bool(by):
        raise UsageError("--slices and --by: a CSV and its columns go together")
    if report:
        check_report(report)


def _album(targets: Mapping[str, int]) -> "Album":
    """Return what collects pictures for the report, those that are most wrong first."""
    from maskspot.reporting.album import Album

    return Album(lambda score: abs(targets[score.source] - (score.probability or 0)))


def _lacking(
    targets: Iterable[str], sides: Iterable[tuple[Path | None, _Found]], told: Mapping[str, str]
) -> dict[str, str]:
    """Return which images lack a probability, and why; what is new goes to stderr."""
    found = {}
    for name in targets:
        files = [file for file, probabilities in sides if probabilities[name] is None]
        if files and name not in told:
            found[name] = f"{files[0]} has no probability for it"
            say(f"{name}: left out, as {found[name]}")
    return found


def _labelled(
    images: list[str], targets: Mapping[str, int], labels: Path, destinations: Destinations
) -> "list[Item]":
    from maskspot.inputs.items import find_items
    from maskspot.inputs.names import match_items

    return match_items(list(targets), destinations.sparing(find_items(images)), labels)


def _cost(text: str) -> tuple[float, float]:
    try:
        false, missed = (float(part) for part in text.split(":"))
    except ValueError:
        false = missed = math.nan
    if not (0 < false < math.inf and 0 < missed < math.inf):
        raise UsageError(f"--cost: {text!r} is not two numbers above 0, such as 1:5")
    return false, missed


def _predict(
    model: str | None, items: "list[Item]", album: "Album | None", quiet: bool
) -> tuple[str, _Found, dict[str, str]]:
    """Return the model's id, each labelled image's probability, and why some have none."""
    from maskspot.model.predictor import Predictor
    from maskspot.scoring.pipeline import score

    predictor = Predictor(model or DEFAULT, device="auto")
    found: _Found = {}
    failures: dict[str, str] = {}
    watch, heatmap = (album.add, predictor.has_heatmap) if album else (None, False)
    with progress_bar(quiet, "images") as bar:
        task = bar.add_task("scoring", total=len(items)) if bar else None
        for each in score(predictor, items, heatmap=heatmap, watch=watch):
            if each.error is not None:
                failures[each.source] = each.error
                say(f"{each.source}: left out: {each.error}")
            found[each.source] = each.probability
            if bar and task is not None:
                bar.advance(task)
    return predictor.id, found, failures
