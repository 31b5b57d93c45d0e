"""Score with the simplest loop: onnxruntime's defaults, batches of 32, decoding in the loop."""

import numpy as np
import onnxruntime
from common import find, options, read, write

BATCH = 32


def main() -> None:
    """Score a folder."""
    given = options(__doc__)
    files = find(given.folder)
    session = onnxruntime.InferenceSession(given.model, providers=["CPUExecutionProvider"])
    output = session.get_outputs()[0].name
    numbers: list[float] = []
    for start in range(0, len(files), BATCH):
        batch = np.stack([read(file, given) for file in files[start : start + BATCH]])
        numbers += session.run([output], {"images": batch})[0].ravel().tolist()
    if output != "probability":  # a converted network returns logits
        logits = np.array(numbers)
        numbers = (1 / (1 + np.exp(-(given.scale * logits + given.bias)))).tolist()
    write(given.output, files, numbers)


if __name__ == "__main__":
    main()
