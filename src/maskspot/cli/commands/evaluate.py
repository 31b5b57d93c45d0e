"""`maskspot evaluate`."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import plain_values, say
from maskspot.cli.options import AsJson, Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.errors import UsageError
from maskspot.evaluation.question import Question
from maskspot.evaluation.sources import LabelFiles, PredictionSource

if TYPE_CHECKING:
    from maskspot.evaluation.evaluate_model import Evaluation

EXAMPLES = (
    "maskspot evaluate photos/train_labels.csv photos/images --worst 10",
    "maskspot evaluate photos/train_labels.csv photos/images --report quality.html",
)


@with_options
def evaluate(
    labels: LabelFiles,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images to score: files, folders, patterns, archives, URLs.",
            metavar="IMAGES...",
            show_default=False,
        ),
    ] = None,
    *,
    source: PredictionSource,
    question: Question,
    report: Annotated[
        Path | None,
        typer.Option(
            help="HTML file to write: curves, a gallery of errors, the model's card.",
            metavar="FILE",
            rich_help_panel="Output",
        ),
    ] = None,
    worst: Annotated[
        int,
        typer.Option(
            help="List the N images that are most wrong.",
            metavar="N",
            min=0,
            rich_help_panel="Output",
        ),
    ] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Compute metrics of probabilities with 95 % intervals, by slices, and against another model.

    The probabilities are those of a file, or those that a model gives to images; both are matched
    to the labels by name.
    """
    from maskspot.evaluation.evaluate_model import evaluate_model
    from maskspot.inputs.items import find_items

    if images and source.predictions and not report:
        raise UsageError("name images to score, or --predictions; both only for a --report")
    from maskspot.outputs.conflicts import OutputFiles, check_report

    if report:
        check_report(report)
    outputs = OutputFiles({"report": report})
    read = [labels.labels, labels.slices, source.predictions, source.model, source.against]
    outputs.check([*read, *(images or [])])
    items = outputs.check_items(find_items(images)) if images else None
    with showing(quiet) as progress:
        if report:
            from maskspot.reporting.album import Album
            from maskspot.reporting.evaluations import evaluation_page
            from maskspot.reporting.page import write_page

            album = Album()
            evaluation = evaluate_model(
                labels, items, source, question, watch=album.add_by_error, progress=progress
            )
            with progress.step("writing the report"):
                write_page(evaluation_page(evaluation, album.pictures()), report)
        else:
            evaluation = evaluate_model(labels, items, source, question, progress=progress)
    for name, reason in evaluation.failures.items():
        say(f"{name}: left out: {reason}")
    if as_json:
        print(json.dumps(_values(evaluation, worst), indent=2, allow_nan=False))
    else:
        from maskspot.cli.tables.evaluation import show

        show(evaluation, worst)
    return 1 if evaluation.failures else 0


def _values(evaluation: "Evaluation", worst: int) -> object:
    """Return what JSON says."""
    found = {
        "quality": dataclasses.asdict(evaluation.quality),
        "slices": [dataclasses.asdict(each) for each in evaluation.slices],
        "comparison": evaluation.comparison and dataclasses.asdict(evaluation.comparison),
        "worst": [dataclasses.asdict(each) for each in evaluation.worst(worst)],
    }
    return plain_values({"of": evaluation.of, "left_out": len(evaluation.failures), **found})
