"""The backbones of networks, each with the pixels that it expects.

Their names are needed without TensorFlow, so it is imported only where a backbone is built.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Published:
    """Weights that a package downloads into the cache of Keras.

    Attributes:
        file: its name there.
        url: where it is from.
        digest: SHA-256 or MD5, in hexadecimal; None if unknown.
    """

    file: str
    url: str
    digest: str | None


@dataclass(frozen=True)
class Backbone:
    """A network without its top, and the pixels that it expects.

    Attributes:
        build: builds it from `include_top`, `input_shape` and `weights`.
        scale: pixels are x * scale + offset, per channel.
        offset: see `scale`.
        published: its weights, by the name that `build` takes.
        reversed: whether its channels are blue, green, red.
    """

    build: Callable[..., Any]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    published: dict[str, Published]
    reversed: bool = False


_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"

# (x / 255 - mean) / std with ImageNet's mean and std: efficientnet's preprocess_input.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _efficientnet(name: str) -> Backbone:
    import efficientnet.tfkeras
    import efficientnet.weights

    imagenet = f"{name}_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5"
    student = f"{name}_noisy-student_notop.h5"
    urls = efficientnet.weights
    return Backbone(
        getattr(efficientnet.tfkeras, f"EfficientNetB{name[-1]}"),
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

    Unlike in EfficientNet-B1 to B7, the first and last blocks are not repeated more often, and
    stem and head keep their size.
    """
    import efficientnet.model

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
    """EfficientNet-B0 without squeeze-and-excitation, and with ReLU6 in place of swish.

    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, whose
    pixels are (x - 127) / 128.
    """
    import efficientnet.tfkeras
    import keras

    def plain(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Activation):
            return keras.layers.ReLU(6, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    def build(**options: Any) -> Any:
        blocks = lite_blocks(width, depth)
        full = efficientnet.tfkeras.EfficientNetB0(
            blocks_args=blocks, drop_connect_rate=0, **options
        )
        return keras.models.clone_model(full, clone_function=plain)

    return Backbone(build, scale=(1 / 128,) * 3, offset=(-127 / 128,) * 3, published={})


def _mobilenet() -> Backbone:
    import keras

    def build(**options: Any) -> Any:
        with warnings.catch_warnings():  # other sizes take the weights of 224 pixels on purpose
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


_KERAS_WEIGHTS = {
    "inception-v3": ("InceptionV3", "inception_v3", "bcbd6486424b2319ff4ef7d526e38f63"),
    "inception-resnet-v2": (
        *("InceptionResNetV2", "inception_resnet_v2", "d19885ff4a710c122648d3b5c3b684e4"),
    ),
    "xception": ("Xception", "xception", "b0042744bf5b25fce3cb969f33bebb97"),
    "vgg16": ("VGG16", "vgg16", "6d6bbae143d832006294945121d1f1fc"),
}
"""Networks of `keras.applications`: their class, the folder of their weights, and its MD5."""


def _keras(name: str) -> Backbone:
    """A network of `keras.applications`, its pixels as in its own `preprocess_input`."""
    import keras

    build, folder, digest = _KERAS_WEIGHTS[name]
    file = f"{folder}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    published = {"imagenet": Published(file, f"{_KERAS_URL}{folder}/{file}", digest)}
    made = getattr(keras.applications, build)
    if name == "vgg16":  # Caffe's: less ImageNet's mean, not scaled
        return Backbone(made, (1.0,) * 3, (-123.68, -116.779, -103.939), published, reversed=True)
    return Backbone(made, (1 / 127.5,) * 3, (-1.0,) * 3, published)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    **{
        f"efficientnet-b{size}": partial(_efficientnet, f"efficientnet-b{size}")
        for size in range(8)
    },
    **{name: partial(_efficientnet_lite, *sizes) for name, sizes in LITE.items()},
    "mobilenet-0.25": _mobilenet,
    **{name: partial(_keras, name) for name in _KERAS_WEIGHTS},
}
"""What builds each backbone, by its name in `Settings.backbone`."""
