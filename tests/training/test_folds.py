"""Runs of several networks, what they say of images they never saw, and teachers."""

import csv
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="needs maskspot[train]")
from maskspot.datasets.labels import Labelled, read_folders
from maskspot.errors import DataError, UsageError
from maskspot.exporting.export import export
from maskspot.training import network
from maskspot.training.batches import TrainingBatches
from maskspot.training.examples import Examples
from maskspot.training.presets import resolve
from maskspot.training.run import Run
from maskspot.training.teachers import FileTeacher, load_teacher
from maskspot.training.train import TrainingStopped, resume
from tests.helpers import Recorder, tiny_mobilenet

pytestmark = pytest.mark.train

SMALL = {
    "backbone": "mobilenet-0.25", "weights": "none", "size": 32, "epochs": 1,
    "batch_size": 16, "folds": 2, "boxes": "boxes.csv", "heatmap": 0.5, "seed": 3,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def small_network() -> Iterator[None]:
    with tiny_mobilenet():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, demo_data: Path) -> Path:
    """The demo data with a copy of one image, mirrored by nobody, and a box in each picture."""
    folder = tmp_path_factory.mktemp("boxed") / "data"
    shutil.copytree(demo_data, folder)
    images = read_folders([folder])
    shutil.copy(images[0].path, images[0].path.with_name("copy.jpg"))
    with (folder / "train_labels.csv").open("a", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerow(["copy.jpg", images[0].target])
    words = ("no_mask", "mask")
    rows = [f"{item.name},8,8,60,60,{words[item.target]}\n" for item in images]
    (folder / "boxes.csv").write_text("image,xmin,ymin,xmax,ymax,label\n" + "".join(rows))
    return folder


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Run:
    """A run of two folds that was stopped between them, and resumed."""
    run = Run.create(tmp_path_factory.mktemp("runs") / "folds", resolve(options=SMALL), [data])

    class StopBeforeSecondFold(Recorder):
        def say(self, text: str) -> None:
            if text == "fold 2 of 2":
                raise KeyboardInterrupt

    with pytest.raises(TrainingStopped) as stopped:
        resume(run, progress=StopBeforeSecondFold())
    assert stopped.value.run == run
    assert run.fold_runs()[0].metrics() is not None
    assert run.metrics() is None
    resume(run)
    return run


def oof(run: Run) -> dict[str, list[str]]:
    with (run.folder / "oof.csv").open(newline="") as stream:
        return {row[0]: row[1:] for row in list(csv.reader(stream))[1:]}


def test_every_image_is_judged_once_by_the_network_that_never_saw_it(
    folds: Run, data: Path
) -> None:
    table = oof(folds)
    assert {name: int(row[0]) for name, row in table.items()} == {
        item.name: item.target for item in read_folders([data])
    }
    for number, fold in enumerate(folds.fold_runs(), 1):
        with (fold.folder / "validation.csv").open(newline="") as stream:
            judged = {row[0]: row[1:] for row in list(csv.reader(stream))[1:]}
        assert judged == {name: row[:2] for name, row in table.items() if int(row[2]) == number}
        assert 0.4 < len(judged) / len(table) < 0.6


def test_a_copied_image_is_in_its_originals_fold(folds: Run, data: Path) -> None:
    table = oof(folds)
    assert table["copy.jpg"][2] == table[read_folders([data])[0].name][2]


def test_its_metrics_are_the_mean_and_spread_of_the_folds(folds: Run) -> None:
    metrics = folds.metrics()
    assert metrics
    losses = [
        fold.read_json("metrics.json")["validation"]["log_loss"] for fold in folds.fold_runs()
    ]
    assert metrics["mean"]["log_loss"] == pytest.approx(np.mean(losses))
    assert metrics["sd"]["log_loss"] == pytest.approx(abs(losses[0] - losses[1]) / np.sqrt(2))


def test_a_fold_is_resumed_through_its_run(folds: Run, tmp_path: Path) -> None:
    shutil.copytree(folds.folder, tmp_path / "run")
    fold = Run(tmp_path / "run").fold_runs()[0]
    (fold.folder / "metrics.json").unlink()
    with pytest.raises(UsageError, match=rf"continue with `resume={tmp_path / 'run'}`"):
        resume(fold)


def test_a_fold_starts_from_the_fold_that_never_saw_its_images(
    folds: Run, data: Path, tmp_path: Path
) -> None:
    options = SMALL | {"init": str(folds.folder)}
    run = Run.create(tmp_path / "second", resolve(options=options), [data])
    first = folds.fold_runs()[1]
    settings = run.fold(2).settings
    assert settings.init == str(first.folder)
    ours = network.build(settings).get_weights()
    theirs = network.load(first.kept()).get_weights()
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_folds_that_start_from_folds_hold_the_same_images_back(
    folds: Run, data: Path, tmp_path: Path
) -> None:
    options = SMALL | {"init": str(folds.folder), "seed": 4}
    run = Run.create(tmp_path / "second", resolve(options=options), [data])
    resume(run)
    assert {name: row[2] for name, row in oof(run).items()} == {
        name: row[2] for name, row in oof(folds).items()
    }


@pytest.mark.parametrize("change", ["folds", "data"])
def test_folds_of_another_number_or_other_images_are_no_start(
    folds: Run, data: Path, tmp_path: Path, change: str
) -> None:
    options = SMALL | {"init": str(folds.folder)}
    if change == "folds":
        options["folds"] = 3
        reason = "init: .*folds has 2 folds, not 3"
    else:
        shutil.copytree(data, tmp_path / "data")
        data = tmp_path / "data"
        (data / "images" / "copy.jpg").rename(data / "images" / "new.jpg")
        table = data / "train_labels.csv"
        table.write_text(table.read_text().replace("copy.jpg", "new.jpg"))
        reason = r"folds: it must have folds of the same images; new\.jpg is not one of them"
    run = Run.create(tmp_path / "second", resolve(options=options), [data])
    with pytest.raises((UsageError, DataError), match=reason):
        resume(run)


def test_a_run_of_another_backbone_is_no_start(folds: Run) -> None:
    start = str(folds.fold_runs()[0].folder)
    settings = resolve(options={"backbone": "efficientnet-lite0", "init": start})
    with pytest.raises(UsageError, match=r"init: .*fold-1 trained mobilenet-0\.25, not"):
        network.build(settings)


class Stubborn:
    """Says the same of everything."""

    def probabilities(self, pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), 0.75)


