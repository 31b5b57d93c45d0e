"""Score with onnxruntime tuned by hand: one thread per CPU, one image per run, no spinning."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import onnxruntime
from common import cpus, find, options, read, write


def open_session(model: Path) -> Any:
    """Return a session that runs each image on the calling thread."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def main() -> None:
    """Score a folder."""
    given = options(__doc__)
    files = find(given.folder)
    session = open_session(given.model)

    def score(file: Path) -> float:
        pixels = read(file, given)[None]
        return float(session.run(["probability"], {"images": pixels})[0].item())

    with ThreadPoolExecutor(cpus()) as pool:
        write(given.output, files, pool.map(score, files))


if __name__ == "__main__":
    main()
