"""A row of a table that holds no image is a row with its reason, on every engine."""

import zipfile
from pathlib import Path

import pytest

from maskspot import Predictor
from maskspot.engines.partitions import images_of
from maskspot.inputs.items import find_items


@pytest.fixture(scope="module")
def fast() -> Predictor:
    return Predictor("fast")


def test_no_row_fails_a_job(pictures: Path, tmp_path: Path, fast: Predictor) -> None:
    pytest.importorskip("fsspec", reason="needs maskspot[remote]")
    pytest.importorskip("aiohttp", reason="needs maskspot[remote]")
    good = str(pictures / "a.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4" + bytes(40))
    bad = [
        str(tmp_path / "empty"),
        str(tmp_path / "cut.zip"),
        str(tmp_path / "gone.jpg"),
        "http://127.0.0.1:9/",
        "http://user:secret@127.0.0.1:9/",
        "nonsense://x/y",
        "nul\0.jpg",
        "",
        None,
        float("nan"),
    ]
    values = [good, *bad, good]
    images = images_of(values, [f"row {at}" for at in range(len(values))])
    scores = list(fast.predict_batch(images[1:-1]))
    assert len(scores) == len(bad)
    assert [score.source for score in scores][-3:] == ["row 8", "row 9", "row 10"]
    assert all(score.error and score.probability is None for score in scores)
    assert {score.status for score in scores[-3:]} == {"missing"}
    assert not any("secret" in f"{score.source}{score.error}" for score in scores)


def test_a_row_without_content_keeps_its_name(pictures: Path, fast: Predictor) -> None:
    content = (pictures / "a.jpg").read_bytes()
    scores = fast.predict_batch(images_of([None, content], ["x.jpg", "y.jpg"]))
    assert [score.source for score in scores] == ["x.jpg", "y.jpg"]
    assert [score.status for score in scores] == ["missing", "ok"]


def test_a_file_is_read_by_the_name_that_spark_gives_it(pictures: Path, fast: Predictor) -> None:
    (pictures / "a.jpg").rename(pictures / "a b.jpg")
    expected = fast.predict(pictures / "a b.jpg").probability
    name = "file:" + (pictures / "a b.jpg").as_uri().removeprefix("file://")
    (score,) = fast.predict_batch(images_of([name], [name]))
    assert (score.source, score.probability) == (name, expected)


def test_what_is_whole_in_a_damaged_archive_is_scored(
    pictures: Path, tmp_path: Path, fast: Predictor
) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(pictures / "a.jpg", "a.jpg")
    (item,) = find_items([str(tmp_path / "z.zip")])
    (score,) = fast.predict_batch(images_of([str(tmp_path / "z.zip")], [""]))
    assert (score.source, score.status) == (f"{tmp_path}/z.zip/{item.name}", "ok")
