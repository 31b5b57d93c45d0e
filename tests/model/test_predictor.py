"""The Python API, where the model runs, and scores kept by content."""

import io
import math
import os
import pickle
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from multiprocessing import get_context
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import maskspot
from maskspot import Predictor, Score
from maskspot.errors import DataError, ImageError, UsageError
from maskspot.inputs.items import Item
from maskspot.model import providers as devices
from maskspot.scoring import cache as caching
from maskspot.scoring.cache import Cache
from maskspot.scoring.pipeline import resumed, score


def same(score: Score, other: Score) -> bool:
    return (score.probability, score.width, score.height) == (
        other.probability,
        other.width,
        other.height,
    )


def test_every_kind_of_image_gives_one_and_the_same_score(
    predictor: Predictor, pictures: Path
) -> None:
    path = pictures / "a.jpg"
    expected = predictor.predict(path)
    assert expected.error is None
    with Image.open(path) as image:
        assert (expected.width, expected.height, expected.format) == (*image.size, "JPEG")
        kinds = [str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), image.copy()]
        kinds.append(np.asarray(image))
    assert all(same(predictor.predict(kind), expected) for kind in kinds)
    assert expected.milliseconds is not None
    assert expected.milliseconds > 0


def test_many_images_give_an_iterator_of_scores_in_their_order(
    predictor: Predictor, pictures: Path
) -> None:
    paths = sorted(pictures.iterdir())
    singly = [predictor.predict(path) for path in paths]

    def endless() -> Iterator[Path]:
        while True:
            yield from paths

    many = predictor.predict(endless())
    assert [next(many).source for _ in range(9)] == [str(p) for p in (paths + paths)[:9]]
    many.close()  # type: ignore[attr-defined]
    for kind in (paths, tuple(paths), iter(paths), map(Path.read_bytes, paths)):
        scores = list(predictor.predict(kind))
        assert [s.probability for s in scores] == [s.probability for s in singly]
    arrays = np.stack([np.zeros((9, 9, 3), np.uint8), np.full((9, 9, 3), 9, np.uint8)])
    assert [s.source for s in predictor.predict(arrays)] == ["", ""]


def test_one_pillow_image_may_be_in_many_threads_and_stays_as_it_is(
    predictor: Predictor, pictures: Path, tmp_path: Path
) -> None:
    with Image.open(pictures / "a.jpg") as image:
        image.resize((2400, 1600)).save(tmp_path / "large.jpg")
    expected = Predictor(draft=False).predict(tmp_path / "large.jpg")
    for _ in range(3):
        with Image.open(tmp_path / "large.jpg") as image:
            assert all(same(each, expected) for each in predictor.predict([image] * 8))
        with Image.open(tmp_path / "large.jpg") as image:
            assert same(Predictor(draft=True).predict(image), expected)
            assert image.size == (2400, 1600)


@pytest.mark.parametrize("size", [0, -1, 10**9])
def test_a_batch_has_a_size(size: int) -> None:
    with pytest.raises(UsageError, match=f"batch_size: must be from 1 to 4096, not {size}"):
        Predictor(batch_size=size)


@pytest.mark.parametrize("thing", [None, 3, 1.5, object()])
def test_what_is_no_image_is_a_type_error(predictor: Predictor, thing: Any) -> None:
    with pytest.raises(TypeError, match="is not an image"):
        predictor.predict(thing)


