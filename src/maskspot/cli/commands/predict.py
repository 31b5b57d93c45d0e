"""`maskspot predict`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import BatchSize, Device, Model, Threads, check_report
from maskspot.cli.destinations import Destinations
from maskspot.cli.sources import count_images, find
from maskspot.errors import UsageError

if TYPE_CHECKING:
    from maskspot.inputs.items import Item
    from maskspot.outputs.form import Form

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
    device: Device = "auto",
    threads: Threads = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that share the threads.",
            show_default="1; with 8 CPUs or more, one for each 4",
        ),
    ] = None,
    batch_size: BatchSize = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(min=1, help="Refuse larger images.", show_default="178956970"),
    ] = None,
    draft: Annotated[
        bool | None,
        typer.Option(
            help="Decode large JPEGs at a part of their size, which is faster, or in full.",
            show_default="as the model file says",
        ),
    ] = None,
    prior: Annotated[
        float | None,
        typer.Option(
            help="Share of images with masks among these, where it is known: shifts all logits.",
            show_default="0.5 for the shipped models",
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local; ray: on a cluster, into a folder of Parquet files.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster.", show_default="one is started here")
    ] = None,
    partition: Annotated[int, typer.Option(min=1, help="Images in each of Ray's files.")] = 1000,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> int:
    """Score images: how likely does each show at least one face mask?

    Writes a CSV with the columns image and target, the probability with all its digits; folders in
    natural order, an image named by its path inside the one folder, or else as you wrote it. What
    is finished is kept beside the output: after a stop, --resume goes on.
    """
    from maskspot.cli.opening import opening
    from maskspot.model.shipped import DEFAULT

    images, sort = images or [], sort or bool(top)
    model = DEFAULT if model is None else model
    options = {"device": device, "batch_size": batch_size, "draft": draft, "prior": prior}
    options |= {"max_pixels": max_pixels} if max_pixels else {}
    if engine == "ray":
        from maskspot.cli.on_ray import predict_on_ray

        only_here = {"--sample": sample, "--sort, --top": sort, "--heatmaps": heatmaps}
        only_here |= {"--report": report, "--cache": cache, "--resume": resume is not None}
        only_here |= {"--processes": processes is not None}
        _check_engine(only_here, format, on_error)
        form = _form(None, "parquet", details, threshold, None, on_error)
        return predict_on_ray(
            images,
            listing,
            column,
            output,
            form,
            model,
            options,
            address=address,
            workers=threads,
            partition=partition,
            quiet=quiet,
        )
    if engine != "local" or address:
        raise UsageError("--engine: local or ray; --address is for ray")
    predictor = opening(model, options)
    from maskspot.cli.locally import predict_locally

    output = None if str(output) in _STDOUT else output
    _check_options(output, resume, sample, sort, heatmaps, report, cache, processes)
    files = {"--output": output, "--report": report, "--cache": cache}
    destinations = Destinations(files, heatmaps)
    destinations.check([sample, model, listing, *images])
    form = _form(output, format, details, threshold, sample, on_error)
    passed = Counter[str]()
    found = find(images, listing, column, passed)
    items: Iterable[Item] = destinations.sparing(found)
    if form.sample and sample:
        from maskspot.inputs.names import match_items

        items = match_items(form.sample.names, items, sample, fill=form.on_error.kind == "fill")
    return predict_locally(
        items,
        predictor.result(),
        form,
        output,
        model=model,
        count=len(form.sample.names) if form.sample else partial(count_images, images),
        sort=sort,
        top=top,
        heatmaps=heatmaps,
        report=report,
        resume=resume,
        cache=cache,
        threads=threads,
        processes=processes,
        passed=passed,
        quiet=quiet,
    )


def _check_engine(only_here: Mapping[str, Any], format: str | None, on_error: str | None) -> None:
    """Refuse options that a cluster does not know."""
    for option, wanted in only_here.items():
        if wanted:
            raise UsageError(f"{option}: --engine ray has no such thing; see its page of the docs")
    if format not in (None, "parquet") or on_error == "fail":
        raise UsageError("--format, --on-error: --engine ray writes Parquet, whatever fails")


def _check_options(
    output: Path | None,
    resume: bool | None,
    sample: Path | None,
    sort: bool,
    heatmaps: Path | None,
    report: Path | None,
    cache: Path | None,
    processes: int | None,
) -> None:
    """Refuse options that do not go together."""
    if resume is not None and output is None:
        raise UsageError("--resume: standard output cannot be resumed; name a file with --output")
    if sample and sort:
        raise UsageError("--sort, --top: a submission has the rows and the order of its --sample")
    if report:
        check_report(report)
    for option, given in (("--cache", cache), ("--processes", (processes or 1) > 1)):
        if given and (heatmaps or report):
            raise UsageError(f"{option}: has no pictures for --heatmaps or --report; leave it out")


def _form(
    output: Path | None,
    format: str | None,
    details: bool,
    threshold: float | None,
    sample: Path | None,
    on_error: str | None,
) -> "Form":
    from maskspot.outputs.form import Form, OnError, format_of
    from maskspot.outputs.sample import Sample

    policy = OnError.parse(on_error, sample is not None)
    kind = format_of(output, format)
    return Form(kind, details, threshold, Sample.read(sample) if sample else None, policy)
