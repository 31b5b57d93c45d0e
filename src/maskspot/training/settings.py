"""Every setting of a training run, its default, and the values it admits. No TensorFlow."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from maskspot.datasets.labels import Layout
from maskspot.errors import UsageError

if TYPE_CHECKING:
    from maskspot.images import Preprocessing


def _setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    least: float = 0.0,
    most: float = 1e6,
) -> Any:
    """Make a field with what its option's help says, and the values it admits."""
    return field(
        default=default,
        metadata={"help": help, "choices": choices, "least": least, "most": most},
    )


WEIGHTS = ("imagenet", "noisy-student", "maskspot", "none")
"""What `weights` may say instead of naming a file."""


BACKBONES = (
    *(f"efficientnet-b{size}" for size in range(8)),
    *("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "mobilenet-0.25"),
    *("inception-v3", "inception-resnet-v2", "xception", "vgg16"),
)
"""What `backbone` may say; `backbones` builds them."""


@dataclass(frozen=True)
class Settings:
    """Every setting of a run. The defaults are the preset `default`; `help` is in the metadata."""

    backbone: str = _setting(
        "efficientnet-b0",
        "network",
        choices=BACKBONES,
    )
    weights: str = _setting("imagenet", f"what it starts from: {', '.join(WEIGHTS)}, or a file")
    init: str | None = _setting(None, "run whose network it starts from, in place of weights")
    head_first: bool = _setting(
        True, "fit the last layer to the starting weights' features before anything else"
    )
    size: int = _setting(256, "side of the square input, in pixels", least=32, most=4096)
    fit: str = _setting("squash", "how an image becomes square", choices=("squash", "pad"))
    filter: str = _setting(
        "bilinear",
        "resampling filter",
        choices=("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
    )
    reduce: int = _setting(
        2, "decode a JPEG at 1/2, 1/4 or 1/8 where that keeps so many times size; 0 never does"
    )
    srgb: bool = _setting(True, "bring the colours of embedded ICC profiles to sRGB")
    normalisation: str = _setting(
        "backbone",
        "of pixels; unit divides by 255",
        choices=("backbone", "unit"),
    )
    freeze: float = _setting(
        0.0, "share of the backbone's layers, the first ones, that keep their weights", most=1
    )
    dropout: float = _setting(0.2, "share of features dropped before the last layer", most=0.99)

    epochs: int = _setting(12, "epochs at most", least=1)
    start_size: int = _setting(
        128,
        "side in the first third of the epochs, halfway to size in the second; 0 is size",
        most=4096,
    )
    batch_size: int = _setting(32, "images in a step", least=1)
    partial_batches: bool = _setting(
        False, "train on an epoch's last images that fill no batch too"
    )
    precision: str = _setting(
        "auto",
        "of the computation; auto is bfloat16 on a GPU, else float32",
        choices=("auto", "float32", "bfloat16"),
    )
    optimizer: str = _setting("adamw", "optimizer", choices=("adam", "adamw"))
    amsgrad: bool = _setting(False, "the optimizer's amsgrad variant")
    learning_rate: float = _setting(6e-4, "peak learning rate", least=1e-12)
    weight_decay: float = _setting(1e-2, "adamw's weight decay")
    clip_norm: float = _setting(1.0, "largest norm of a step's gradient; 0 is no limit")
    label_smoothing: float = _setting(0.0, "share of a label given to the other one", most=0.01)
    class_balance: bool = _setting(False, "weigh images so that both classes count alike")
    schedule: str = _setting(
        "cosine",
        "of the learning rate; cosine ends at 0, after a warm-up",
        choices=("cosine", "plateau", "constant"),
    )
    warmup: float = _setting(1.0, "cosine: epochs of linear warm-up")
    plateau_patience: int = _setting(10, "plateau: epochs without a better loss before a cut")
    plateau_factor: float = _setting(0.1, "plateau: factor of a cut", most=1)
    plateau_floor: float = _setting(1e-5, "plateau: least learning rate")
    ema: float = _setting(
        0.99, "momentum of the moving average of weights; 0 is none", most=0.99999
    )
    keep_start: float = _setting(
        0.0, "share of the starting weights in those that the run hands on", most=0.99
    )
    patience: int = _setting(0, "stop after so many epochs without a better loss; 0 never does")
    keep: str = _setting(
        "last",
        "epoch that the run hands on",
        choices=("best", "last"),
    )

    rotation: float = _setting(15.0, "augmentation: degrees, either way", most=180)
    zoom: float = _setting(
        0.2, "augmentation: share by which width and height scale, each alone", most=0.9
    )
    shear: float = _setting(5.0, "augmentation: degrees, either way", most=60)
    width_shift: float = _setting(0.1, "augmentation: share of the width, either way", most=1)
    height_shift: float = _setting(0.1, "augmentation: share of the height, either way", most=1)
    horizontal_flip: bool = _setting(True, "augmentation: mirror half of the images")
    fill: str = _setting(
        "nearest",
        "augmentation: what lies beyond the border",
        choices=("nearest", "reflect", "wrap", "constant"),
    )

    crop: float = _setting(
        0.5, "augmentation: least share of the area that a random crop keeps", least=0.05, most=1
    )
    colour: float = _setting(
        0.25, "augmentation: share by which brightness, contrast and saturation vary", most=0.9
    )
    blur: float = _setting(
        0.3, "augmentation: share of images shrunk by up to 4 and enlarged again", most=1
    )
    jpeg: float = _setting(0.3, "augmentation: share of images compressed again", most=1)
    cutout: float = _setting(0.1, "augmentation: share of images with a hole", most=1)
    mixup: float = _setting(0.0, "augmentation: a of mixup's Beta(a, a); 0 mixes none", most=10)
    resolution: int = _setting(
        0, "side of the pixels that augmentation cuts from; 0 is size", most=4096
    )

    boxes: str | None = _setting(None, "CSV of boxed faces, in the data's folder or anywhere")
    box_crops: float = _setting(
        0.5, "boxes: share of boxed images shown as a crop, labelled by the faces in it", most=1
    )
    close_ups: float = _setting(
        0.0, "augmentation: share of images without a mask or boxes shown as a small crop", most=1
    )
    heatmap: float = _setting(0.0, "boxes: weight of the loss that says where the masks are")
    teacher: str | None = _setting(None, "model file or run with folds to learn from too")
    teacher_weight: float = _setting(0.5, "its part in each label", most=1)

    folds: int = _setting(0, "train so many networks, each without one part of the images", most=99)
    group: str | None = _setting(
        None, "folds: column of sources.csv whose values they never part, such as source"
    )
    balance: str | None = _setting(
        None, "columns of sources.csv that must not predict the label, such as source,kind"
    )
    repeat: str | None = _setting(
        None, "run with folds whose false alarms are shown twice in each epoch"
    )
    validation: float = _setting(
        0.2, "share of images held back, stratified by label", least=1e-6, most=0.9
    )
    seed: int = _setting(
        0, "seed of the split, the shuffles, the augmentation, the weights", most=2**31
    )

    labels: str | None = _setting(None, "CSV of labels, where it has no usual name")
    image_column: str | None = _setting(None, "its column of image names")
    target_column: str | None = _setting(None, "its column of labels, 0 or 1")
    positive: str | None = _setting(None, "class folder that shows masks")

    def __post_init__(self) -> None:
        hints = setting_types()
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is not None or spec.default is not None:
                value = _coerce(spec.name, value, hints[spec.name])
            _check(spec.name, value, spec.metadata)
            object.__setattr__(self, spec.name, value)
        if self.heatmap and not self.boxes:
            raise UsageError("heatmap: where the masks are is learnt from --boxes: name them")
        if self.group and not self.folds:
            raise UsageError("group: only folds have groups: name their number with --folds")
        if self.folds == 1:
            raise UsageError("folds: two at least, or 0 for one network")

    @property
    def layout(self) -> Layout:
        """What the data sets' folders do not say themselves."""
        return Layout(self.labels, self.image_column, self.target_column, self.positive)

    @property
    def preprocessing(self) -> "Preprocessing":
        """How an image becomes the network's input."""
        from maskspot.images import Preprocessing  # only here: --help must not load Pillow

        return Preprocessing(self.size, self.fit, self.filter, self.reduce, self.srgb)

    def to_json(self) -> str:
        """Return the settings as a JSON file that `--config` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"


@cache
def setting_types() -> dict[str, type]:
    """Return each setting's type, without the None of those that may be absent."""
    return {
        name: next((kind for kind in get_args(hint) if kind is not NoneType), hint)
        for name, hint in get_type_hints(Settings).items()
    }


def _coerce(name: str, value: Any, kind: type) -> Any:
    """Admit a whole number where a fraction is asked; refuse every other mismatch."""
    if kind is float and type(value) is int and abs(value) < 1e300:  # noqa: PLR2004
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{name}: {value!r} is not a {_TYPE_NAMES[kind]}")
    return value


def _check(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    choices, least, most = metadata["choices"], metadata["least"], metadata["most"]
    if choices and value not in choices:
        raise UsageError(f"{name}: {value!r} is not one of {', '.join(choices)}")
    if isinstance(value, float | int) and not least <= value <= most:
        raise UsageError(f"{name}: {value} is not from {least:g} to {most:g}")


_TYPE_NAMES = {int: "whole number", float: "number", bool: "true or false", str: "text"}
