"""The networks: a backbone with its normalisation inside, pooling, dropout, one dense unit."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import efficientnet.tfkeras  # noqa: F401 -- registers custom layers that `load` needs
import keras

from maskspot.errors import DataError, DownloadError, UsageError
from maskspot.files import replacing
from maskspot.training.backbones import BACKBONES, Backbone, Published
from maskspot.training.run import Run
from maskspot.training.settings import Settings


def build(settings: Settings) -> Any:
    """Return the untrained `keras.Model`, for images of any size.

    It has the weights of `settings`, except those of a model file, which `warmstart` assigns.

    Its input is float32 (N, S, S, 3) in 0..255. Its outputs are the logit (N, 1) and, with the
    setting `heatmap`, the class activation map (N, G, G, 1): what the last layer makes of each
    cell of the last features (Zhou et al. 2016); its mean is the logit.

    Raises:
        UsageError: there are no such weights of the backbone.
        DataError: the file of weights is missing or of another network.
        DownloadError: published weights could not be downloaded.
    """
    backbone = BACKBONES[settings.backbone]()
    shape = (None, None, 3)
    body = _body(backbone, shape, settings)
    for layer in body.layers[: round(settings.freeze * len(body.layers))]:
        layer.trainable = False  # batch normalisation then keeps its statistics, too
    if settings.normalisation == "unit":
        scaling = keras.layers.Rescaling(1 / 255, name="normalisation")
    else:
        scaling = keras.layers.Rescaling(
            list(backbone.scale), list(backbone.offset), name="normalisation"
        )
    inputs = keras.Input(shape, name="images")
    scaled = scaling(inputs)
    features = body(scaled[..., ::-1] if backbone.reversed else scaled)
    last = keras.layers.Dense(1, name="logit", dtype="float32")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    x = keras.layers.Dropout(settings.dropout, name="dropout")(x)
    outputs = [last(x), last(features)] if settings.heatmap else last(x)
    model = keras.Model(inputs, outputs, name="maskspot")
    if settings.init:
        _copy_weights(model, settings)
    return model


def build_for_inference(settings: Settings) -> Any:
    """Return a network from image to logit, to be given the weights of a training network.

    It computes in float32 on one device and has no optimizer: it is what a run predicts with,
    saves and exports.
    """
    return build(replace(settings, weights="none", init=None, heatmap=0.0))


def features(model: Any) -> Any:
    """Return the network from image to the features of its last layer, float32 (N, D)."""
    return keras.Model(model.input, model.get_layer("pool").output)


def load(file: Path) -> Any:
    """Load a network that was saved in a run.

    Raises:
        DataError: the file is missing or damaged.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such checkpoint; the run may not have finished an epoch")
    try:
        return keras.saving.load_model(file)
    except Exception as error:  # Keras raises many kinds
        raise DataError(f"{file}: damaged checkpoint ({' '.join(str(error).split())})") from error


def save(model: Any, file: Path) -> None:
    """Save a network; the file is replaced only when it is complete."""
    with replacing(file) as beside:
        model.save(beside)


def layers(model: Any) -> Iterator[Any]:
    """Yield the layers of a network, and those of networks inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers(layer)
        else:
            yield layer


def _is_model_file(settings: Settings) -> bool:
    return settings.weights.lower().endswith(".onnx")


def _copy_weights(model: Any, settings: Settings) -> None:
    assert settings.init
    run = Run.open(settings.init)
    if run.settings.backbone != settings.backbone:
        raise UsageError(
            f"{run.folder} trained {run.settings.backbone}, not {settings.backbone}",
            argument="init",
        )
    model.set_weights(load(run.kept()).get_weights())


def _body(backbone: Backbone, shape: tuple[None, None, int], settings: Settings) -> Any:
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
            f"{settings.weights} is not a file; the weights of {settings.backbone} are {choices}",
            argument="weights",
        )
    # Not through the cache of Keras, which deletes files that it does not know.
    try:
        body = construct(None)
        body.load_weights(file)
    except Exception as error:  # h5py and Keras raise many kinds
        raise DataError(
            f"{file}: not weights of {settings.backbone} ({' '.join(str(error).split())[:200]})"
        ) from error
    return body


@contextlib.contextmanager
def _download(published: Published, settings: Settings) -> Iterator[None]:
    """Let a package download weights; it reports on stderr, and its failure is one line."""
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    cached = home / "models" / published.file
    if cached.is_file() and published.digest and not _matches(cached, published.digest):
        # Keras would delete it and download again.
        raise DataError(
            f"{cached}: not the published file (its hash differs); "
            f"move it away, or use it with `weights={cached}`"
        )
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except Exception as error:
        raise DownloadError(
            f"{settings.backbone}: cannot download the {settings.weights} weights: download "
            f"{published.url} and put it at {cached}, or train with `weights=none` "
            f"({' '.join(str(error).split())[:100]})"
        ) from error


def _matches(file: Path, digest: str) -> bool:
    kind = "sha256" if len(digest) == 64 else "md5"  # noqa: PLR2004
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest() == digest
