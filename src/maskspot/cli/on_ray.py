"""`maskspot predict --engine ray`."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskspot.cli.console import progress_bar, say
from maskspot.cli.sources import find
from maskspot.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from maskspot.engines.partitions import Partition
    from maskspot.outputs.form import Form


def predict_on_ray(
    images: list[str],
    listing: str | None,
    column: str | None,
    output: Path | None,
    form: "Form",
    model: str,
    options: dict[str, Any],
    *,
    address: str | None,
    workers: int | None,
    partition: int,
    quiet: bool,
) -> int:
    """Score images on a Ray cluster, into a folder of Parquet files; return the exit code.

    Args:
        images: as for `predict`; or
        listing: a list of them, which may be Parquet.
        column: of the list.
        output: the folder, or a URI of one.
        form: of the files.
        model: a model file, or a shipped model's name.
        options: of `Predictor`.
        address: of the cluster.
        workers: how many, each with a core.
        partition: images in each file.
        quiet: only warnings and errors.
    """
    from maskspot.model.predictor import Predictor
    from maskspot.model.shipped import find_model

    if output is None:
        raise UsageError("--engine ray: name a folder for its files with --output")
    target = _uri(output)
    try:
        from maskspot.engines.ray import score_partitions
    except ImportError:
        raise MissingExtraError("--engine ray", "ray") from None
    predictor = Predictor(model, **options)  # what is wrong with it is told here, once
    parts = _partitions(images, listing, column, partition)
    scored = failed = files = 0
    with progress_bar(quiet, "images") as bar:
        task = bar.add_task("scoring", total=None) if bar else None
        for each in score_partitions(
            parts,
            find_model(model),
            target,
            replace(form, model=predictor.id),
            address=address,
            workers=workers,
            options=options,
        ):
            scored, failed, files = scored + each.scored, failed + each.failed, files + 1
            if bar and task is not None:
                bar.update(task, completed=scored + failed)
    if not quiet:
        what = f"{scored} of {scored + failed} images scored, {files} new files"
        say(f"{what}, by {predictor.info.name} on ray", output)
    return 1 if failed else 0


def _partitions(
    images: list[str], listing: str | None, column: str | None, size: int
) -> "Iterator[Partition]":
    from maskspot.engines.partitions import of_items, of_parquet

    if listing and listing.rstrip("/").endswith((".parquet", ".pq")):
        if images:
            raise UsageError("--from: name images or a list of them, not both")
        return of_parquet(listing, column)
    return of_items(find(images, listing, column), size)


def _uri(output: Path) -> str:
    text = str(output)
    head, _, rest = text.partition(":/")  # a path has but one of a URI's slashes
    if rest and not output.is_absolute():
        return f"{head}://{rest.lstrip('/')}"
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output: {output} is a file; --engine ray writes a folder")
    return os.path.abspath(text)
