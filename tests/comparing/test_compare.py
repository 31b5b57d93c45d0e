"""Models side by side: how they are judged, what they cost, the Pareto front, table and plot."""

import json
import math
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot import Predictor
from maskspot.cli.tables.comparison import show
from maskspot.comparing import latency
from maskspot.comparing.compare import ComparedModel, ModelComparison, compare
from maskspot.comparing.latency import Latency
from maskspot.comparing.options import CompareOptions
from maskspot.comparing.parameters import count_parameters
from maskspot.comparing.pareto import pareto_front
from maskspot.comparing.quality import ModelQuality, own_quality
from maskspot.datasets.labels import Labelled
from maskspot.errors import DataError
from maskspot.evaluation.bootstrap import Estimate
from maskspot.evaluation.evaluate import Question
from maskspot.model.shipped import find_model, shipped
from maskspot.training.presets import resolve
from maskspot.training.run import Run
from tests.helpers import Recorder, tiny_mobilenet

Cli = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "comparing.md"
QUICK = ("--rounds", 1, "--resamples", 20)

costs = st.sampled_from([0.0, 0.5, 1.0, 2.0, math.inf, math.nan])


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labels of six pictures, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    rows = "".join(f"{name},{int(name in 'bdf')}\n" for name in "abcdef")
    (tmp_path / "labels.csv").write_text("image,target\n" + rows)
    return Path("labels.csv")


@given(st.lists(st.tuples(costs, costs), max_size=8))
def test_the_front_is_what_a_sweep_from_the_cheapest_finds(
    points: list[tuple[float, float]],
) -> None:
    expected, best = set(), math.inf
    known = sorted(point for point in points if not any(map(math.isnan, point)))
    for at, (cost, loss) in enumerate(known):
        if at == 0 or loss < best:
            expected.add((cost, loss))
            best = loss
    assert pareto_front(points) == [point in expected for point in points]


@given(st.lists(st.tuples(costs, costs), max_size=8))
def test_who_is_off_the_front_is_dominated_by_one_on_it(points: list[tuple[float, float]]) -> None:
    marks = pareto_front(points)
    front = [point for point, best in zip(points, marks, strict=True) if best]

    def beaten(point: tuple[float, float]) -> bool:
        return any(
            a <= point[0] and b <= point[1] and (a < point[0] or b < point[1]) for a, b in front
        )

    for point, best in zip(points, marks, strict=True):
        assert beaten(point) != best or any(map(math.isnan, point))


@pytest.mark.parametrize("name", shipped())
def test_parameters_of_shipped_models_are_those_that_onnx_sees(name: str) -> None:
    onnx = pytest.importorskip("onnx", reason="needs maskspot[train]")
    expected = sum(
        math.prod(tensor.dims)
        for tensor in onnx.load(find_model(name)).graph.initializer
        if tensor.data_type != onnx.TensorProto.INT64
    )
    predictor = Predictor(name)
    assert predictor.info.parameters in (None, expected)
    assert count_parameters(predictor, find_model(name)) == expected > 200_000


def test_parameters_are_read_from_the_metadata_else_the_graph_else_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("onnx", reason="needs maskspot[train]")
    predictor, file = Predictor("fast"), find_model("fast")
    known = count_parameters(predictor, file)
    predictor.id = "another"
    assert count_parameters(predictor, file) == known
    monkeypatch.setattr("maskspot.comparing.parameters.find_spec", lambda name: None)
    assert count_parameters(predictor, file) is None
    predictor.info = replace(predictor.info, parameters=7)
    assert count_parameters(predictor, file) == 7


def test_a_model_of_unknown_parameters_is_on_no_front_by_them(
    capsys: pytest.CaptureFixture[str], labels: Path
) -> None:
    models = (replace(measured("a", "k"), parameters=None), measured("b", "k", loss=0.9))
    comparison = ModelComparison(models, 1)
    assert comparison.front("log_loss", "parameters") == [False, True]
    show(comparison)
    assert re.search(r"\* +a +0\.5\S* +0\.5\S* +\? ", capsys.readouterr().out)


def test_all_models_have_their_turn_in_each_round_and_another_one_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = ""
    clock = 0.0
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: clock))

    def model(name: str, seconds: float) -> Any:
        def probabilities(pixels: np.ndarray) -> None:
            nonlocal clock, turns
            assert pixels.shape == (1, 8, 8, 3)
            turns += name
            clock += seconds

        shape = SimpleNamespace(preprocessing=SimpleNamespace(size=8))
        return SimpleNamespace(info=shape, probabilities=probabilities)

    progress = Recorder()
    models = [model("a", 0.01), model("b", 0.1)]
    found = latency.measure_latencies(models, 3, progress)
    a, b = "a" + 5 * "a", "b" + "b"  # a pass to warm up, then 50 ms or one pass
    assert turns == "ab" + "ab" + a + b + b + a + a + b
    assert progress.updates == {"measuring latency": [1, 2, 3]}
    for each, milliseconds in zip(found, (10, 100), strict=True):
        assert (each.low, each.value, each.high) == pytest.approx((milliseconds,) * 3)


