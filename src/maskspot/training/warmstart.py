"""A model file's weights as the start of a training run.

An exported graph has no batch normalisation: at inference it scales and shifts each channel by
constants, which the converter multiplies into the convolution before it. For training, each
normalisation is restored so that it changes nothing: with the mean and variance of its inputs for
real images, and a scale and shift that undo them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from maskspot.errors import DataError, UsageError
from maskspot.model.info import ModelInfo
from maskspot.model.predictor import Predictor
from maskspot.model.shipped import find_model, shipped
from maskspot.training import network
from maskspot.training.onnx_layers import Array, LinearLayer, linear_layers
from maskspot.training.settings import Settings

TOLERANCE = 0.05
"""How far a logit z may be from the file's, in units of max(1, |z|).

A start need not be exact, and a wrong one is off by far more. Differences come from float32,
where the inputs of a layer are far from 0 and vary little, and from GPUs and bfloat16.
"""

MEASURED = 256
"""Maximum number of images on which means and variances are measured."""

_CHECKED = 8  # images on which network and file are compared
_BATCH = 16


def assign_start(model: Any, settings: Settings, pixels: NDArray[np.uint8]) -> None:
    """Assign weights to a new network if the settings take them from a model file.

    Args:
        model: of `network.build`.
        settings: of the run; weights are taken if they are a model file's name or `maskspot`.
        pixels: as in `load_model_file`.

    Raises:
        UsageError: no model of that backbone ships; and what `load_model_file` raises.
    """
    if settings.init:
        return
    if settings.weights == "maskspot":
        infos = {name: Predictor(name).info for name in shipped()}
        ours = {info.backbone: name for name, info in infos.items() if _is_plain(info)}
        if settings.backbone not in ours:
            raise UsageError(
                f"maskspot ships models of {', '.join(ours)}, but not of {settings.backbone}",
                argument="weights",
            )
        load_model_file(model, ours[settings.backbone], pixels)
    elif settings.weights.lower().endswith(".onnx"):
        load_model_file(model, settings.weights, pixels)


def load_model_file(model: Any, file: str | Path, pixels: NDArray[np.uint8]) -> None:
    """Assign the weights of a model file to a network, so that it predicts what the file does.

    That holds at inference, before the file's calibration. In training, where batches are
    normalised by their own statistics, it holds approximately.

    Args:
        model: a `keras.Model` of `network.build`, whose weights are replaced.
        file: a model file of one network, or the name of a shipped one.
        pixels: uint8 (N, S, S, 3), images to train on, at the size they are trained at; the first
            `MEASURED` are used.

    Raises:
        ModelFileError: the file is missing or damaged.
        UsageError: the file is of another network, of several, or of one stored as int8.
        DataError: the logits of the network differ from those of the file.
    """
    predictor = Predictor(file)  # before anything else, as its errors are readable
    info, proto = predictor.info, onnx.load(find_model(file))
    if _is_int8(info):
        raise UsageError(f"{file}: its weights are int8, which is too coarse for training")
    if info.windows:
        raise UsageError(
            f"{file}: has the network twice, for its windows; start from an export without windows"
        )
    layers, given = list(_layers(model)), list(linear_layers(proto.graph))
    if len(given) > len(layers) and len(given) % len(layers) == 0:
        raise UsageError(
            f"{file}: the mean of {len(given) // len(layers)} networks ({info.backbone}); "
            "training must start from a single one"
        )
    pairs = list(zip(layers, given, strict=False))
    if len(given) != len(layers) or not all(_fits(layer, linear) for (layer, _), linear in pairs):
        raise UsageError(f"{file}: another kind of network ({info.backbone}) than the one to train")
    for (layer, norm), linear in pairs:
        _assign(layer, norm, linear)
    norms = [norm for _, norm in layers if norm]
    _normalise(norms, _moments(model, norms, pixels[:MEASURED]))
    _verify(model, proto, given[-1].output, file, pixels[:_CHECKED], info.preprocessing.size)


def _is_int8(info: ModelInfo) -> bool:
    return bool(info.storage.get("weights") == "int8")


def _is_plain(info: ModelInfo) -> bool:
    return not _is_int8(info) and not info.windows


def _layers(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the layers that multiply by weights, in order, each with its normalisation or None."""
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    last: Any = None
    for layer in network.layers(model):
        if isinstance(layer, kinds):
            if last:
                yield last, None
            last = layer
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield last, layer
            last = None
    yield last, None


