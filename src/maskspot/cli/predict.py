"""`maskspot predict`."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import Model, check_report, progress_bar, say, warn
from maskspot.cli.pictures import report_of, watching
from maskspot.cli.sources import check_output, count_images, find
from maskspot.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from maskspot.cache import Cache
    from maskspot.inputs import Item
    from maskspot.journal import Journal
    from maskspot.outputs import Counts, Form
    from maskspot.predictor import Predictor
    from maskspot.results import Score

_STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Images, folders, patterns, zip and tar archives, URLs; - for an image's bytes "
            "on standard input.",
            metavar="IMAGES...",
            show_default=False,
        ),
    ] = None,
    listing: Annotated[
        str | None,
        typer.Option("--from", help="File that lists them, one to a line; - for standard input."),
    ] = None,
    column: Annotated[str | None, typer.Option(help="Its column, where it is a CSV.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File to write.", show_default="standard output, as with -"
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(help="csv, jsonl or parquet.", show_default="by the output's ending, or csv"),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Write what is known of each image, too.")
    ] = False,
    threshold: Annotated[
        float | None, typer.Option(help="Add a label: 1 from this probability on.")
    ] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Most probable first.")] = False,
    top: Annotated[
        int | None, typer.Option(min=1, help="Only the most probable, so many of them.")
    ] = None,
    model: Model = None,
    sample: Annotated[
        Path | None,
        typer.Option(help="Sample submission whose header, rows and order to follow."),
    ] = None,
    on_error: Annotated[
        str | None,
        typer.Option(
            help="An image that cannot be scored: blank (a row without probability), skip (no "
            "row), fail (no output) or fill=VALUE.",
            show_default="blank; fail with --sample",
        ),
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(help="Folder for a picture of each image that shows where the mask is."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="HTML file to write: a gallery, a histogram, the model's card."),
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(help="Go on with what a stopped run left, or drop it."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="File that keeps scores by content; equal images are scored once."),
    ] = None,
    device: Annotated[
        str,
        typer.Option(help="cpu, cuda, tensorrt, rocm, directml, coreml, openvino; auto for any."),
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads.", show_default="one for each CPU")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images to a thread.", show_default="1; 32 on other devices"),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(min=1, help="Refuse larger images.", show_default="178956970"),
    ] = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Decode large JPEGs in less detail, and faster.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> int:
    """Score images: how likely does each show at least one face mask?

    Writes a CSV with the columns image and target, the probability with all its digits; folders in
    natural order, an image named by its path inside the one folder, or else as you wrote it. What
    is finished is kept beside the output: after a stop, --resume goes on.
    """
    from maskspot.images import MAX_PIXELS
    from maskspot.inputs import choose
    from maskspot.models import DEFAULT
    from maskspot.outputs import write_scores
    from maskspot.predictor import Predictor
    from maskspot.scoring import score

    images, sort = images or [], sort or bool(top)
    output = None if str(output) in _STDOUT else output
    _check_options(output, resume, sample, sort, heatmaps, report, cache)
    check_output(output, [sample, cache, model, listing], images)
    form = _form(output, format, details, threshold, sample, on_error)
    items: Iterable[Item] = find(images, listing, column, output)
    if form.sample and sample:
        items = choose(form.sample.names, items, sample, fill=form.on_error.kind == "fill")
    predictor = Predictor(
        DEFAULT if model is None else model,
        device=device,
        batch_size=batch_size,
        max_pixels=max_pixels or MAX_PIXELS,
        draft=draft,
    )
    page = report_of(report, threshold)
    _warn_of_two_runtimes()
    form = replace(form, model=predictor.id)
    made_by = {"model": predictor.id, "device": predictor.device, "draft": draft}
    made_by["max_pixels"] = predictor.max_pixels
    # Where there is no file to go on with, and nothing to wait for, rows go out as they come.
    whole = bool(output or sample or sort or form.on_error.kind == "fail")
    with ExitStack() as stack:
        journal = stack.enter_context(_journal(output, made_by, resume)) if whole else None
        bar = stack.enter_context(progress_bar(quiet, "images"))
        scores = score(
            predictor,
            items,
            threads=threads,
            cache=stack.enter_context(_cache(cache, made_by)) if cache else None,
            finished=journal.finished() if journal else (),
            heatmap=bool(heatmaps or (report and predictor.has_heatmap)),
            watch=watching(heatmaps, page),
            again=bool(report),
        )
        if page:
            scores = page.count(scores)
        scores = _shown(scores, bar, images, len(form.sample.names) if form.sample else None)
        if journal:
            counts = _write_whole(scores, journal, form, output, sort, top)
        else:
            counts = write_scores(scores, form, None)
    if page and report:
        from maskspot.reporting.page import write_page

        write_page(page.page(model or DEFAULT), report)
    if not quiet:
        _tell(counts, form, predictor, output)
    return 1 if counts.failed else 0


def _check_options(
    output: Path | None,
    resume: bool | None,
    sample: Path | None,
    sort: bool,
    heatmaps: Path | None,
    report: Path | None,
    cache: Path | None,
) -> None:
    """Refuse options that do not go together."""
    if resume is not None and output is None:
        raise UsageError("--resume: standard output cannot be resumed; name a file with --output")
    if sample and sort:
        raise UsageError("--sort, --top: a submission has the rows and the order of its --sample")
    if report:
        check_report(report)
    if cache and (heatmaps or report):
        raise UsageError("--cache: it has no pictures for --heatmaps or --report; leave it out")


def _form(
    output: Path | None,
    format: str | None,
    details: bool,
    threshold: float | None,
    sample: Path | None,
    on_error: str | None,
) -> "Form":
    from maskspot.outputs import Form, OnError, Sample, format_of

    policy = OnError.parse(on_error, sample is not None)
    kind = format_of(output, format)
    return Form(kind, details, threshold, Sample.read(sample) if sample else None, policy)


def _warn_of_two_runtimes() -> None:
    from maskspot.devices import installed_runtimes, two_runtimes

    runtimes = list(installed_runtimes())
    if len(runtimes) > 1:
        warn(two_runtimes(runtimes))


def _journal(
    output: Path | None, made_by: Mapping[str, Any], resume: bool | None
) -> "AbstractContextManager[Journal]":
    from maskspot.journal import Journal

    return Journal.open(output, made_by, resume) if output else Journal.temporary()


@contextmanager
def _cache(file: Path, made_by: Mapping[str, Any]) -> "Iterator[Cache]":
    from maskspot.cache import Cache

    with closing(Cache(file, json.dumps(made_by))) as cache:
        yield cache


def _write_whole(
    scores: "Iterable[Score]",
    journal: "Journal",
    form: "Form",
    output: Path | None,
    sort: bool,
    top: int | None,
) -> "Counts":
    """Keep each score in the journal, and write the output when all are there."""
    from maskspot.outputs import sorted_scores, write_scores

    try:
        for each in scores:
            journal.write(each)
        form.on_error.check(journal.failed, journal.count)
        rows = sorted_scores(journal, top) if sort else journal.rows()
        counts = write_scores(rows, form, output)
        # Of all images, not only of those that --top leaves.
        counts = replace(counts, scored=journal.count - journal.failed, failed=journal.failed)
    except BaseException:
        if output and journal.count and journal.path_for(output).exists():
            say(f"{output}: what is finished is kept beside it; the same with --resume goes on")
        raise
    journal.remove()
    return counts


def _shown(
    scores: "Iterable[Score]", bar: "Progress | None", images: list[str], count: int | None
) -> "Iterator[Score]":
    """Pass scores on: failures are told, the others counted where a person looks."""
    task = bar.add_task("scoring", total=count) if bar else None
    if bar and task is not None and count is None:
        # Counting a million files takes seconds, which scoring need not wait for.
        total = threading.Thread(
            target=lambda: bar.update(task, total=count_images(images)), daemon=True
        )
        total.start()
    for each in scores:
        if each.error is not None:
            say(f"{each.source}: {each.error}")
        if bar and task is not None:
            bar.advance(task)
        yield each


def _tell(counts: "Counts", form: "Form", predictor: "Predictor", output: Path | None) -> None:
    """Say how it went, in one line."""
    above = f", {counts.above} at {form.threshold} or above" if form.threshold is not None else ""
    what = f"{counts.scored} of {counts.scored + counts.failed} images scored{above}"
    say(f"{what} by {predictor.info.name} on {predictor.device}", *([output] if output else []))
