"""Share code among the benchmarks of the server: a server process, and its memory."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measuring import maskspot


@dataclass(frozen=True)
class Server:
    """A running `maskspot serve`.

    Attributes:
        process: its own.
        port: that it listens on.
        log: what it writes on stderr.
    """

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it is still running."""
        return self.process.poll() is None

    def memory(self) -> float:
        """Return its current resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) * 1024 / 1e6 if found else 0.0

    def cpu(self) -> float:
        """Return the processor seconds that it has used."""
        fields = (
            Path(f"/proc/{self.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> tuple[int, str]:
        """Stop it as a supervisor does; return its exit code and what it logged after its start."""
        if self.alive:
            self.process.terminate()
        self.process.wait(60)
        return self.process.returncode, self.log.read_text("utf-8", "replace").partition("\n")[2]


@contextmanager
def serving(*options: object) -> Iterator[Server]:
    """Start a server on a free port."""
    command = maskspot("serve", "--port", 0, *options)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as stream:  # not a pipe, which could fill up
            process = subprocess.Popen(command, stderr=stream)
        try:
            while not (said := log.read_text("utf-8", "replace")).endswith("\n"):
                if process.poll() is not None:
                    break
                time.sleep(0.05)
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)/", said)
            if not found:
                sys.exit(f"{' '.join(command)} did not start: {said}")
            yield Server(process, int(found[1]), log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
