"""What a folder of competition data holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maskspot.datasets.survey import csvs_of, survey
from maskspot.errors import DataError
from maskspot.progress import Silent, Step


class Steps(Silent):
    """Notes how many units each step has done."""

    def __init__(self) -> None:
        self.done: dict[str, tuple[float, float | None]] = {}

    @contextmanager
    def step(self, name: str, unit: str = "", total: float | None = None) -> Iterator[Step]:
        done = self.done

        class Noting:
            def update(self, count: float, total: float | None = total, note: str = "") -> None:
                done[name] = count, total

        yield Noting()


def write(file: Path, *names: str) -> Path:
    file.write_text("".join(f"{row}\n" for row in ("image,target", *(f"{n},0" for n in names))))
    return file


def test_a_survey_counts_and_names_images_and_tells_of_its_progress(pictures: Path) -> None:
    write(pictures / "train_labels.csv", "a.jpg", "gone.jpg")
    sample = write(pictures / "sample_sub.csv", "b.jpg")
    (pictures / "b.jpg").write_bytes(b"")
    progress = Steps()
    found = survey(pictures, progress=progress)
    assert (found.with_mask, found.without_mask, found.test) == (0, 2, 1)
    assert found.sample == sample
    assert found.missing == ["gone.jpg"]
    assert found.extra == ["c.jpg", "d.jpg", "e.jpg", "f.jpg"]
    assert found.unreadable == [("b.jpg", "empty file")]
    assert not found.complete
    assert progress.done == {"reading the images": (6, 6)}


def test_the_csvs_that_reading_a_folder_reads_are_its_labels_and_its_sample(tmp_path: Path) -> None:
    labels = write(tmp_path / "train.csv", "a.jpg")
    sample = write(tmp_path / "Sample.csv", "b.jpg")
    assert csvs_of(tmp_path) == [labels, sample]
    assert Path("mine.csv") in csvs_of(tmp_path, "mine.csv")
    assert csvs_of(tmp_path / "none") == []


def test_two_samples_are_an_error_but_not_of_what_lists_the_csvs(tmp_path: Path) -> None:
    for name in ("sample_1.csv", "sample_2.csv"):
        write(tmp_path / name, "a.jpg")
    with pytest.raises(DataError, match=r"several sample submissions: .*sample_1.csv, "):
        survey(tmp_path)
    assert csvs_of(tmp_path) == []
