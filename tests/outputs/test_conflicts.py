"""What commands write never destroys what they read, nor one output another."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskspot.errors import DataError, UsageError
from maskspot.inputs.items import find_items
from maskspot.outputs.conflicts import OutputFiles

Run = Callable[..., Any]


@pytest.fixture
def folder(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos, their labels, predictions, a list and a model; the current folder."""
    monkeypatch.chdir(pictures.parent)
    names = sorted(path.name for path in pictures.iterdir())
    rows = "".join(f"{name},{at % 2}\n" for at, name in enumerate(names))
    Path("labels.csv").write_text(f"image,target\n{rows}")
    Path("predictions.csv").write_text(f"image,target\n{rows}")
    Path("list.txt").write_text("".join(f"pictures/{name}\n" for name in names))
    shutil.copy(Path(__file__).parents[2] / "src/maskspot/model/shipped/fast.onnx", "model.onnx")
    os.link("pictures/a.jpg", "second-name.csv")
    return pictures.parent


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "words",
    [
        "predict pictures --report pictures/a.jpg",
        "predict --from list.txt --report list.txt",
        "predict --from list.txt --report pictures/b.jpg",
        "predict --from list.txt -o list.txt",
        "predict pictures -m model.onnx --report model.onnx",
        "predict pictures -m model.onnx --cache model.onnx",
        "predict pictures -o second-name.csv",
        "predict pictures --report second-name.csv",
        "predict pictures --cache second-name.csv",
        "predict pictures --sample labels.csv --report labels.csv",
        "predict pictures -o x.csv --report x.csv",
        "predict pictures -o x.csv --report ./X.csv",
        "predict pictures -o x.csv --cache .x.csv.journal",
        "predict pictures --report x.db-wal --cache x.db --report x.db-wal",
        "predict pictures -o x --heatmaps x",
        "predict pictures --heatmaps pictures",
        "predict pictures --heatmaps pictures/maps",
        "predict **/*.jpg --heatmaps maps",
        "predict pictures/a.jpg --heatmaps pictures",
        "predict --from list.txt --heatmaps .",
        "evaluate labels.csv pictures --report labels.csv",
        "evaluate labels.csv pictures --report pictures/a.jpg",
        "evaluate labels.csv pictures -m model.onnx --report model.onnx",
        "evaluate labels.csv -p predictions.csv --report predictions.csv",
        "evaluate labels.csv -p predictions.csv --against model.onnx --report model.onnx",
        "compare model.onnx --labels labels.csv --images pictures -o pictures/a.jpg.png",
        "compare model.onnx --labels pictures/a.png --images pictures -o pictures/a.png",
    ],
)
def test_no_command_writes_over_what_it_reads(cli: Run, folder: Path, words: str) -> None:
    if words.startswith("compare"):
        os.link("pictures/b.jpg", "pictures/a.jpg.png")
        shutil.copy("labels.csv", "pictures/a.png")
    before = contents(folder)
    result = cli(*words.split(), *([] if words.startswith("compare") else ["-q"]))
    assert result.code == (3 if "--cache second" in words else 2)  # SQLite takes no photo
    assert result.err.splitlines()[-1].startswith("error: --")
    after = contents(folder)
    assert {name: after.get(name) for name in before} == before
    assert set(after) - set(before) <= {".second-name.csv.journal"}


@pytest.mark.parametrize(
    ("option", "file"),
    [("-o", "train_labels.csv"), ("--report", "images/1.png"), ("--report", "sample_sub.csv")],
)
def test_check_does_not_write_over_the_data_that_it_checks(
    cli: Run, tmp_path: Path, option: str, file: str
) -> None:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for name in ("train_labels.csv", "images/1.png", "sample_sub.csv"):
        (data / name).write_text("image,target\n")
    before = contents(data)
    result = cli("check", data, option, data / file)
    assert (result.code, result.err.splitlines()[-1]) == (
        2,
        f"error: {'--output' if option == '-o' else option}: {data / file} is one of the inputs; "
        "name another file",
    )
    assert contents(data) == before


def test_what_is_beside_the_inputs_can_be_written(folder: Path) -> None:
    files: dict[str, Path | None] = {"path": Path("pictures/x.csv"), "report": None}
    for maps in (Path("maps"), Path("pictures.maps"), None):
        destinations = OutputFiles(files, {"heatmaps": maps})
        destinations.check(["pictures", "list.txt", None, "pictures/*.jpg", "http://h/x.csv"])
        destinations.check_folder(folder / "pictures")
        assert len(list(destinations.check_items(find_items(["pictures"])))) == 6


def test_a_folder_of_outputs_is_neither_read_nor_around_what_is(folder: Path) -> None:
    for path in ("pictures", "pictures/new", "pictures/../pictures"):
        with pytest.raises(UsageError, match="is in pictures, which is read"):
            OutputFiles({}, {"path": Path(path)}).check(["pictures"])
    with pytest.raises(UsageError, match=r"path: \. has pictures/a\.jpg in it, which is read"):
        list(OutputFiles({}, {"path": Path()}).check_items(find_items(["pictures/a.jpg"])))
    with pytest.raises(UsageError, match="is the file of `path`"):
        OutputFiles({}, {"path": folder / "x", "heatmaps": Path("x")})


def test_a_destination_that_is_a_link_is_refused_before_any_work(folder: Path) -> None:
    Path("x.csv").symlink_to("labels.csv")
    for option in ("-o", "--report", "--cache"):
        with pytest.raises(DataError, match="a link, which is never written to"):
            OutputFiles({option: Path("x.csv")})
    with pytest.raises(UsageError, match="report: pictures is a folder; name a file in it"):
        OutputFiles({"report": Path("pictures")})


def test_pipes_may_be_named_twice() -> None:
    OutputFiles({"path": Path("/dev/null"), "report": Path("/dev/null")})
