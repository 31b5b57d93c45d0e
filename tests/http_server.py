"""Servers for tests, in this process or one of their own, and predictors that can be held up."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import finalize

from maskspot import Predictor
from maskspot.model.score import Score
from maskspot.serving.app import Service
from maskspot.serving.server import Server, listen, url_of


class Held:
    """A predictor that waits at a gate, and remembers what it was given."""

    def __init__(self, predictor: Predictor | None = None, batch_size: int = 1) -> None:
        self.predictor, self.batch_size = predictor, batch_size
        self.gate, self.reached = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.predictor, name)

    def predict_batch(self, images: list[tuple[str, bytes]], heatmap: bool = False) -> list[Score]:
        self.batches.append([name for name, _ in images])
        self.reached.set()
        assert self.gate.wait(20)
        if self.predictor:
            return self.predictor.predict_batch(images, heatmap)
        return [Score(name, 0.5) for name, _ in images]


@contextmanager
def running(predictor: Any, *options: Any, **named: Any) -> Iterator[str]:
    """Serve in a thread, and give the address."""
    service = Service(predictor, *options, **named)
    service.warm_up()
    bound = listen("127.0.0.1", 0)
    url = url_of(bound)
    server = Server(service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(20)
        service.close()
    assert not thread.is_alive()


def talk(url: str, *parts: bytes, seconds: float = 10) -> bytes:
    """Send bytes as they are, and return all that comes back until the server closes."""
    host, port = url.removeprefix("http://").split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            while more := connection.recv(65536):
                answer += more
        except (ConnectionError, TimeoutError):
            pass
    return answer


class Started:
    """`maskspot serve` in a process of its own."""

    def __init__(
        self, *words: object, env: dict[str, str] | None = None, files: int | None = None
    ) -> None:
        command = [sys.executable, "-m", "maskspot", *map(str, words)]
        if files:
            command = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
        )
        finalize(self, self.process.kill)  # where a test fails, too
        assert self.process.stderr
        self.said = self.url = ""
        for line in self.process.stderr:  # to its end where the server does not start
            self.said += line
            if found := re.search(r"http://\S+(?=/)", line):
                self.url = found[0]
                break

    def end(self, number: int | None = None) -> tuple[int, str]:
        if number is not None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, self.said + said