def _fits(layer: Any, linear: LinearLayer) -> bool:
    # A convolution of single pixels may have become a product of matrices.
    given, wanted = linear.kernel.shape, tuple(layer.kernel.shape)
    return given == wanted or (len(given) == 2 and (1, 1, *given) == wanted)  # noqa: PLR2004


def _assign(layer: Any, norm: Any, linear: LinearLayer) -> None:
    """Set a layer to what the graph computes, and its normalisation to adding the bias."""
    layer.kernel.assign(linear.kernel.reshape(layer.kernel.shape))
    if norm is None:
        layer.bias.assign(linear.bias)
        return
    if layer.use_bias:
        layer.bias.assign(np.zeros_like(linear.bias))
    norm.moving_mean.assign(np.zeros_like(linear.bias))
    norm.moving_variance.assign(np.ones_like(linear.bias))
    norm.gamma.assign(np.full_like(linear.bias, np.sqrt(1 + norm.epsilon)))
    norm.beta.assign(linear.bias)


def _moments(
    model: Any, norms: Sequence[Any], pixels: NDArray[np.uint8]
) -> list[tuple[Array, Array]]:
    """Return mean and variance, each (C,), of the inputs of each normalisation.

    They are computed by image first: the variance over all images is the mean of their variances
    plus the variance of their means.
    """
    body = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    seen = [norm.input for norm in norms]
    of_image = [
        keras.ops.stack(keras.ops.moments(keras.ops.cast(each, "float32"), (1, 2)), 1)
        for each in seen
    ]
    measure = keras.Model(body.input, of_image)
    measure = keras.Model(model.input, measure(model.get_layer("normalisation").output))
    batches = [
        measure.predict_on_batch(pixels[at : at + _BATCH].astype(np.float32))
        for at in range(0, len(pixels), _BATCH)
    ]
    result = []
    for parts in zip(*batches, strict=True):
        means, variances = np.concatenate(parts).astype(np.float64).swapaxes(0, 1)
        result.append((means.mean(0), variances.mean(0) + means.var(0)))
    return result


def _normalise(norms: Sequence[Any], moments: Sequence[tuple[Array, Array]]) -> None:
    """Let normalisations normalise, and undo it, so that y = x + beta still holds."""
    for norm, (mean, variance) in zip(norms, moments, strict=True):
        bias = norm.beta.numpy()
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
        norm.gamma.assign(np.sqrt(variance + norm.epsilon))
        norm.beta.assign(bias + mean)


def _verify(
    model: Any,
    proto: onnx.ModelProto,
    logit: str,
    file: str | Path,
    pixels: NDArray[np.uint8],
    size: int,
) -> None:
    """Compare the network's logits with what the graph computes under the name `logit`."""
    square = np.stack([np.asarray(Image.fromarray(each).resize((size, size))) for each in pixels])
    ours = keras.Model(model.input, model.outputs[0])(square.astype(np.float32), training=False)
    ours = np.asarray(keras.ops.cast(ours, "float32"))
    del proto.graph.output[:]
    proto.graph.output.append(
        onnx.helper.make_tensor_value_info(logit, onnx.TensorProto.FLOAT, None)
    )
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (theirs,) = session.run(None, {proto.graph.input[0].name: square})
    theirs = theirs[: len(ours)]  # those of mirror images follow
    difference = (np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))).max()
    if not difference <= TOLERANCE:
        raise DataError(
            f"{file}: its logits differ by {difference:.1e} from those of the network that its "
            "weights were assigned to; it may have been trained with another `normalisation`"
        )