def test_a_teachers_answers_are_mixed_into_the_labels() -> None:
    examples = Examples.from_pixels(
        np.zeros((8, 32, 32, 3), np.uint8), np.array([0, 1] * 4, np.float32)
    )
    settings = resolve(options={"size": 32, "batch_size": 8, "teacher_weight": 0.4})
    targets = TrainingBatches(examples, np.arange(8), settings, Stubborn()).batch(0, 0).targets
    assert sorted(set(targets[:, 0].tolist())) == pytest.approx([0.3, 0.9])


def test_a_shipped_model_teaches_views_of_any_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    told = FileTeacher("fast").probabilities(pixels, np.arange(2))
    assert told.shape == (2,)
    assert ((told > 0) & (told < 1)).all()


def examples_of(images: list[Labelled]) -> Examples:
    """Examples without pixels; an image that is not there is left out."""
    targets = np.array([1.0 if each.path.exists() else np.nan for each in images], np.float32)
    if len(images) == 1:
        targets[:] = 1
    examples = Examples.from_pixels(np.zeros((len(images), 1, 1, 3), np.uint8), targets)
    return replace(examples, images=images)


def test_a_run_with_folds_teaches_each_image_by_the_network_without_it(
    folds: Run, data: Path
) -> None:
    images = read_folders([data])
    unreadable = Labelled("unreadable.jpg", data / "unreadable.jpg", 1)
    teacher = load_teacher(str(folds.folder), examples_of([*images, unreadable]), export)
    alone = [FileTeacher(fold.folder / "teacher.onnx") for fold in folds.fold_runs()]
    held = [int(oof(folds)[item.name][2]) - 1 for item in images[:10]]
    pixels = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    told = teacher.probabilities(pixels, np.arange(10))
    each = [model.probabilities(pixels, np.arange(10)) for model in alone]
    assert told.tolist() == [each[fold][at] for at, fold in enumerate(held)]
    assert len(set(held)) == 2


