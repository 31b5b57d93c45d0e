"""Score with OpenVINO's own runtime: throughput mode, an asynchronous queue, decoding threads.

It computes in bfloat16 where OpenVINO reports that the processor has it, otherwise in float32.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from common import cpus, find, need, options, read, write

openvino = need("openvino")

AHEAD = 16


def compiled(file: Any, size: int) -> Any:
    """Return the model for one image at a time, in throughput mode."""
    core = openvino.Core()
    model = core.read_model(file)
    model.reshape([1, size, size, 3])
    fast = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32",
    }
    return core.compile_model(model, "CPU", settings)


def main() -> None:
    """Score a folder."""
    given = options(__doc__)
    files = find(given.folder)
    queue = openvino.AsyncInferQueue(compiled(given.model, given.size))
    probabilities = np.zeros(len(files))

    def keep(request: Any, at: int) -> None:
        probabilities[at] = request.get_tensor("probability").data.item()

    queue.set_callback(keep)
    with ThreadPoolExecutor(cpus()) as pool:
        waiting = [pool.submit(read, file, given) for file in files[:AHEAD]]
        for at in range(len(files)):
            pixels = waiting.pop(0).result()
            if at + AHEAD < len(files):
                waiting.append(pool.submit(read, files[at + AHEAD], given))
            queue.start_async({"images": pixels[None]}, at)
    queue.wait_all()
    write(given.output, files, probabilities)


if __name__ == "__main__":
    main()
