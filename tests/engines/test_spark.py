"""The function for Spark gives what scoring here gives."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pd = pytest.importorskip("pandas")

import maskspot  # noqa: E402
from maskspot.engines.spark import SCHEMA, predict_in_pandas  # noqa: E402


@pytest.fixture(scope="module")
def photos(demo_data: Path) -> list[Path]:
    """Some photos."""
    return sorted((demo_data / "images").iterdir())[:7]


def frames(photos: list[Path]) -> Iterator["pd.DataFrame"]:
    """The photos, and a row that is none, as Spark hands them over: a few rows at a time."""
    rows = [(str(photo), photo.read_bytes()) for photo in photos]
    rows.insert(2, ("broken.jpg", b"no"))
    for at in range(0, len(rows), 3):
        yield pd.DataFrame(rows[at : at + 3], columns=["path", "content"])


def test_rows_are_those_of_a_predictor_in_their_order(photos: list[Path]) -> None:
    found = pd.concat(predict_in_pandas("fast")(frames(photos)), ignore_index=True)
    predictor = maskspot.load("fast")
    expected = [predictor.predict(photo).probability for photo in photos]
    expected.insert(2, None)
    assert [None if pd.isna(each) else each for each in found["probability"]] == expected
    assert found["source"].tolist()[2] == "broken.jpg"
    assert found["status"].tolist()[2] == "unreadable"
    assert set(found["model"]) == {predictor.id}
    assert list(found) == [field.split()[0] for field in SCHEMA.split(", ")]


def test_paths_will_do_for_bytes(photos: list[Path]) -> None:
    frame = pd.DataFrame({"file": [str(photo) for photo in photos]})
    function = predict_in_pandas("fast", column="file", names="file")
    (found,) = function(iter([frame]))
    assert found["source"].tolist() == frame["file"].tolist()
    assert found["status"].unique().tolist() == ["ok"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Spark's own
def test_the_documents_example_runs_on_spark_itself(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    sql = pytest.importorskip("pyspark.sql")
    page = Path(__file__).parents[2] / "docs" / "scale.md"
    (code,) = re.findall(r"```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "broken.jpg").write_bytes(b"no")
    for photo in photos:
        shutil.copy(photo, folder)
    builder = sql.SparkSession.builder.master("local[2]")
    spark = (
        builder.config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    try:
        exec(code.replace("s3://bucket", str(tmp_path)), {"spark": spark})
        found = spark.read.parquet(str(tmp_path / "scores")).toPandas()
    finally:
        spark.stop()
    assert len(found) == len(photos) + 1
    found.index = found["source"].str.rpartition("/")[2]
    assert pd.isna(found.loc["broken.jpg", "probability"])
    predictor = maskspot.load()
    for photo in photos:
        score = predictor.predict(photo)
        assert found.loc[photo.name, "probability"] == score.probability
        assert found.loc[photo.name, "width"] == score.width
