"""`maskspot predict`."""

import math
import os
from pathlib import Path
from typing import Annotated

import typer

from maskspot.cli.console import progress_bar, say
from maskspot.errors import ImageError, UsageError


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Images, and folders of them.", metavar="IMAGES...", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="CSV to write.", show_default="standard output"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "-m", "--model", help="Model file, or a shipped model's name.", show_default="default"
        ),
    ] = None,
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
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads.", show_default="one for each CPU")
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(min=1, help="Refuse larger images.", show_default="178956970"),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only warnings and errors.")] = False,
) -> int:
    """Score images: how likely does each show at least one face mask?

    Writes a CSV with the columns image and target, sorted by name: the probability with all its
    digits. An image is named by its path inside the folder, or as you wrote it where you named
    more than one folder.
    """
    policy = ("fail" if sample else "blank") if on_error is None else on_error
    fill = _fill(policy, sample is not None)
    from maskspot.images import MAX_PIXELS
    from maskspot.inputs import find_images, match_names
    from maskspot.models import DEFAULT, find_model
    from maskspot.outputs import HEADER, Sample, csv_output, format_probability
    from maskspot.predictor import Predictor
    from maskspot.scoring import score

    file = find_model(DEFAULT if model is None else model)
    found = find_images(images)
    _spare(output, [*found.values(), file, *([sample] if sample else [])])
    form = Sample.read(sample) if sample else None
    if form and sample:
        found = match_names(form.names, found, sample)
    predictor = Predictor(file, max_pixels=max_pixels or MAX_PIXELS)
    failed = 0
    with (
        csv_output(output, form.newline if form else "\n") as write,
        progress_bar(quiet, "images") as bar,
    ):
        task = bar.add_task("scoring", total=len(found)) if bar else None
        write(form.header if form else HEADER)
        for result in score(predictor, found.items(), threads=threads):
            probability = result.probability
            if result.error is not None:
                failed += 1
                say(f"{result.source}: {result.error}")
                probability = fill
            if result.error is None or policy != "skip":
                write((result.source, format_probability(probability)))
            if bar and task is not None:
                bar.advance(task)
        if failed and policy == "fail":
            raise ImageError(
                f"nothing written: {failed} of {len(found)} images could not be scored; "
                "--on-error fill=0.5 gives such images a probability"
            )
    if not quiet:
        say(
            f"{len(found) - failed} of {len(found)} images scored by {predictor.info.name}"
            + (f", {output}" if output else "")
        )
    return 1 if failed else 0


def _fill(policy: str, submission: bool) -> float | None:
    """Check the policy and return the probability it gives to an image that has none."""
    if policy == "skip" and submission:
        raise UsageError("--on-error skip: a submission needs every row of its --sample")
    if policy in ("blank", "skip", "fail"):
        return None
    kind, _, value = policy.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if kind != "fill" or not 0 <= number <= 1:
        raise UsageError(f"--on-error: {policy!r} is not blank, skip, fail, or fill=0 to fill=1")
    return number


def _spare(output: Path | None, inputs: list[Path]) -> None:
    """Refuse to write over what is read."""
    if output is None:
        return
    if output.is_dir():
        raise UsageError(f"--output: {output} is a folder; name a file in it")
    if not output.is_file():
        return
    mine = output.stat()
    for path in inputs:
        try:
            same = os.path.samestat(mine, path.stat())
        except OSError:
            continue
        if same:
            raise UsageError(f"--output: {output} is one of the inputs; name another file")
