"""Jobs on a Ray cluster: each actor has a predictor and one core; Ray schedules and retries."""

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from urllib.request import url2pathname
from uuid import uuid4

from maskspot.engines.cluster import Cluster
from maskspot.engines.partitions import Partition, number_of, of_items, of_parquet
from maskspot.errors import UsageError
from maskspot.extras import require_ray
from maskspot.inputs.selection import Selection
from maskspot.model.loading import LoadOptions
from maskspot.model.predictor import Predictor
from maskspot.model.shipped import DEFAULT, find_model
from maskspot.outputs.conflicts import OutputFiles
from maskspot.outputs.form import Form
from maskspot.outputs.writing import Counts
from maskspot.progress import SILENT, Progress
from maskspot.scoring.job import PredictJob

_AHEAD = 2
"""Number of partitions that wait for each worker."""

_LEFT = re.compile(r"\.part-\d{6,}-[0-9a-f]{12}\.parquet\.[0-9a-f]{32}")
"""Names of files that a worker has not finished."""


@dataclass(frozen=True)
class Done:
    """The result of a partition.

    Attributes:
        name: of its file.
        scored: number of images that have a probability.
        failed: number of images that have none.
    """

    name: str
    scored: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Work:
    """What each worker does.

    Attributes:
        load: the model, and how it is loaded.
        form: of the files: Parquet.
        output: URI of the folder of files.
        folder: that relative paths start from, if the worker's machine has it.
    """

    load: LoadOptions
    form: Form
    output: str
    folder: str


