"""Score as the original code did: `load_img` one by one into an array, then `model.predict`.

The network is that of a run's .keras file (`--keras`), calibrated like the ONNX file. Without
one it is an EfficientNet-B0 of random weights, which only serves to measure speed.
"""

import os
from typing import Any

import numpy as np
from common import find, need, options, write

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
efn, keras = need("efficientnet.tfkeras"), need("keras")

BATCH = 32


def random_b0(size: int) -> Any:
    """Return an untrained EfficientNet-B0 that ends in one unit."""
    base = efn.EfficientNetB0(input_shape=(size, size, 3), include_top=False, weights=None)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.GlobalAveragePooling2D()(base(keras.layers.Rescaling(1 / 255)(inputs)))
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def main() -> None:
    """Score a folder."""
    given = options(__doc__)
    files = find(given.folder)
    model = keras.saving.load_model(given.keras) if given.keras else random_b0(given.size)
    images = np.zeros((len(files), given.size, given.size, 3), np.float32)
    for at, file in enumerate(files):
        image = keras.utils.load_img(
            file, target_size=(given.size, given.size), interpolation=given.filter
        )
        images[at] = keras.utils.img_to_array(image)
    logits = model.predict(images, batch_size=BATCH, verbose=0).ravel()
    write(given.output, files, 1 / (1 + np.exp(-(given.scale * logits + given.bias))))


if __name__ == "__main__":
    main()
