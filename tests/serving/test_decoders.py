"""Processes that decode for the server: the same results, and no image that holds a thread."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskspot import Predictor
from maskspot.errors import ServiceError
from maskspot.images import Preprocessing
from maskspot.model.score import Score

for module in ("starlette", "uvicorn", "prometheus_client", "httpx"):
    pytest.importorskip(module, reason="needs maskspot[serve,fetch]")

import httpx  # noqa: E402

from maskspot.serving import decoders  # noqa: E402
from maskspot.serving.app import Service  # noqa: E402
from maskspot.serving.decoders import Decoded, Decoder, Decoding, ProtectedPredictor  # noqa: E402
from maskspot.serving.limits import Refusal, RequestLimits  # noqa: E402
from tests.helpers import wait_for  # noqa: E402
from tests.http_server import running  # noqa: E402

JPEG = {"Content-Type": "image/jpeg"}
PLAIN = Decoding(Preprocessing(size=32), 1_000_000, None)


class Hostile(Decoding):
    """Decodes, but for images that wait or compute without end, or end the process."""

    def decode(self, content: bytes) -> Decoded:
        if content == b"endless":
            time.sleep(600)
        while content == b"busy":
            pass
        if content == b"fatal":
            os._exit(1)
        return super().decode(content)


HOSTILE = Hostile(Preprocessing(size=32), 1_000_000, None)


@pytest.fixture(scope="module")
def fast() -> Predictor:
    return Predictor("fast", max_pixels=1_000_000)


@pytest.fixture
def decoder() -> Iterator[Callable[..., Decoder]]:
    made: list[Decoder] = []

    def make(decoding: Decoding, seconds: float = 60) -> Decoder:
        made.append(Decoder(decoding, seconds))
        return made[-1]

    yield make
    for each in made:
        each.close()


def no_process(_: str) -> None:
    """Fail as the system does at its limit on processes."""
    raise BlockingIOError


def png(mode: str = "RGB", size: tuple[int, int] = (64, 16)) -> bytes:
    file = BytesIO()
    Image.new(mode, size, 200).save(file, "PNG")
    return file.getvalue()


def test_scores_are_those_of_the_predictor(fast: Predictor, pictures: Path) -> None:
    images = [(each.name, each.read_bytes()) for each in sorted(pictures.iterdir())]
    images += [("no", b"no"), ("empty", b""), ("large", png("L", (1001, 1000)))]
    protected = ProtectedPredictor(fast, 1, 60)
    found, expected = protected.predict_batch(images, True), fast.predict_batch(images, True)
    protected.close()
    for score, other in zip(found, expected, strict=True):
        facts = [
            (s.source, s.probability, s.error, s.status, s.width, s.format) for s in (score, other)
        ]
        assert facts[0] == facts[1]
        assert score.height == other.height
        assert np.array_equal(score.heatmap, other.heatmap)  # type: ignore[arg-type]


def test_a_heatmap_lies_over_the_image_and_not_over_what_pads_it() -> None:
    def predict_batch(images: list[tuple[str, Any]], heatmap: bool) -> list[Score]:
        return [Score(name, 0.5, heatmap=np.zeros((8, 8), np.float32)) for name, _ in images]

    predictor: Any = SimpleNamespace(
        batch_size=1,
        max_pixels=1_000_000,
        draft=None,
        info=SimpleNamespace(preprocessing=Preprocessing(size=32, fit="pad")),
        predict_batch=predict_batch,
    )
    protected = ProtectedPredictor(predictor, 1, 60)
    (score,) = protected.predict_batch([("wide", png())], True)
    protected.close()
    assert (score.width, score.height) == (64, 16)
    assert score.heatmap is not None
    assert score.heatmap.shape == (2, 8)


@pytest.mark.parametrize(
    ("image", "seconds", "status", "error"),
    [
        (b"busy", 0.5, "too large", "decoding takes more than the limit of 0.5 s"),
        (b"endless", 0.2, "too large", "decoding takes more than the limit of 0.2 s"),
        (b"fatal", 60, "unreadable", "damaged: its decoder crashed"),
    ],
)
def test_an_image_that_holds_or_ends_its_process_is_an_error_and_the_next_one_is_decoded(
    decoder: Any, image: bytes, seconds: float, status: str, error: str
) -> None:
    made = decoder(HOSTILE, seconds)
    failed = made.decode(image)
    assert (failed.score.status, failed.score.error) == (status, error)
    assert failed.pixels is None
    assert made.decode(png()).pixels.shape == (32, 32, 3)


def test_a_process_that_was_killed_while_idle_costs_no_image(decoder: Any) -> None:
    made = decoder(PLAIN)
    before = set(active_children())
    assert made.decode(png()).pixels is not None
    for each in before:
        assert each.pid
        os.kill(each.pid, signal.SIGKILL)
        each.join()
    assert made.decode(png()).pixels is not None


def test_where_no_process_can_be_started_clients_may_try_again(
    decoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(decoders, "get_context", no_process)
        made = decoder(PLAIN)
        with pytest.raises(Refusal) as refusal:
            made.decode(png())
    assert (refusal.value.status, refusal.value.headers) == (429, {"Retry-After": "1"})
    assert made.decode(png()).pixels is not None


def test_a_server_that_cannot_start_processes_says_so_at_its_start(
    fast: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "get_context", no_process)
    service = Service(fast, threads=1)
    with pytest.raises(ServiceError, match="no process can be started"):
        service.warm_up()
    service.close()


@pytest.mark.slow
def test_two_hostile_clients_hold_up_nobody_for_longer_than_an_image_may_take(
    fast: Predictor, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "Decoding", Hostile)
    end, photo = threading.Event(), (pictures / "a.jpg").read_bytes()

    def post(content: bytes) -> int:
        answer = httpx.post(f"{url}/v1/predict", content=content, headers=JPEG, timeout=30)
        return answer.status_code

    def attack() -> set[int]:
        codes = set()
        while not end.is_set():
            codes.add(post(b"busy"))
        return codes

    with running(fast, RequestLimits(timeout=9), threads=2) as url, ThreadPoolExecutor(2) as pool:
        attacks = [pool.submit(attack) for _ in range(2)]
        honest = [post(photo) for _ in range(3)]
        end.set()
        assert all(each.result() <= {422, 429} for each in attacks)
    assert honest == [200] * 3


def test_an_image_over_its_time_is_a_result_in_json(
    fast: Predictor, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "Decoding", Hostile)
    files = [
        ("images", ("bad", b"busy")),
        ("images", ("good", (pictures / "a.jpg").read_bytes())),
    ]
    with running(fast, RequestLimits(timeout=15), threads=1) as url:
        answer = httpx.post(f"{url}/v1/predict", files=files, timeout=30)
    assert answer.status_code == 200
    bad, good = answer.json()["results"]
    assert (bad["status"], bad["probability"]) == ("too large", None)
    assert "limit of 1 s" in bad["error"]
    assert good["status"] == "ok"


def test_no_process_is_left_when_a_service_is_closed(fast: Predictor) -> None:
    with running(fast, threads=2) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert len(active_children()) == 3
    wait_for(lambda: not active_children())
