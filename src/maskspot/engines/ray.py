"""Ray: each actor has a predictor and one core; scheduling and retries are Ray's."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from maskspot.engines.partitions import Partition, number_of
from maskspot.errors import UsageError
from maskspot.model.predictor import Predictor
from maskspot.outputs.form import Form

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers

import ray
from pyarrow import fs
from ray.util import ActorPool

_AHEAD = 2  # partitions that wait for each worker


@dataclass(frozen=True)
class Done:
    """What became of a partition.

    Attributes:
        name: of its file.
        scored: images that have a probability.
        failed: images that have none.
    """

    name: str
    scored: int = 0
    failed: int = 0


class _Worker:
    """Scores partitions, in an actor."""

    def __init__(self, options: Mapping[str, Any], form: Form, output: str) -> None:
        self._options, self._form, self._output = options, form, output
        self._predictor: Predictor | None = None

    def score(self, model: bytes, partition: Partition) -> Done:
        """Score a partition and write its file, which is there whole or not at all."""
        if self._predictor is None:
            with tempfile.TemporaryDirectory() as own:  # the driver's path is not ours
                file = Path(own) / "model.onnx"
                file.write_bytes(model)
                self._predictor = Predictor(file, **self._options)
        store, folder = fs.FileSystem.from_uri(self._output)
        beside = f"{folder}/.{partition.name}.{uuid4().hex}"
        failed = count = 0
        images = partition.images()
        step = self._predictor.batch_size
        with (
            store.open_output_stream(beside) as stream,
            self._form.rows_to(stream) as write,
        ):
            for at in range(0, len(images), step):
                for score in self._predictor.predict_batch(images[at : at + step]):
                    count += 1
                    failed += score.error is not None
                    row = self._form.row(score)
                    if row is not None:
                        write(row)
        store.move(beside, f"{folder}/{partition.name}")
        return Done(partition.name, count - failed, failed)


def score_partitions(
    partitions: Iterable[Partition],
    model: Path,
    output: str,
    form: Form,
    *,
    address: str | None = None,
    workers: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Done]:
    """Score partitions on a Ray cluster, and yield each as its file is there, in no order.

    A file that is there is not made again. A worker that dies is started anew, and its partition
    with it: none is lost, and none is there twice.

    Args:
        partitions: drawn as workers are free.
        model: a model file; it is sent to the workers.
        output: a folder, as a path or a URI of any store that pyarrow knows.
        form: of the files: Parquet.
        address: of the cluster; None starts one here, and ends it.
        workers: each takes a CPU; None takes one for each of the cluster.
        options: of `Predictor`.

    Raises:
        UsageError: the cluster cannot be reached, or the folder has files of other images.
        ModelFileError: the model fails.
    """
    try:
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError) as error:
        raise UsageError(f"--address: {address}: {' '.join(str(error).split())}") from None
    try:
        there = _there(output)
        actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(_Worker)
        count = workers or int(ray.cluster_resources()["CPU"])
        shared = ray.put(model.read_bytes())
        pool = ActorPool([actor.remote(options or {}, form, output) for _ in range(count)])

        def submit(partition: Partition) -> None:
            pool.submit(lambda worker, each: worker.score.remote(shared, each), partition)

        todo = (each for each in partitions if not _is_there(each, there, output))
        for each in islice(todo, _AHEAD * count):
            submit(each)
        while pool.has_next():
            yield pool.get_next_unordered()
            for each in islice(todo, 1):
                submit(each)
        _there(output)
    finally:
        ray.shutdown()


def _there(output: str) -> dict[str, str]:
    """Make the folder; return the files in it by the number of their partition.

    What workers left that were killed is removed: none but ours may write there.
    """
    store, folder = fs.FileSystem.from_uri(output)
    store.create_dir(folder, recursive=True)
    found = {}
    for file in store.get_file_info(fs.FileSelector(folder)):
        if file.base_name.startswith(".part-"):
            store.delete_file(file.path)
        elif file.base_name.startswith("part-"):
            found[number_of(file.base_name)] = file.base_name
    return found


def _is_there(partition: Partition, there: Mapping[str, str], output: str) -> bool:
    name = there.get(number_of(partition.name))
    if name not in (None, partition.name):
        raise UsageError(f"{output}: has {name}, which is of other images; name another folder")
    return name is not None
