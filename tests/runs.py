"""Training runs that look finished, for what comes after training."""

from pathlib import Path
from typing import Any

import numpy as np

from maskspot.datasets.labels import read_folders
from maskspot.evaluation.logistic import sigmoid
from maskspot.evaluation.metrics import summary

SIZE = 32
SMALL = {"backbone": "mobilenet-0.25", "weights": "none", "size": SIZE}
HELD_BACK = 110


def finished_run(folder: Path, data: Path, size: int = SIZE) -> Any:
    """Make a run whose network is random, but has an opinion."""
    from maskspot.training.presets import resolve
    from maskspot.training.run import Run

    items = read_folders([data])
    run = Run.create(folder, resolve(options=SMALL | {"size": size}), [data])
    pixels = np.stack([run.settings.preprocessing.read(item.path) for item in items])
    finish(run, pixels, data, seed=1)
    return run


def finish(run: Any, pixels: np.ndarray, data: Path, seed: int) -> None:
    """Put into a run what training would: a network and its predictions."""
    import keras

    from maskspot.training import network

    keras.utils.set_random_seed(seed)
    model = network.build(run.settings)
    for layer in network.layers(model):  # or all images would give 0.5
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(pixels.astype(np.float32), training=True)
    logits = eager(model, pixels)
    head, spread = model.get_layer("logit"), 1 / logits.std()
    head.set_weights([head.get_weights()[0] * spread, np.array([-logits.mean() * spread])])
    model.save(run.kept())
    run.write_predictions(
        read_folders([data])[:HELD_BACK],
        sigmoid((logits[:HELD_BACK] - logits.mean()) * spread),
    )
    run.write_json("metrics.json", {"validation": dict(summary(*run.read_predictions()))})
    np.save(run.folder / "check_pixels.npy", pixels[::10])


def eager(model: Any, pixels: np.ndarray) -> np.ndarray:
    """A network's logits without tracing it, which would take longer."""
    return model(pixels.astype(np.float32), training=False).numpy()[:, 0].astype(np.float64)
