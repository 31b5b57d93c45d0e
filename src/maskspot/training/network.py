"""The networks: a backbone with its normalisation inside, pooling, dropout, one dense unit."""

import contextlib
import hashlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import efficientnet.model
import efficientnet.tfkeras as efn  # registers the custom layers that reloading needs
import efficientnet.weights
import keras

from maskspot.errors import DataError, DownloadError, UsageError
from maskspot.training.run import Run
from maskspot.training.settings import Settings


@dataclass(frozen=True)
class _Published:
    """Weights that a package downloads into Keras' cache; `digest` is SHA-256, MD5 or unknown."""

    file: str
    url: str
    digest: str | None


@dataclass(frozen=True)
class _Backbone:
    """A network without its top; its pixels are scaled to x * scale + offset, per channel."""

    build: Callable[..., Any]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    published: dict[str, _Published]


# (x / 255 - mean) / std with ImageNet's mean and std: efficientnet's preprocess_input.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _efficientnet(name: str, build: Callable[..., Any]) -> _Backbone:
    imagenet = f"{name}_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5"
    student = f"{name}_noisy-student_notop.h5"
    urls = efficientnet.weights
    return _Backbone(
        build,
        scale=tuple(1 / (255 * std) for std in _STD),
        offset=tuple(-mean / std for mean, std in zip(_MEAN, _STD, strict=True)),
        published={
            "imagenet": _Published(
                imagenet,
                urls.IMAGENET_WEIGHTS_PATH + imagenet,
                urls.IMAGENET_WEIGHTS_HASHES[name][1],
            ),
            "noisy-student": _Published(
                student, urls.NS_WEIGHTS_PATH + student, urls.NS_WEIGHTS_HASHES[name][1]
            ),
        },
    )