def test_size_is_that_of_the_upright_image(predictor: Predictor, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png", exif=exif)
    found = predictor.predict(tmp_path / "a.png")
    assert (found.width, found.height, found.format) == (20, 40, "PNG")


def test_a_draft_is_close_and_keeps_the_size(tmp_path: Path, pictures: Path) -> None:
    """Where a photo is many times larger than the network's input; else it is the same."""
    with Image.open(pictures / "a.jpg") as image:
        image.resize((2400, 1600), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg")
    plain, draft = Predictor(draft=False), Predictor()
    large, small = tmp_path / "large.jpg", pictures / "a.jpg"
    assert same(plain.predict(small), draft.predict(small))
    exact, rough = plain.predict(large), draft.predict(large)
    assert (rough.width, rough.height) == (exact.width, exact.height) == (2400, 1600)
    assert exact.probability != rough.probability
    assert exact.probability == pytest.approx(rough.probability, abs=0.05)


def test_threads_may_share_a_predictor(predictor: Predictor, pictures: Path) -> None:
    paths = sorted(pictures.iterdir()) * 3
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(predictor.predict, paths))
    assert all(same(predictor.predict(p), s) for p, s in zip(paths, together, strict=True))


def test_a_predictor_travels_to_another_process(
    predictor: Predictor, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (Path(maskspot.__file__).parent / "model/shipped" / "fast.onnx").read_bytes()
    (tmp_path / "mine.onnx").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    mine = Predictor("mine.onnx", max_pixels=10**6)
    monkeypatch.chdir(pictures)
    copy = pickle.loads(pickle.dumps(mine))
    assert (copy.id, copy.max_pixels, copy.device) == (mine.id, 10**6, "cpu")
    path = pictures / "a.jpg"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert same(pool.submit(mine.predict, path).result(), mine.predict(path))


def test_the_id_is_of_the_files_content(tmp_path: Path) -> None:
    models = Path(maskspot.__file__).parent / "model/shipped"
    (tmp_path / "other.onnx").write_bytes((models / "fast.onnx").read_bytes())
    assert Predictor("fast").id == Predictor(tmp_path / "other.onnx").id != Predictor().id


class Elsewhere:
    """A session as an accelerator's would be: it runs here, and says that it does not."""

    ran: list[int] = []  # noqa: RUF012

    def __init__(
        self,
        model: bytes,
        options: Any,
        providers: list[tuple[str, Any]],
        enable_fallback: int = 1,
    ) -> None:
        self.inner = onnxruntime_session(model, options, providers=["CPUExecutionProvider"])
        self.providers = [name for name, _ in providers]

    def get_providers(self) -> list[str]:
        return [*self.providers, "CPUExecutionProvider"]

    def run(self, outputs: list[str], feed: dict[str, Any]) -> Any:
        self.ran.append(len(next(iter(feed.values()))))
        return self.inner.run(outputs, feed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


onnxruntime_session = onnxruntime.InferenceSession


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setattr(onnxruntime, "InferenceSession", Elsewhere)
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    Elsewhere.ran = []
    return Elsewhere.ran


def test_auto_takes_an_accelerator_and_gives_it_whole_batches(
    elsewhere: list[int], predictor: Predictor, pictures: Path
) -> None:
    paths = sorted(pictures.iterdir())
    found = Predictor(device="auto", batch_size=4)
    assert found.device == "cuda"
    items = [Item(path.name, lambda path=path: path) for path in [*paths, pictures / "no.jpg"]]
    scores = list(score(found, items, threads=2))
    assert elsewhere == [4, 4]  # six images; the second batch is filled up
    assert scores[-1].status == "missing"
    for path, each in zip(paths, scores, strict=False):
        assert each.source == path.name
        assert each.probability == pytest.approx(predictor.predict(path).probability, abs=1e-5)


def test_auto_falls_back_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(Elsewhere, "get_providers", lambda self: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Elsewhere)
    assert Predictor(device="auto").device == "cpu"
    with pytest.raises(
        UsageError, match="device: cuda: onnxruntime supports it, but it does not sta"
    ):
        Predictor(device="cuda")


def test_a_device_that_does_not_start_says_nothing_but_the_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As onnxruntime does for TensorRT whose libraries are missing: it tells standard output."""

    class Unstarted(Elsewhere):
        def __init__(self, *given: Any, providers: Any, enable_fallback: int = 1, **more: Any):
            if enable_fallback and "Tensorrt" in str(providers):
                print("*************** EP Error ***************")
            elif "Tensorrt" in str(providers):
                raise RuntimeError("please install TensorRT")
            super().__init__(*given, providers=providers, **more)

    here = ["TensorrtExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: here)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Unstarted)
    with pytest.raises(
        UsageError, match="device: tensorrt: onnxruntime supports it, but it does not"
    ):
        Predictor(device="tensorrt")
    assert capfd.readouterr() == ("", "")


def test_cudas_libraries_are_loaded_first_and_missing_ones_told_to_nobody(
    elsewhere: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded: list[str] = []

    def preload() -> None:
        loaded.append("cuda")
        print("Failed to load libcufft.so.12")

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    Predictor(device="cpu")
    assert loaded == []
    assert Predictor(device="auto").device == "cuda"
    assert loaded == ["cuda"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("flags", "known"), [("sse avx512_bf16", True), ("amx_bf16", True), ("avx512f", False)]
)
def test_a_processor_says_whether_it_computes_with_bfloat16(
    tmp_path: Path, flags: str, known: bool
) -> None:
    assert not devices.has_bfloat16(tmp_path)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"processor : 0\nflags : fpu {flags}\n")
    assert devices.has_bfloat16(tmp_path) == known


def test_a_device_of_another_system_is_not_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(devices, "installed_runtimes", lambda: ["onnxruntime"])
    with pytest.raises(
        UsageError, match="coreml: the build of onnxruntime for this system lacks it"
    ):
        Predictor(device="coreml")


@pytest.mark.parametrize("name", sorted(set(devices.DEVICES) - {"cpu", "coreml"}))
def test_a_device_that_is_not_there_names_the_package(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(devices, "installed_runtimes", lambda: ["onnxruntime"])
    package = devices.DEVICES[name].package
    with pytest.raises(UsageError, match=f"^device: {name}: .*pip install {package}$"):
        Predictor(device=name)


def test_an_unknown_device_is_refused_with_those_known() -> None:
    with pytest.raises(UsageError, match=r"must be one of auto, cpu, cuda.* not 'gpu'"):
        Predictor(device="gpu")


def test_two_runtimes_in_one_folder_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnxruntime-1.32.0", "onnxruntime_gpu-1.32.0", "onnxruntime_tools-1.0"):
        (tmp_path / f"{name}.dist-info").mkdir()
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "onnxruntime" / "__init__.py"))
    assert list(devices.installed_runtimes()) == ["onnxruntime", "onnxruntime-gpu"]
    expected = (
        "device: cuda: onnxruntime and onnxruntime-gpu are installed over each other: pip "
        "uninstall onnxruntime onnxruntime-gpu; pip install onnxruntime-gpu"
    )
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match=f"^{expected}$"):
        Predictor(device="cuda")


def test_predict_warns_of_two_runtimes(
    cli: Callable[..., Any], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "warning" not in cli("predict", pictures).err
    monkeypatch.setattr(devices, "installed_runtimes", lambda: ["onnxruntime", "onnxruntime-gpu"])
    assert "pip install onnxruntime-gpu" in cli("predict", pictures).err.splitlines()[0]


@pytest.fixture
def counted(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that really go through the network."""
    seen: list[str] = []
    original = predictor.predict_batch
    lock = threading.Lock()

    def count(images: Any, *more: Any) -> list[Score]:
        with lock:
            seen.extend(name for name, _ in images)
        return original(images, *more)

    monkeypatch.setattr(predictor, "predict_batch", count)
    return seen


def items(*paths: Path) -> list[Item]:
    def loader(path: Path) -> Callable[[], Path]:
        return lambda: path

    return [Item(f"{at}/{path.name}", loader(path)) for at, path in enumerate(paths)]


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[Callable[[str], Cache]]:
    """Open a cache for a model, again and again the same file; closed at the end."""
    with ExitStack() as stack:
        yield lambda model: stack.enter_context(closing(Cache(tmp_path / "cache", model)))


@pytest.mark.parametrize("threads", [1, 4])
def test_equal_contents_are_scored_once_also_side_by_side_and_in_later_runs(
    predictor: Predictor,
    cached: Callable[[str], Cache],
    counted: list[str],
    pictures: Path,
    tmp_path: Path,
    threads: int,
) -> None:
    a, b = pictures / "a.jpg", pictures / "b.jpg"
    todo = items(*[a] * 20, b, *[a, b] * 5, tmp_path / "missing.jpg")
    expected = [predictor.predict(item.load(), item.name) for item in todo]
    counted.clear()
    for _ in range(2):
        cache = cached(predictor.id)
        found = list(score(predictor, todo, threads=threads, cache=cache))
        cache.close()
        assert [s.source for s in found] == [s.source for s in expected]
        assert all(map(same, found, expected))
        assert [s.format for s in found] == [s.format for s in expected]
    assert len(counted) == 2 + 2  # the two pictures, and twice what is missing
    list(score(predictor, todo[:1], cache=cached("another model")))
    assert len(counted) == 5


def test_a_failing_model_reaches_the_caller_through_the_cache(
    predictor: Predictor,
    cached: Callable[[str], Cache],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> list[Score]:
        raise RuntimeError("no")

    monkeypatch.setattr(predictor, "predict_batch", fail)
    cache = cached(predictor.id)
    with pytest.raises(RuntimeError, match="no"):
        list(score(predictor, items(*[pictures / "a.jpg"] * 9), threads=4, cache=cache))


def test_a_cache_passes_on_what_has_no_bytes_and_loads_it_once(
    predictor: Predictor, cached: Callable[[str], Cache], pictures: Path, tmp_path: Path
) -> None:
    calls = []

    def fail() -> bytes:
        calls.append(1)
        raise ImageError("no such page")

    with Image.open(pictures / "a.jpg") as image:
        image.load()
        todo = [Item("image", lambda: image), Item("failing", fail)]
        (tmp_path / "huge.jpg").touch()
        os.truncate(tmp_path / "huge.jpg", 2**35)
        todo += items(tmp_path / "huge.jpg", Path("/dev/null"))
        cache = cached(predictor.id)
        found = list(score(predictor, todo, cache=cache))
    assert same(found[0], predictor.predict(pictures / "a.jpg"))
    assert [each.error is None for each in found] == [True, False, False, False]
    assert (found[1].error, calls) == ("no such page", [1])


def test_a_cache_that_fails_ends_the_run_also_where_others_wait_for_its_scores(
    predictor: Predictor, cached: Callable[[str], Cache], pictures: Path, tmp_path: Path
) -> None:

    def spoil(command: str) -> None:
        with closing(sqlite3.connect(tmp_path / "cache", isolation_level=None)) as rows:
            rows.execute(command)

    cache = cached(predictor.id)
    spoil("DROP TABLE scores")
    with pytest.raises(DataError, match=r"cache: .*cache: no such table"):
        list(score(predictor, items(*[pictures / "a.jpg"] * 30), threads=8, cache=cache))
    cache = cached(predictor.id)
    spoil("CREATE TRIGGER full BEFORE INSERT ON scores BEGIN SELECT RAISE(FAIL, 'full'); END")
    with pytest.raises(DataError, match=r"cache: .*cache: full"):
        list(score(predictor, items(*[pictures / "a.jpg"] * 30), threads=8, cache=cache))


def test_many_may_make_a_cache_at_once(tmp_path: Path) -> None:
    for attempt in range(10):
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: Cache(tmp_path / str(attempt), "m"), range(8)))  # noqa: B023
        for cache in made:
            cache.close()
        assert len(made) == 8


def test_a_file_that_is_no_cache_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("something else" * 1000)
    with pytest.raises(DataError, match=r"mine\.txt: file is not a database; name another"):
        Cache(file, "m")
    assert file.read_text() == "something else" * 1000
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE scores (name TEXT)")
    other.close()
    with pytest.raises(DataError, match=r"other\.db: not a cache of maskspot; name another"):
        Cache(tmp_path / "other.db", "m")


def test_a_cache_that_another_holds_is_waited_for_a_little_and_ctrl_c_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cache(tmp_path / "cache", "m").close()
    monkeypatch.setattr(caching, "_PATIENCE", 0.2)
    with closing(sqlite3.connect(tmp_path / "cache", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match=r"cache: .*database is locked"):
            Cache(tmp_path / "cache", "m")
        monkeypatch.setattr(caching, "_PATIENCE", 60)
        Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            Cache(tmp_path / "cache", "m")
        assert time.monotonic() - started < 5


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.mark.parametrize(
    "words",
    [
        f"CREATE VIEW scores AS SELECT 'm' AS model, x AS content, 1 AS format FROM ({ENDLESS})",
        f"{caching._TABLE}; CREATE VIEW more AS {ENDLESS}",
        f"{caching._TABLE}; CREATE TRIGGER t AFTER INSERT ON scores BEGIN DELETE FROM scores; END",
        "CREATE TABLE scores (model, content, probability AS (7.5), width, height, format)",
    ],
)
def test_a_strangers_database_with_more_than_scores_is_refused_at_once(
    tmp_path: Path, words: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "cache")) as rows:
        rows.executescript(f"{words}; PRAGMA application_id = {caching._OURS}")
    with pytest.raises(DataError, match="not a cache of maskspot"):
        Cache(tmp_path / "cache", "m")


def test_a_question_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "_DEADLINE", 0.2)
    with (
        closing(Cache(tmp_path / "cache", "m")) as cache,
        pytest.raises(sqlite3.OperationalError, match="interrupted"),
    ):
        cache._ask(f"SELECT count(*) FROM ({ENDLESS})")


@pytest.mark.parametrize("probability", [7.5, -1.0, "=cmd|' /C calc'!A1", None, b"x", math.inf])
def test_a_row_that_is_no_score_is_scored_again(
    predictor: Predictor, tmp_path: Path, pictures: Path, probability: object
) -> None:
    todo = items(pictures / "a.jpg")
    with closing(Cache(tmp_path / "cache", predictor.id)) as cache:
        (first,) = score(predictor, todo, cache=cache)
    with closing(sqlite3.connect(tmp_path / "cache", isolation_level=None)) as rows:
        rows.execute("UPDATE scores SET probability = ?", [probability])
    for _ in range(2):
        with closing(Cache(tmp_path / "cache", predictor.id)) as cache:
            (found,) = score(predictor, todo, cache=cache)
            assert found.probability == first.probability


@pytest.mark.skipif(os.name == "nt", reason="links")
@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_a_cache_is_never_written_through_a_planted_link(tmp_path: Path, end: str) -> None:
    (tmp_path / "bashrc").touch()
    (tmp_path / f"cache{end}").symlink_to("bashrc")
    with pytest.raises(DataError, match="a link, which is never written to"):
        Cache(tmp_path / "cache", "m")
    assert (tmp_path / "bashrc").read_bytes() == b""


def test_an_item_that_cannot_be_loaded_is_a_score_with_its_reason(predictor: Predictor) -> None:
    def broken() -> bytes:
        raise ImageError("a damaged member")

    def denied() -> bytes:
        raise PermissionError(13, "Permission denied")

    found = score(predictor, [Item("x", broken), Item("y", denied)])
    assert [(s.source, s.error, s.status) for s in found] == [
        ("x", "a damaged member", "unreadable"),
        ("y", "Permission denied", "unreadable"),
    ]


def test_what_is_finished_is_taken_over_and_what_failed_is_scored_again(
    predictor: Predictor, counted: list[str], pictures: Path
) -> None:
    todo = items(*sorted(pictures.iterdir()))
    finished = [
        Score(todo[0].name, 0.25),
        Score(todo[1].name, error="was away"),
        Score("2/c.jpg", 1),
    ]
    found = list(score(predictor, resumed(todo, finished), threads=2))
    assert found[0] is finished[0]
    assert found[2] is finished[2]
    assert found[1].error is None
    assert sorted(counted) == [item.name for item in (todo[1], *todo[3:])]


def test_finished_scores_of_other_images_are_refused(pictures: Path) -> None:
    todo = items(*sorted(pictures.iterdir()))
    with pytest.raises(UsageError, match=r"resume: 0/a\.jpg is where the stopped run had z.jpg"):
        list(resumed(todo, [Score("z.jpg", 0.5)]))
    old = [Score(item.name, 0.5) for item in todo]
    with pytest.raises(UsageError, match=r"resume: 5/f\.jpg, which the stopped run had, is gone"):
        list(resumed(todo[:5], old))
