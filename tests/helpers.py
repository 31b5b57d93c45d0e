"""What several test modules use."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from maskspot.progress import Silent

ROOT = Path(__file__).parent.parent
"""Folder of the checkout, with the documents."""


class Recorder(Silent):
    """A `Progress` that keeps what it is told, and may interrupt training in an epoch's step 2.

    Attributes:
        said: lines, with the warnings.
        steps: names of the steps, in order.
        updates: how far each step was.
    """

    def __init__(self, stop_in: int | None = None) -> None:
        self.said: list[str] = []
        self.steps: list[str] = []
        self.updates: dict[str, list[float]] = {}
        self._stop_in, self._in_epoch = stop_in, 0

    @contextmanager
    def step(self, name: str, unit: str = "", total: float | None = None) -> Iterator[Any]:
        self.steps.append(name)
        self._step = name
        yield self

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self.updates.setdefault(self._step, []).append(done)
        self._in_epoch += note.startswith(f"epoch {self._stop_in}/")
        if self._in_epoch == 2:
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)


def wait_for(true: Callable[[], object], seconds: float = 5) -> None:
    """Wait until it is so; fail if it never is."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


def body(model: Any) -> Any:
    """Return a network's backbone."""
    return next(layer for layer in model.layers if hasattr(layer, "layers"))


def on_terminal(*words: object, columns: int = 80, **environment: str) -> str:
    """Return what `maskspot WORDS` writes to a terminal, stdout and stderr together."""
    pty = pytest.importorskip("pty", reason="POSIX terminals")
    main, terminal = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    running = subprocess.Popen(
        [sys.executable, "-m", "maskspot", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env=kept | {"COLUMNS": str(columns), "TERM": "xterm"} | environment,
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # Linux says so when the other side is closed
        while block := os.read(main, 1 << 16):
            shown += block
    os.close(main)
    running.wait()
    return shown.decode().replace("\r\n", "\n")


def save_as_published(model: Any, file: Path) -> None:
    """Save a backbone in the layout of Keras 2, in which the published weights are."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(file, "w") as stream:
        legacy_h5_format.save_weights_to_hdf5_group(stream, model)


@contextmanager
def tiny_mobilenet() -> Iterator[None]:
    """Put two convolutions in MobileNet's place.

    TensorFlow takes ten seconds to trace a training step of the real one, and what a run does
    around its network does not depend on it.
    """
    import keras

    from maskspot.training import network

    def build(input_shape: tuple[Any, ...], **_: object) -> Any:
        x = inputs = keras.Input(input_shape)
        for stride in (4, 8):
            x = keras.layers.Conv2D(16, 2 * stride - 1, stride, padding="same", use_bias=False)(x)
            x = keras.layers.BatchNormalization()(x)
            x = keras.layers.ReLU(6)(x)
        return keras.Model(inputs, x, name="tiny")

    backbone = network.Backbone(build, (1 / 127.5,) * 3, (-1.0,) * 3, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(network.BACKBONES, "mobilenet-0.25", lambda: backbone)
        yield


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """A page's `maskspot` commands, without those that only show a form."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    return [line for line in lines if line.startswith("maskspot ") and "..." not in line]


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file have more than 1000 bytes."""
    resource = pytest.importorskip("resource", reason="POSIX limits")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