def test_a_run_of_other_images_or_without_folds_is_no_teacher(folds: Run, tmp_path: Path) -> None:
    stranger = [Labelled("stranger.jpg", tmp_path / "stranger.jpg", 1)]
    with pytest.raises(DataError, match=r"stranger\.jpg is not one of them"):
        load_teacher(str(folds.folder), examples_of(stranger), export)
    with pytest.raises(DataError, match="finished run with folds"):
        load_teacher(str(folds.fold_runs()[0].folder), examples_of(stranger), export)


def test_a_run_teaches_only_with_what_exports_its_folds(folds: Run, data: Path) -> None:
    with pytest.raises(UsageError, match=r"is a run: pass `export=maskspot\.export`"):
        load_teacher(str(folds.folder), examples_of(read_folders([data])), None)


def grouped(data: Path, folder: Path) -> Path:
    """The data set with five sources, and a copy of an image in another source."""
    shutil.copytree(data, folder)
    rows = [f"{name},{source}\n" for name, source in sources_of(folder).items()]
    (folder / "sources.csv").write_text("image,source\n" + "".join(rows))
    return folder


def sources_of(folder: Path) -> dict[str, str]:
    names = [item.name for item in read_folders([folder])]
    return {name: "e" if name == "copy.jpg" else "abcd"[at % 4] for at, name in enumerate(names)}


def test_folds_by_source_part_no_source_and_learn_from_no_copy_of_what_they_judge(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = grouped(data, tmp_path / "data")
    run = Run.create(tmp_path / "run", resolve(options=SMALL | {"group": "source"}), [folder])
    tasks = []
    monkeypatch.setattr(
        "maskspot.training.train_run.fit",
        lambda run, task, listener: tasks.append(task) or fake_fit(run, task),
    )
    resume(run)
    source = sources_of(folder)
    original = next(name for name in source if name != "copy.jpg")
    for task in tasks:
        learned, judged = (
            {task.examples.images[at].name for at in rows}
            for rows in (task.training, task.validation)
        )
        assert not {source[name] for name in learned} & {source[name] for name in judged}
        assert learned.isdisjoint({"copy.jpg", original}) or judged.isdisjoint(
            {"copy.jpg", original}
        )
    assert len(tasks) == 2


def fake_fit(run: Run, task: object) -> dict[str, object]:
    """Write what training would: each image is called a mask."""
    items = [task.examples.images[at] for at in task.validation]  # type: ignore[attr-defined]
    run.write_predictions(items, np.full(len(items), 0.75))
    metrics = {"validation": {"log_loss": 1.0, "accuracy": 0.5, "auc": 0.5}}
    run.write_json("metrics.json", metrics)
    return metrics


def test_false_positives_of_another_run_are_shown_twice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = []
    monkeypatch.setattr(
        "maskspot.training.train_run.fit",
        lambda run, task, listener: tasks.append(task) or fake_fit(run, task),
    )
    first = Run.create(tmp_path / "first", resolve(options=SMALL), [data])
    resume(first)
    assert first.false_positives() == {
        each.name for each in read_folders([data]) if not each.target
    }
    again = SMALL | {"folds": 0, "repeat": str(first.folder)}
    resume(Run.create(tmp_path / "second", resolve(options=again), [data]))
    rows = tasks[-1].training
    for at in np.unique(rows):
        assert np.sum(rows == at) == (1 if tasks[-1].examples.images[at].target else 2)


def test_only_finished_runs_with_folds_have_false_positives(data: Path, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", resolve(options=SMALL), [data])
    with pytest.raises(DataError, match="not a finished run with folds"):
        run.false_positives()


def test_groups_need_folds() -> None:
    with pytest.raises(UsageError, match="group: needs a number of `folds`"):
        resolve(options={"group": "source"})
