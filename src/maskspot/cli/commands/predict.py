"""`maskspot predict`."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskspot.cli.console import say
from maskspot.cli.options import Quiet, completed, with_options
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
    from maskspot.outputs.writing import Counts, Show

_MEASURED = 10
"""Number of images from which a summary states the speed."""

EXAMPLES = (
    "maskspot predict photos/images -o sub.csv",
    "maskspot predict photos/images --sort --report report.html",
    "maskspot predict photos/images --sample photos/sample_sub_v2.csv -o sub.csv",
)


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
            metavar="FILE",
            rich_help_panel="Speed",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="Where to run; ray runs on a cluster, into a folder of Parquet files.",
            metavar="local|ray",
            autocompletion=completed(("local", "ray")),
            rich_help_panel="Cluster",
        ),
    ] = "local",
    quiet: Quiet = False,
) -> int:
    """Score images: how likely does each show at least one face mask?

    Writes a CSV with the columns image and target, the probability with all its digits; on a
    terminal, one readable line for each image. Images of a folder come in natural order, named by
    their path inside the folder if it is the only input.

    Finished rows are kept beside the output: after a stop, --resume goes on.
    """
    job = PredictJob(selection, load, form, destination, workers, cache)
    start = time.monotonic()
    show = _show(job, engine)
    streams = job.streams and sys.stdout.isatty()
    with showing(quiet, bars=not streams, failures=not (streams and show)) as progress:
        if engine == "ray":
            counts = _run_on_ray(job, cluster, progress)
        else:
            _check_local(engine, cluster)
            counts = job.run(progress, show=show)
    if not quiet:
        say(_summary(counts, job, time.monotonic() - start))
    return 1 if counts.failed else 0


def _show(job: PredictJob, engine: str) -> "Show | None":
    """Return what shows rows to a person; None where they are data."""
    form = job.form
    data = job.destination.path or form.format or form.details or form.sample or engine != "local"
    if data or not sys.stdout.isatty():
        return None
    from maskspot.cli.tables.scores import ScoreLines

    return ScoreLines(form.threshold).show


def _run_on_ray(job: PredictJob, cluster: Cluster, progress: Progress) -> "Counts":
    from maskspot.engines.ray import run_on_ray

    return run_on_ray(job, cluster, progress)


def _check_local(engine: str, cluster: Cluster) -> None:
    if engine != "local":
        raise UsageError(f"must be local or ray, not {engine!r}", argument="engine")
    if cluster.address:
        raise UsageError("only for `engine=ray`", argument="address")


def _summary(counts: "Counts", job: PredictJob, seconds: float) -> str:
    """Return what was done in a line: `2 images scored in 0.5 s with model 'default' on cpu: ...`.

    Args:
        counts: of the run.
        job: that was run.
        seconds: that it took, with the loading of the model.
    """
    # A resumed run has not scored all that it counts in this time.
    known = counts.scored >= _MEASURED and job.destination.resume is None
    speed = f" ({counts.scored / seconds:,.0f}/s)" if known else ""
    text = (
        f"{_number(counts.scored, 'image')} scored in {_duration(seconds)}{speed} "
        f"with model '{counts.model}' on {counts.device}"
    )
    threshold = job.form.threshold
    parts = []
    if counts.masks is not None:
        above = "" if threshold is None else f" at {threshold} or above"
        parts.append(f"{_number(counts.masks, 'mask')}{above}")
    if counts.failed:
        parts.append(f"{counts.failed:,} failed")
    reasons = sorted(counts.passed.items(), key=lambda each: (-each[1], each[0]))
    if reasons:
        parts.append("passed over: " + ", ".join(f"{count:,} {why}" for why, count in reasons))
    to = job.destination
    files = [str(each) for each in (to.path, to.heatmaps, to.report) if each]
    if files:
        new = "" if counts.files is None else f" ({_number(counts.files, 'new file')})"
        *others, last = files
        where = f"{', '.join(others)} and {last}" if others else last
        parts.append(f"written to {where}{new}")
    return f"{text}: {'; '.join(parts)}" if parts else text


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
