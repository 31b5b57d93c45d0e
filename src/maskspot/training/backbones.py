"""The backbones that a network may have, each with the pixels that it wants."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import efficientnet.model
import efficientnet.tfkeras as efn  # registers the custom layers that reloading needs
import efficientnet.weights
import keras


@dataclass(frozen=True)
class Published:
    """Weights that a package downloads into Keras' cache; `digest` is SHA-256, MD5 or unknown."""

    file: str
    url: str
    digest: str | None


@dataclass(frozen=True)
class Backbone:
    """A network without its top, and how it wants its pixels.

    Attributes:
        build: makes it, of `include_top`, `input_shape` and `weights`.
        scale: pixels are x * scale + offset, per channel.
        offset: likewise.
        published: its weights, by the name that `build` knows them by.
        reversed: it wants blue, green, red.
    """

    build: Callable[..., Any]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    published: dict[str, Published]
    reversed: bool = False


_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"

# (x / 255 - mean) / std with ImageNet's mean and std: efficientnet's preprocess_input.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _efficientnet(name: str, build: Callable[..., Any]) -> Backbone:
    imagenet = f"{name}_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5"
    student = f"{name}_noisy-student_notop.h5"
    urls = efficientnet.weights
    return Backbone(
        build,
        scale=tuple(1 / (255 * std) for std in _STD),
        offset=tuple(-mean / std for mean, std in zip(_MEAN, _STD, strict=True)),
        published={
            "imagenet": Published(
                imagenet,
                urls.IMAGENET_WEIGHTS_PATH + imagenet,
                urls.IMAGENET_WEIGHTS_HASHES[name][1],
            ),
            "noisy-student": Published(
                student, urls.NS_WEIGHTS_PATH + student, urls.NS_WEIGHTS_HASHES[name][1]
            ),
        },
    )


LITE = {
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.2),
}
"""Width and depth of the EfficientNet-Lite networks, by which B0's blocks are scaled."""


def lite_blocks(width: float, depth: float) -> list[Any]:
    """Return the blocks of an EfficientNet-Lite: B0's, scaled, without squeeze-and-excitation.

    Unlike those of EfficientNet-B1 to B7, the first and last blocks are not repeated more often,
    and stem and head stay as they are.
    """
    plain = [args._replace(se_ratio=None) for args in efficientnet.model.DEFAULT_BLOCKS_ARGS]
    return [
        args._replace(
            input_filters=efficientnet.model.round_filters(args.input_filters, width, 8),
            output_filters=efficientnet.model.round_filters(args.output_filters, width, 8),
            num_repeat=args.num_repeat
            if args in (plain[0], plain[-1])
            else math.ceil(args.num_repeat * depth),
        )
        for args in plain
    ]


def _efficientnet_lite(width: float, depth: float) -> Backbone:
    """EfficientNet-B0 less squeeze-and-excitation, its swish made ReLU6: the authors' Lite.

    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, whose
    pixels are (x - 127) / 128.
    """

    def plain(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Activation):
            return keras.layers.ReLU(6, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    def build(**options: Any) -> Any:
        blocks = lite_blocks(width, depth)
        full = efn.EfficientNetB0(blocks_args=blocks, drop_connect_rate=0, **options)
        return keras.models.clone_model(full, clone_function=plain)

    return Backbone(build, scale=(1 / 128,) * 3, offset=(-127 / 128,) * 3, published={})


def _mobilenet() -> Backbone:
    def build(**options: Any) -> Any:
        with warnings.catch_warnings():  # sizes other than 224 take the weights of 224: meant
            warnings.simplefilter("ignore")
            return keras.applications.MobileNet(alpha=0.25, **options)

    file = "mobilenet_2_5_224_tf_no_top.h5"
    url = f"{_KERAS_URL}mobilenet/{file}"
    return Backbone(
        build,
        scale=(1 / 127.5,) * 3,
        offset=(-1.0,) * 3,
        published={"imagenet": Published(file, url, None)},
    )


# keras.applications: build, where the weights are and their MD5.
_KERAS_WEIGHTS = {
    "inception-v3": ("InceptionV3", "inception_v3", "bcbd6486424b2319ff4ef7d526e38f63"),
    "inception-resnet-v2": (
        *("InceptionResNetV2", "inception_resnet_v2", "d19885ff4a710c122648d3b5c3b684e4"),
    ),
    "xception": ("Xception", "xception", "b0042744bf5b25fce3cb969f33bebb97"),
    "vgg16": ("VGG16", "vgg16", "6d6bbae143d832006294945121d1f1fc"),
}


def _keras(name: str) -> Backbone:
    """One that the original was compared with, its pixels as in its own `preprocess_input`."""
    build, folder, digest = _KERAS_WEIGHTS[name]
    file = f"{folder}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    published = {"imagenet": Published(file, f"{_KERAS_URL}{folder}/{file}", digest)}
    made = getattr(keras.applications, build)
    if name == "vgg16":  # Caffe's: less ImageNet's mean, not scaled
        return Backbone(made, (1.0,) * 3, (-123.68, -116.779, -103.939), published, reversed=True)
    return Backbone(made, (1 / 127.5,) * 3, (-1.0,) * 3, published)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    **{
        f"efficientnet-b{size}": partial(
            _efficientnet, f"efficientnet-b{size}", getattr(efn, f"EfficientNetB{size}")
        )
        for size in range(8)
    },
    **{name: partial(_efficientnet_lite, *sizes) for name, sizes in LITE.items()},
    "mobilenet-0.25": _mobilenet,
    **{name: partial(_keras, name) for name in _KERAS_WEIGHTS},
}
"""By name; what is in them is built only when it is asked for."""