def test_models_are_judged_by_the_same_images_as_evaluate_does(
    cli: Cli, labels: Path, pictures: Path
) -> None:
    result = cli("compare", "fast", "default", "--labels", labels, "--images", pictures,
                 *QUICK, "--json")  # fmt: skip
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert found["same_images"] is True
    assert (found["left_out"], found["rounds"]) == (0, 1)
    losses = [each["judgement"]["log_loss"]["value"] for each in found["models"]]
    assert losses == sorted(losses)
    for each in found["models"]:
        words = ("evaluate", labels, pictures, "-m", each["name"], "--resamples", 20, "--json")
        quality = json.loads(cli(*words).out)["quality"]
        assert each["judgement"]["log_loss"] == quality["log_loss"]
        assert each["judgement"]["accuracy"] == quality["accuracy"]
        assert each["judgement"]["images"] == 6
        assert each["bytes"] == find_model(each["name"]).stat().st_size
        assert each["kind"] == "model"
    assert found["models"][0]["front"]["log_loss"]["bytes"] is True
    fast = next(each for each in found["models"] if each["name"] == "fast")
    assert all(fast["front"]["log_loss"].values())


def test_an_image_that_cannot_be_read_is_named_once_and_left_out_for_all(
    cli: Cli, labels: Path, pictures: Path
) -> None:
    (pictures / "f.jpg").write_bytes(b"")
    words = ("--labels", labels, "--images", pictures, *QUICK, "--json")
    result = cli("compare", "fast", find_model("fast"), *words)
    assert (result.code, result.err) == (1, "warning: f: left out: empty file\n")
    found = json.loads(result.out)
    assert found["left_out"] == 1
    assert [each["judgement"]["images"] for each in found["models"]] == [5, 5]
    for picture in pictures.iterdir():
        picture.write_bytes(b"")
    result = cli("compare", "fast", *words)
    assert result.code == 3
    assert result.err.endswith("error: labels.csv: no labelled image can be scored\n")


def test_images_may_be_named_several_times(cli: Cli, labels: Path, pictures: Path) -> None:
    more = [word for each in sorted(pictures.iterdir()) for word in ("--images", each)]
    result = cli("compare", "fast", "--labels", labels, *more, *QUICK, "--json")
    assert result.code == 0
    assert json.loads(result.out)["models"][0]["judgement"]["images"] == 6


def test_the_table_says_all_in_80_columns(cli: Cli, labels: Path) -> None:
    shutil.copy(find_model("fast"), "[red]m\x1b[2J" + "y" * 40 + ".onnx")
    result = cli("compare", "default", *Path().glob("*.onnx"), *QUICK)
    assert result.code == 0
    assert result.err == (
        "warning: models are not measured on the same images; use --labels and --images\n"
    )
    assert max(map(len, result.out.splitlines())) <= 80
    assert "[red]m\\x1b[2J" in result.out
    assert "\x1b" not in result.out
    for text in ("images that differ", "metadata: 394 ?", "3.36", "Pareto front", "of 1 rounds"):
        assert text in result.out
    assert re.search(r"\* +default +0\.08\d+ +0\.96", result.out)


def test_files_of_the_same_name_keep_their_folders(labels: Path) -> None:
    names = ["one/m.onnx", "two/m.onnx"]
    for name in names:
        Path(name).parent.mkdir()
        shutil.copy(find_model("fast"), name)
    found = compare([*names, "fast"], CompareOptions(rounds=1))
    assert {model.name for model in found.models} == {*names, "fast"}


def measured(
    name: str, key: str | None, loss: float = 0.5, milliseconds: float = 1.0
) -> ComparedModel:
    none = Estimate(loss, math.nan, math.nan)
    times = Latency(milliseconds, milliseconds, milliseconds)
    quality = ModelQuality("oof.csv", 9, key, none, none)
    return ComparedModel(name, "run", "vgg16", 64, 1, quality, 5, 5, times)


