"""A run of predict from Python: everything that the command does."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskspot.errors import DataError, UsageError
from maskspot.inputs.selection import Selection
from maskspot.model.loading import LoadOptions
from maskspot.model.predictor import Predictor
from maskspot.model.score import Score
from maskspot.outputs.destination import Destination
from maskspot.outputs.form import FormOptions
from maskspot.scoring.job import PredictJob
from maskspot.scoring.workers import Workers


def job(pictures: Path, **parts: Any) -> PredictJob:
    return PredictJob(Selection((str(pictures),)), LoadOptions("fast"), **parts)


def test_a_job_writes_the_scores_of_the_predictor_and_counts_them(
    pictures: Path, tmp_path: Path
) -> None:
    fast = Predictor("fast")
    (pictures / "broken.jpg").write_bytes(b"")
    (pictures / "notes.txt").write_text("x")
    file = tmp_path / "sub.csv"
    counts = job(pictures, destination=Destination(file)).run()
    assert (counts.scored, counts.failed, counts.model, counts.device) == (6, 1, "fast", "cpu")
    assert sum(counts.passed.values()) == 1
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert {row["image"]: row["target"] for row in rows} == {
        path.name: "" if path.stem == "broken" else repr(fast.predict(path).probability)
        for path in sorted(pictures.glob("*.jpg"))
    }


def test_a_watch_sees_each_image_that_was_scored(pictures: Path, tmp_path: Path) -> None:
    seen: list[Score] = []
    (pictures / "broken.jpg").write_bytes(b"")
    to = Destination(tmp_path / "sub.csv")
    job(pictures, destination=to).run(watch=lambda image, score: seen.append(score))
    assert sorted(score.source for score in seen) == [f"{name}.jpg" for name in "abcdef"]


def test_threads_and_processes_do_not_change_the_rows(pictures: Path, tmp_path: Path) -> None:
    files = []
    for at, workers in enumerate((Workers(1, 1), Workers(3, 1), Workers(2, 2))):
        files.append(tmp_path / f"{at}.csv")
        job(pictures, destination=Destination(files[-1]), workers=workers).run()
    assert len({file.read_bytes() for file in files}) == 1


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (Selection, None),
        (lambda: Selection(("a",), "list.txt"), "listing"),
        (lambda: Selection(("a",), column="x"), "column"),
        (lambda: Destination(resume=True), "resume"),
        (lambda: Destination(Path("-"), resume=False), "resume"),
        (lambda: Destination(top=0), "top"),
        (lambda: Workers(0), "threads"),
        (lambda: LoadOptions(batch_size=0), "batch_size"),
    ],
)
def test_invalid_arguments_are_refused_at_once_by_name(
    make: Callable[[], Any], argument: str | None
) -> None:
    with pytest.raises(UsageError) as error:
        make()
    assert error.value.argument == argument


@pytest.mark.parametrize(
    ("parts", "argument"),
    [
        (
            {"form": FormOptions(sample=Path("sample.csv")), "destination": Destination(top=1)},
            "top",
        ),
        ({"cache": Path("c.db"), "destination": Destination(heatmaps=Path("maps"))}, "cache"),
        ({"form": FormOptions(format="xml")}, "format"),
        ({"form": FormOptions(on_error="perhaps")}, "on_error"),
        ({"form": FormOptions(threshold=2.0)}, "threshold"),
    ],
)
def test_arguments_that_exclude_one_another_are_refused_before_any_work(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: dict[str, Any],
    argument: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        job(pictures, **parts).run()
    assert error.value.argument == argument
    assert list(tmp_path.iterdir()) == [pictures]


def test_a_job_without_a_score_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="nothing written: none of 1 images"):
        job(tmp_path / "broken.jpg", destination=Destination(tmp_path / "sub.csv")).run()
    assert [path.name for path in tmp_path.iterdir()] == ["broken.jpg"]


def test_a_single_name_is_a_selection_and_only_files_and_folders_are_counted(
    pictures: Path,
) -> None:
    one: Any = str(pictures)
    assert Selection(one).images == (one,)
    assert Selection(one).count() == 6
    assert Selection(("https://example.org/a",)).count() is None