class _Worker:
    """Scores partitions, in an actor."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._predictor: Predictor | None = None
        with suppress(OSError):
            os.chdir(work.folder)

    def score(self, model: bytes, partition: Partition) -> Done:
        """Score a partition and write its file, whole or not at all."""
        if self._predictor is None:
            with tempfile.TemporaryDirectory() as own:  # the driver's path may not exist here
                file = Path(own) / "model.onnx"
                file.write_bytes(model)
                self._predictor = replace(self._work.load, model=file).load()
        from pyarrow import fs

        store, folder = fs.FileSystem.from_uri(self._work.output)
        beside = f"{folder}/.{partition.name}.{uuid4().hex}"
        failed = count = 0
        images = partition.images()
        step = self._predictor.batch_size
        with (
            store.open_output_stream(beside) as stream,
            self._work.form.rows_to(stream) as write,
        ):
            for at in range(0, len(images), step):
                for score in self._predictor.predict_batch(images[at : at + step]):
                    count += 1
                    failed += score.error is not None
                    row = self._work.form.row(score)
                    if row is not None:
                        write(row)
        store.move(beside, f"{folder}/{partition.name}")
        return Done(partition.name, count - failed, failed)


def run_on_ray(job: PredictJob, cluster: Cluster, progress: Progress = SILENT) -> Counts:
    """Run a job on a Ray cluster, into a folder of Parquet files.

    Args:
        job: its `destination.path` is a folder, or a URI of one in any store that pyarrow knows;
            its `workers.threads` is the number of workers, each with one core.
        cluster: where it runs.
        progress: is told how far it is.

    Raises:
        UsageError: the job needs something that a cluster does not support, the cluster cannot be
            reached, or the folder has files of other images or is one that is read.
        ModelFileError: the model cannot be loaded, or fails.
        MissingExtraError: maskspot[ray] is not installed.
    """
    form = _form(job)
    if job.destination.path is None:
        raise UsageError("a cluster writes a folder of files; name it", argument="path")
    require_ray("`engine=ray`")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use otherwise
    output = _uri(job.destination.path)
    files = _files(job, output)
    passed = Counter[str]()
    predictor = job.load.load()  # what is wrong with the model is reported here, once
    form = replace(form, model=predictor.id)
    partitions = _partitions(job.selection, cluster.partition, files, passed)
    work = Work(job.load, form, output, os.getcwd())
    scored = failed = count = 0
    with progress.step("scoring", "images") as step:
        for each in score_partitions(partitions, work, cluster.address, job.workers.threads):
            scored, failed, count = scored + each.scored, failed + each.failed, count + 1
            step.update(scored + failed)
    return Counts(
        scored, failed, None, dict(passed), predictor.info.name, device="ray", files=count
    )


def score_partitions(
    partitions: Iterable[Partition], work: Work, address: str | None, workers: int | None
) -> Iterator[Done]:
    """Score partitions on a cluster, and yield each when its file is complete, in no order.

    A file that exists is not made again. A worker that dies is started again, and its partition
    with it: none is lost, and none is there twice.

    Args:
        partitions: drawn as workers become free.
        work: what the workers do.
        address: of the cluster; None starts one here, and stops it.
        workers: number of workers, each with a CPU; None takes one for each CPU of the cluster.

    Raises:
        UsageError: the cluster cannot be reached, or the folder has files of other images.
        ModelFileError: the model fails.
    """
    with tempfile.TemporaryDirectory() as empty:
        # Ray lets workers import from the current folder, which may be a stranger's.
        with chdir(empty):
            _connect(address)
        yield from _scored(partitions, work, workers)


def _connect(address: str | None) -> None:
    import ray

    try:
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"{address}: {why}", argument="address") from None


def _scored(partitions: Iterable[Partition], work: Work, workers: int | None) -> Iterator[Done]:
    """Score partitions on the cluster that this process is connected to, and disconnect."""
    import ray
    from ray.util import ActorPool

    output = work.output
    try:
        existing = _existing(output)
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Worker)
        count = workers or int(ray.cluster_resources()["CPU"])
        model = ray.put(
            find_model(DEFAULT if work.load.model is None else work.load.model).read_bytes()
        )
        pool = ActorPool([actor.remote(work) for _ in range(count)])

        def submit(partition: Partition) -> None:
            pool.submit(lambda worker, each: worker.score.remote(model, each), partition)

        todo = (each for each in partitions if not _exists(each, existing, output))
        for each in islice(todo, _AHEAD * count):
            submit(each)
        while pool.has_next():
            yield pool.get_next_unordered()
            for each in islice(todo, 1):
                submit(each)
        _existing(output)
    finally:
        ray.shutdown()


def _existing(output: str) -> dict[str, str]:
    """Make the folder; return the files in it by the number of their partition.

    What killed workers left is removed, as nobody else may write there.
    """
    from pyarrow import fs

    store, folder = fs.FileSystem.from_uri(output)
    store.create_dir(folder, recursive=True)
    found = {}
    for file in store.get_file_info(fs.FileSelector(folder)):
        if _LEFT.fullmatch(file.base_name):
            store.delete_file(file.path)
        elif file.base_name.startswith("part-"):
            found[number_of(file.base_name)] = file.base_name
    return found


def _exists(partition: Partition, existing: Mapping[str, str], output: str) -> bool:
    name = existing.get(number_of(partition.name))
    if name not in (None, partition.name):
        raise UsageError(f"{output}: has {name}, which is of other images; name another folder")
    return name is not None


def _form(job: PredictJob) -> Form:
    """Return the form of the files; refuse what a cluster does not support."""
    to, form, workers = job.destination, job.form, job.workers
    unsupported = {
        "sample": form.sample,
        "sort": to.sort and to.top is None,
        "top": to.top,
        "heatmaps": to.heatmaps,
        "report": to.report,
        "cache": job.cache,
        "resume": to.resume is not None,
        "processes": workers.processes,
    }
    for name, wanted in unsupported.items():
        if wanted:
            raise UsageError("not supported on a cluster; see docs/scale.md", argument=name)
    if form.format not in (None, "parquet"):
        raise UsageError("a cluster writes Parquet only", argument="format")
    if form.on_error == "fail":
        raise UsageError("`fail` is not supported on a cluster", argument="on_error")
    return replace(form, format="parquet").form(None)


def _files(job: PredictJob, output: str) -> OutputFiles:
    """Return the folder to write, which is neither read nor around what is."""
    selection = job.selection
    files = OutputFiles({}, {"path": Path(output) if os.path.isabs(output) else None})
    files.check([selection.listing, *selection.images])
    return files


def _partitions(
    selection: Selection, size: int, files: OutputFiles, passed: Counter[str]
) -> Iterator[Partition]:
    listing = selection.listing
    if listing and listing.rstrip("/").endswith((".parquet", ".pq")):
        return of_parquet(listing, selection.column)
    return of_items(files.check_items(selection.items(passed)), size)


def _uri(output: Path) -> str:
    """Return the path of a folder on this machine, or the URI of one elsewhere."""
    text = str(output)
    head, _, rest = text.partition(":/")  # a path keeps only one of a URI's slashes
    if head.lower() == "file" and rest:
        output = Path(url2pathname(f"/{rest.lstrip('/')}"))
    elif rest and not output.is_absolute():
        return f"{head}://{rest.lstrip('/')}"
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; a cluster writes a folder", argument="path")
    return os.path.abspath(output)