@pytest.mark.parametrize(
    ("keys", "same"),
    [(["a", "a"], True), (["a", "b"], False), (["a", None], False), ([None, None], False),
     ([None], True)],
)  # fmt: skip
def test_images_are_the_same_only_where_that_is_known(keys: list[str | None], same: bool) -> None:
    models = tuple(measured(str(at), key) for at, key in enumerate(keys))
    assert ModelComparison(models, 1).same_images is same


def test_accuracy_is_the_better_the_higher() -> None:
    both = (
        measured("a", "k", loss=0.9, milliseconds=2),
        measured("b", "k", loss=0.5, milliseconds=2),
    )
    assert ModelComparison(both, 1).front("accuracy", "latency") == [True, False]
    assert ModelComparison(both, 1).front("log_loss", "latency") == [False, True]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with no more than what it says of the images held back."""
    made = Run.create(tmp_path / "run", resolve(), [tmp_path])
    images = [Labelled(f"{at}.jpg", tmp_path / f"{at}.jpg", at % 2) for at in range(4)]
    made.write_predictions(images, np.array([0.2, 0.8, 0.4, 0.4]))
    return made


def test_a_run_is_judged_by_what_was_held_back_and_the_order_does_not_matter(run: Run) -> None:
    info = Predictor("fast").info
    found = own_quality(run, info, Question(resamples=50))
    assert (found.by, found.images) == ("validation.csv", 4)
    assert found.accuracy.value == 0.75
    assert found.log_loss.low < found.log_loss.value < found.log_loss.high
    header, *rows = run.predictions.read_text().splitlines(keepends=True)
    run.predictions.write_text(header + "".join(reversed(rows)))
    assert own_quality(run, info, Question(resamples=0)).key == found.key
    run.predictions.write_text(header + "".join(rows).replace("0.jpg,0", "0.jpg,1"))
    assert own_quality(run, info, Question(resamples=0)).key != found.key
    run.predictions.write_text(header + "0.jpg,1,1.5\n")
    with pytest.raises(DataError, match=r"validation\.csv: damaged"):
        own_quality(run, info, Question())


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        ([], 2, "name runs or models to compare, or use --train"),
        (["fast", "fast"], 2, "fast: named twice"),
        (["fast", "--labels", "labels.csv"], 2, "--labels and --images must be given together"),
        (["fast", "--images", "pictures"], 2, "--labels and --images must be given together"),
        (
            ["fast", "--labels", "labels.csv", "--images", "-"],
            2,
            "--images: '-' is not supported, as",
        ),
        (["fast", "-o", "plot.txt"], 2, "--output: plot.txt must end in .png"),
        (["fast", "--rounds", "0"], 2, "--rounds"),
        (["--train", "vgg16"], 2, "--train and --data must be given together"),
        (["fast", "--data", "pictures"], 2, "--train and --data must be given together"),
        (["fast", "--epochs", "3"], 2, "--train and --data must be given together"),
        (["fast", "none.onnx"], 3, "none.onnx: "),
        (["fast", "labels.csv"], 3, "labels.csv: not a model file, or damaged"),
        (["fast", "pictures"], 3, "pictures: not a training run"),
        (["fast", "run"], 3, "run: not finished; resume its training first"),
        (["fast", "--labels", "none.csv", "--images", "pictures"], 3, "none.csv: No such file"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    words: list[str], code: int, expected: str, cli: Cli, labels: Path, pictures: Path, run: Run
) -> None:
    result = cli("compare", *words)
    assert (result.code, result.out) == (code, "")
    assert expected in result.err
    assert result.err.count("\n") == 1
    assert not list(Path().glob("*.png"))


def test_a_plot_that_cannot_be_written_is_refused_before_any_work(
    cli: Cli, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="needs maskspot[train]")
    monkeypatch.setattr("maskspot.comparing.compare.compare", None)
    result = cli("compare", "fast", "-o", "no/plot.png")
    assert result.code == 3
    assert result.err.endswith("no: No such file or directory\n")


def test_a_plot_without_matplotlib_says_what_to_install(
    cli: Cli, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskspot.cli.commands.compare.find_spec", lambda name: None)
    result = cli("compare", "fast", "-o", "plot.png")
    assert (result.code, result.err) == (
        2,
        "error: maskspot compare --output needs more packages: pip install 'maskspot[report]'\n",
    )


@pytest.mark.slow
def test_the_plot_shows_nine_models_whatever_they_are_called(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs maskspot[report]")
    from maskspot.comparing.plot import draw

    names = ["$x", "a" * 60, "日本", *"bcdefg"]
    models = [measured(name, "k", 0.1 * at, 1 + at) for at, name in enumerate(names, 1)]
    models.append(measured("never", None, math.inf))
    draw(ModelComparison(tuple(models), 20), tmp_path / "plot.svg")
    content = (tmp_path / "plot.svg").read_text()
    assert content.startswith("<?xml")
    assert "<!-- 1  $x -->" in content


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for runs, with networks of two convolutions in the backbones' place."""
    pytest.importorskip("tensorflow", reason="needs maskspot[train]")
    from maskspot.training import network

    with tiny_mobilenet(), pytest.MonkeyPatch.context() as patch:
        for name in ("efficientnet-b0", "vgg16"):
            patch.setitem(network.BACKBONES, name, network.BACKBONES["mobilenet-0.25"])
        yield tmp_path_factory.mktemp("runs")


