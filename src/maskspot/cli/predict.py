"""`maskspot predict`."""

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskspot.cli.console import Model, progress_bar, say, warn
from maskspot.errors import MaskspotError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from maskspot.cache import Cache
    from maskspot.inputs import Item
    from maskspot.journal import Journal
    from maskspot.outputs import Counts, Form
    from maskspot.results import Score


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
    from maskspot.models import DEFAULT
    from maskspot.outputs import Form, OnError, Sample, format_of, write_scores
    from maskspot.predictor import Predictor
    from maskspot.scoring import score

    if str(output) in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        output = None
    if resume is not None and output is None:
        raise UsageError("--resume: standard output cannot be resumed; name a file with --output")
    if sample and (sort or top):
        raise UsageError("--sort, --top: a submission has the rows and the order of its --sample")
    if heatmaps and cache:
        raise UsageError("--heatmaps: the --cache has none; leave it out")
    _check_output(output, [sample, cache, model, listing])
    policy = OnError.parse(on_error, sample is not None)
    kind = format_of(output, format)
    form = Form(kind, details, threshold, Sample.read(sample) if sample else None, policy)
    items: Iterable[Item] = _sparing(_items(images or [], listing, column), output)
    if form.sample and sample:
        from maskspot.inputs import choose

        items = choose(form.sample.names, items, sample, fill=policy.kind == "fill")
    predictor = Predictor(
        DEFAULT if model is None else model,
        device=device,
        batch_size=batch_size,
        max_pixels=max_pixels or MAX_PIXELS,
        draft=draft,
    )
    from maskspot.devices import installed_runtimes, two_runtimes

    runtimes = list(installed_runtimes())
    if len(runtimes) > 1:
        warn(two_runtimes(runtimes))
    form = replace(form, model=predictor.id)
    made_by = {"model": predictor.id, "device": predictor.device, "draft": draft}
    made_by["max_pixels"] = predictor.max_pixels
    # Where there is no file to go on with, and nothing to wait for, rows go out as they come.
    whole = bool(output or sample or sort or top or policy.kind == "fail")
    with ExitStack() as stack:
        journal = stack.enter_context(_journal(output, made_by, resume)) if whole else None
        bar = stack.enter_context(progress_bar(quiet, "images"))
        scores = score(
            predictor,
            items,
            threads=threads,
            cache=stack.enter_context(_cache(cache, made_by)) if cache else None,
            finished=journal.finished() if journal else (),
            heatmaps=heatmaps,
        )
        named = len(form.sample.names) if form.sample else None
        shown = _shown(scores, bar, images or [], named)
        if journal:
            counts = _write_whole(shown, journal, form, output, sort=sort or bool(top), top=top)
        else:
            counts = write_scores(shown, form, None)
    if not quiet:
        above = f", {counts.above} at {threshold} or above" if threshold is not None else ""
        what = f"{counts.scored} of {counts.scored + counts.failed} images scored{above}"
        say(f"{what} by {predictor.info.name} on {predictor.device}", *([output] if output else []))
    return 1 if counts.failed else 0


def _items(images: list[str], listing: str | None, column: str | None) -> "Iterable[Item]":
    from maskspot.inputs import find_items, items_from, listed

    if images and listing:
        raise UsageError("--from: name images or a list of them, not both")
    if column and not listing:
        raise UsageError("--column: of which list? name it with --from")
    if not images and not listing:
        raise UsageError("name images, or a list of them with --from")
    return items_from(listed(listing, column)) if listing else find_items(images)


def _journal(output: Path | None, made_by: Mapping[str, Any], resume: bool | None) -> Any:
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
        total = threading.Thread(target=lambda: bar.update(task, total=_count(images)), daemon=True)
        total.start()
    for each in scores:
        if each.error is not None:
            say(f"{each.source}: {each.error}")
        if bar and task is not None:
            bar.advance(task)
        yield each


def _count(images: list[str]) -> int | None:
    """Return how many images there are, where files and folders are all that is named."""
    from maskspot.inputs import SUFFIXES, find_items

    plain = (image.lower().endswith(SUFFIXES) or os.path.isdir(image) for image in images)
    if not images or not all(plain):
        return None
    with suppress(MaskspotError, OSError):  # scoring meets it, too, and says so
        return sum(1 for _ in find_items(images))
    return None


def _check_output(output: Path | None, inputs: "Iterable[str | Path | None]") -> None:
    if output and output.is_dir():
        raise UsageError(f"--output: {output} is a folder; name a file in it")
    for path in inputs:
        if path and output and os.path.realpath(path) == os.path.realpath(output):
            raise UsageError(f"--output: {output} is one of the inputs; name another file")


def _sparing(items: "Iterable[Item]", output: Path | None) -> "Iterator[Item]":
    for item in items:
        if item.path:
            _spare(output, item.path)
        yield item


def _spare(output: Path | None, path: Path) -> None:
    """Refuse to write over what is read."""
    try:
        if output and output.is_file() and os.path.samefile(output, path):
            raise UsageError(f"--output: {output} is one of the inputs; name another file")
    except OSError:  # one of them is not there
        return
