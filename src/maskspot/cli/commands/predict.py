"""`maskspot predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import say
from maskspot.cli.options import Quiet, with_options
from maskspot.cli.progress import showing
from maskspot.engines.cluster import Cluster
from maskspot.errors import UsageError
from maskspot.inputs.selection import Selection
from maskspot.model.loading import LoadOptions
from maskspot.outputs.destination import Destination
from maskspot.outputs.form import FormOptions
from maskspot.progress import Progress
from maskspot.scoring.job import PredictJob
from maskspot.scoring.workers import Workers

if TYPE_CHECKING:
    from maskspot.outputs.writing import Counts


@with_options
def predict(
    selection: Selection,
    destination: Destination,
    form: FormOptions,
    load: LoadOptions,
    workers: Workers,
    cluster: Cluster,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps scores by content, so that equal images are scored once.",
            rich_help_panel="Speed",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="local, or ray to run on a cluster, into a folder of Parquet files.",
            rich_help_panel="Cluster",
        ),
    ] = "local",
    quiet: Quiet = False,
) -> int:
    """Score images: how likely does each show at least one face mask?

    Writes a CSV with the columns image and target, the probability with all its digits. Images of
    a folder come in natural order, named by their path inside the folder if it is the only input.
    Finished rows are kept beside the output: after a stop, --resume goes on.
    """
    job = PredictJob(selection, load, form, destination, workers, cache)
    with showing(quiet) as progress:
        counts = _run(job, engine, cluster, progress)
    if not quiet:
        say(_summary(counts, form.threshold), *([destination.path] if destination.path else []))
    return 1 if counts.failed else 0


def _run(job: PredictJob, engine: str, cluster: Cluster, progress: Progress) -> "Counts":
    if engine == "ray":
        from maskspot.engines.ray import run_on_ray

        return run_on_ray(job, cluster, progress)
    if engine != "local":
        raise UsageError(f"must be local or ray, not {engine!r}", argument="engine")
    if cluster.address:
        raise UsageError("only for `engine=ray`", argument="address")
    return job.run(progress)


def _summary(counts: "Counts", threshold: float | None) -> str:
    above = f", {counts.above} at {threshold} or above" if threshold is not None else ""
    total = counts.scored + counts.failed
    files = f", {counts.files} new files," if counts.files is not None else ""
    what = f"{counts.scored} of {total} images scored{above}{files}"
    text = f"{what} by {counts.model} on {counts.device}"
    reasons = sorted(counts.passed.items(), key=lambda each: (-each[1], each[0]))
    left_out = ", ".join(f"{count} {why}" for why, count in reasons)
    return f"{text} (passed over: {left_out})" if left_out else text