@pytest.mark.train
@pytest.mark.slow
def test_backbones_are_trained_on_the_same_folds_once_and_compared(
    cli: Cli, trained: Path, demo_data: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--data", demo_data, "--runs", trained, "--weights", "none", "--size", 32,
             "--epochs", 1, "--folds", 2, *QUICK)  # fmt: skip
    first = cli("compare", "--train", "mobilenet-0.25,vgg16", *words, "--json", "-o", "plot.png")
    assert first.code == 0, first.err
    found = json.loads(first.out)
    assert found["same_images"] is True
    assert {each["name"] for each in found["models"]} == {"compare-mobilenet-0.25", "compare-vgg16"}
    for each in found["models"]:
        assert (each["kind"], each["passes"], each["judgement"]["by"]) == ("run", 2, "oof.csv")
        assert each["judgement"]["images"] == 160
        assert each["parameters"] > 1000
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")

    folder = trained / "compare-vgg16"
    before = (folder / "fold-1" / "history.csv").stat().st_mtime_ns
    again = cli("compare", "fast", "--train", "vgg16", *words)
    assert again.code == 0, again.err
    assert (folder / "fold-1" / "history.csv").stat().st_mtime_ns == before
    assert "oof.csv: 160 a" in again.out
    assert f"metadata: {Predictor('fast').info.metrics['images']} ?" in again.out
    assert "2 x vgg16 32" in again.out

    other = cli("compare", "--train", "efficientnet-b0,vgg16", *words, "--seed", 7)
    assert (other.code, other.out) == (2, "")
    assert other.err == f"error: {folder} exists with seed 0, not 7: choose another --name\n"
    assert not (trained / "compare-efficientnet-b0").exists()
    unknown = cli("compare", "--train", "vgg16,vgg99", *words)
    assert unknown.code == 2
    assert "backbone: 'vgg99' is not one of" in unknown.err


@pytest.mark.train
@pytest.mark.slow
def test_a_run_is_judged_by_its_export(
    cli: Cli, trained: Path, demo_data: Path, labels: Path, pictures: Path
) -> None:
    from maskspot.training.train import resume

    options = {"backbone": "mobilenet-0.25", "weights": "none", "size": 32, "epochs": 1}
    made = Run.create(trained / "plain", resolve(options=options), [demo_data])
    resume(made)
    assert cli("export", made.folder, "-o", "m.onnx", "-q").code == 0
    words = ("--labels", labels, "--images", pictures, *QUICK, "--json")
    result = cli("compare", made.folder, "m.onnx", *words)
    assert (result.code, result.err) == (0, "")
    one, other = json.loads(result.out)["models"]
    assert {one["kind"], other["kind"]} == {"run", "model"}
    for name in ("judgement", "parameters", "backbone", "size", "passes"):
        assert one[name] == other[name]
    assert abs(one["bytes"] - other["bytes"]) < 100  # the names in them differ
    own = json.loads(cli("compare", made.folder, *QUICK, "--json").out)["models"][0]["judgement"]
    assert (own["by"], own["images"]) == ("validation.csv", 32)


@pytest.mark.train
@pytest.mark.slow
def test_the_documents_examples_run(
    cli: Cli,
    trained: Path,
    demo_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the preset made small: as the page has it, it takes hours."""
    from dataclasses import replace

    from maskspot.training.presets import PRESETS

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(
        PRESETS, "default", replace(PRESETS["default"], size=32, weights="none", epochs=1)
    )
    shutil.copytree(demo_data, "photos")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).splitlines()
    assert len(lines) == 2
    for line in lines:
        result = cli(*shlex.split(line)[1:], "--rounds", 1)
        assert result.code == 0, (line, result.err)
    assert {path.name for path in Path().glob("*.png")} == {"models.png", "backbones.png"}
    assert {
        model.name for model in compare(["default", "fast"], CompareOptions(rounds=1)).models
    } == {
        "default",
        "fast",
    }