def _efficientnet_lite0() -> _Backbone:
    """EfficientNet-B0 less squeeze-and-excitation, its swish made ReLU6: the authors' Lite0.

    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite, whose
    pixels are (x - 127) / 128.
    """

    def plain(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Activation):
            return keras.layers.ReLU(6, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    def build(**options: Any) -> Any:
        blocks = [args._replace(se_ratio=None) for args in efficientnet.model.DEFAULT_BLOCKS_ARGS]
        full = efn.EfficientNetB0(blocks_args=blocks, drop_connect_rate=0, **options)
        return keras.models.clone_model(full, clone_function=plain)

    return _Backbone(build, scale=(1 / 128,) * 3, offset=(-127 / 128,) * 3, published={})


def _mobilenet() -> _Backbone:
    def build(**options: Any) -> Any:
        with warnings.catch_warnings():  # sizes other than 224 take the weights of 224: meant
            warnings.simplefilter("ignore")
            return keras.applications.MobileNet(alpha=0.25, **options)

    file = "mobilenet_2_5_224_tf_no_top.h5"
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/{file}"
    return _Backbone(
        build,
        scale=(1 / 127.5,) * 3,
        offset=(-1.0,) * 3,
        published={"imagenet": _Published(file, url, None)},
    )


_BACKBONES = {
    "efficientnet-b0": lambda: _efficientnet("efficientnet-b0", efn.EfficientNetB0),
    "efficientnet-lite0": _efficientnet_lite0,
    "mobilenet-0.25": _mobilenet,
}


def build(settings: Settings) -> Any:
    """Return the untrained `keras.Model`, for images of any size.

    It has the weights of `settings`, save those of a model file: `warmstart` puts them in.

    Its input is float32 (N, S, S, 3) in 0..255. Its outputs are the logit (N, 1) and, with the
    setting `heatmap`, the class activation map (N, G, G, 1): what the last layer makes of each
    cell of the last features (Zhou et al. 2016), whose mean is the logit.

    Raises:
        UsageError: the backbone has no such weights.
        DataError: the file of weights is missing or of another network.
        DownloadError: published weights could not be downloaded.
    """
    backbone = _BACKBONES[settings.backbone]()
    shape = (None, None, 3)
    body = _body(backbone, shape, settings)
    if settings.normalisation == "unit":
        scaling = keras.layers.Rescaling(1 / 255, name="normalisation")
    else:
        scaling = keras.layers.Rescaling(
            list(backbone.scale), list(backbone.offset), name="normalisation"
        )
    inputs = keras.Input(shape, name="images")
    features = body(scaling(inputs))
    last = keras.layers.Dense(1, name="logit", dtype="float32")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    x = keras.layers.Dropout(settings.dropout, name="dropout")(x)
    outputs = [last(x), last(features)] if settings.heatmap else last(x)
    model = keras.Model(inputs, outputs, name="maskspot")
    if settings.init:
        _take_weights(model, settings)
    return model


def judged(settings: Settings) -> Any:
    """Return a network from image to logit, to be given a training network's weights.

    It computes in float32 on one device, whatever the other one does, and has no optimizer: it
    is what a run predicts with, saves and exports.
    """
    return build(replace(settings, weights="none", init=None, heatmap=0.0))


def features(model: Any) -> Any:
    """Return the network from image to what its last layer sees: float32 (N, D)."""
    return keras.Model(model.input, model.get_layer("pool").output)


def load(file: Path) -> Any:
    """Return a network that was saved in a run.

    Raises:
        DataError: the file is missing or damaged.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such checkpoint; has the run finished its first epoch?")
    try:
        return keras.saving.load_model(file)
    except Exception as error:  # Keras raises whatever the damage leads it to
        raise DataError(f"{file}: damaged checkpoint ({' '.join(str(error).split())})") from error


def layers(model: Any) -> Iterator[Any]:
    """Yield a network's layers, those of networks inside it too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers(layer)
        else:
            yield layer


def _is_model_file(settings: Settings) -> bool:
    return settings.weights.lower().endswith(".onnx")


def _take_weights(model: Any, settings: Settings) -> None:
    assert settings.init
    run = Run.open(Path(settings.init))
    if run.settings.backbone != settings.backbone:
        raise UsageError(
            f"--init: {run.folder} trained {run.settings.backbone}, not {settings.backbone}"
        )
    model.set_weights(load(run.kept()).get_weights())


def _body(backbone: _Backbone, shape: tuple[None, None, int], settings: Settings) -> Any:
    def construct(weights: str | None) -> Any:
        return backbone.build(input_shape=shape, include_top=False, weights=weights)

    if settings.weights in ("none", "maskspot") or settings.init or _is_model_file(settings):
        return construct(None)
    if settings.weights in backbone.published:
        with _download(backbone.published[settings.weights], settings):
            return construct(settings.weights)
    file = Path(settings.weights).expanduser()
    if not file.is_file():
        choices = ", ".join((*backbone.published, "maskspot", "none"))
        raise UsageError(
            f"--weights: {settings.weights} is no file, and {settings.backbone} has {choices}"
        )
    # Straight from the file, never through the cache, which deletes what it does not know.
    try:
        body = construct(None)
        body.load_weights(file)
    except Exception as error:  # h5py and Keras raise many kinds
        raise DataError(
            f"{file}: no weights for {settings.backbone} ({' '.join(str(error).split())[:200]})"
        ) from error
    return body


@contextlib.contextmanager
def _download(published: _Published, settings: Settings) -> Iterator[None]:
    """Let a package download weights, with its progress on stderr and its failure on one line."""
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    cached = home / "models" / published.file
    if cached.is_file() and published.digest and not _matches(cached, published.digest):
        # Keras would delete it and download again.
        raise DataError(
            f"{cached}: not the published file (its hash differs); "
            f"move it away, or use it as it is with --weights {cached}"
        )
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except Exception as error:
        raise DownloadError(
            f"{settings.backbone}: cannot get the {settings.weights} weights: download "
            f"{published.url} and put it at {cached}, or train with --weights none "
            f"({' '.join(str(error).split())[:100]})"
        ) from error


def _matches(file: Path, digest: str) -> bool:
    kind = "sha256" if len(digest) == 64 else "md5"  # noqa: PLR2004
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest() == digest
