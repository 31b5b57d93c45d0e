"""The settings of a training run, with defaults and valid values. TensorFlow is not imported."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from maskspot.arguments import argument
from maskspot.datasets.labels import Layout
from maskspot.errors import UsageError
from maskspot.training.backbones import BACKBONES

if TYPE_CHECKING:
    from maskspot.images import Preprocessing

WEIGHTS = ("imagenet", "noisy-student", "maskspot", "none")
"""What `weights` may be besides the name of a file."""

SECTIONS = {
    "backbone": "Network and input",
    "epochs": "Optimisation",
    "rotation": "Augmentation",
    "boxes": "Boxes and teachers",
    "folds": "Folds, sources and validation",
    "labels": "Labels",
}
"""Headings of the settings, by the first setting below each."""


@dataclass(frozen=True)
class Settings:
    """Every setting of a run. The defaults are the preset `default`.

    Numbers without bounds of their own are from 0 to 1,000,000.

    Raises:
        UsageError: a value is invalid, or contradicts another.
    """

    backbone: str = argument("efficientnet-b0", help="Network.", choices=tuple(BACKBONES))
    weights: str = argument(
        "imagenet", metavar="NAME|FILE", help=f"Starting weights: {', '.join(WEIGHTS)}, or a file."
    )
    init: str | None = argument(
        None, metavar="RUN", help="Run whose network it starts from, in place of weights."
    )
    head_first: bool = argument(True, help="Fit the last layer to the starting features first.")
    size: int = argument(256, help="Side of the square input, in pixels.", least=32, most=4096)
    fit: str = argument("squash", help="How an image becomes square.", choices=("squash", "pad"))
    filter: str = argument(
        "bilinear",
        help="Resampling filter.",
        choices=("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
    )
    reduce: int = argument(
        2,
        help="Decode a JPEG at 1/2, 1/4 or 1/8 where it stays this many times as large as size; "
        "0 never does.",
    )
    srgb: bool = argument(True, help="Convert images with an ICC profile to sRGB.")
    normalisation: str = argument(
        "backbone",
        help="Normalisation of pixels; unit divides by 255.",
        choices=("backbone", "unit"),
    )
    freeze: float = argument(
        0.0, help="Share of the backbone's layers, from the first, that are not trained.", most=1
    )
    dropout: float = argument(0.2, help="Share of features dropped at the last layer.", most=0.99)

    epochs: int = argument(12, help="Maximum number of epochs.", least=1)
    start_size: int = argument(
        128,
        help="Side of images in the first third of the epochs, halfway to size in the second; "
        "0 is size.",
        most=4096,
    )
    batch_size: int = argument(32, help="Images in a step.", least=1)
    partial_batches: bool = argument(
        False, help="Also train on the last images of an epoch that do not fill a batch."
    )
    precision: str = argument(
        "auto",
        help="Precision of the computation; auto is bfloat16 on a GPU, else float32.",
        choices=("auto", "float32", "bfloat16"),
    )
    optimizer: str = argument("adamw", help="Optimizer.", choices=("adam", "adamw"))
    amsgrad: bool = argument(False, help="Use the optimizer's AMSGrad variant.")
    learning_rate: float = argument(6e-4, help="Peak learning rate.", least=1e-12)
    weight_decay: float = argument(1e-2, help="Weight decay of adamw.")
    clip_norm: float = argument(1.0, help="Maximum norm of a step's gradient; 0 is no limit.")
    label_smoothing: float = argument(0.0, help="Share of a label given to the other.", most=0.01)
    class_balance: bool = argument(False, help="Weight images so that both classes count equally.")
    schedule: str = argument(
        "cosine",
        help="Schedule of the learning rate; cosine ends at 0, after a warm-up.",
        choices=("cosine", "plateau", "constant"),
    )
    warmup: float = argument(1.0, help="Epochs of linear warm-up, with schedule cosine.")
    plateau_patience: int = argument(
        10, help="Epochs without a lower loss before the rate is cut, with schedule plateau."
    )
    plateau_factor: float = argument(0.1, help="Factor of each cut, with schedule plateau.", most=1)
    plateau_floor: float = argument(1e-5, help="Minimum learning rate, with schedule plateau.")
    ema: float = argument(0.99, help="Momentum of averaged weights; 0 is none.", most=0.99999)
    keep_start: float = argument(0.0, help="Share of starting weights in the result.", most=0.99)
    patience: int = argument(0, help="Epochs without a lower loss before it stops; 0 is no limit.")
    keep: str = argument("last", help="Epoch that is the result.", choices=("best", "last"))

    rotation: float = argument(15.0, help="Augmentation: maximum rotation, in degrees.", most=180)
    zoom: float = argument(
        0.2,
        help="Augmentation: maximum share by which width and height scale independently.",
        most=0.9,
    )
    shear: float = argument(5.0, help="Augmentation: maximum shear, in degrees.", most=60)
    width_shift: float = argument(
        0.1, help="Augmentation: maximum horizontal shift, as a share of the width.", most=1
    )
    height_shift: float = argument(
        0.1, help="Augmentation: maximum vertical shift, as a share of the height.", most=1
    )
    horizontal_flip: bool = argument(True, help="Augmentation: mirror half of the images.")
    fill: str = argument(
        "nearest",
        help="Augmentation: what lies beyond the border.",
        choices=("nearest", "reflect", "wrap", "constant"),
    )

    crop: float = argument(
        0.5,
        help="Augmentation: minimum share of the area that a random crop keeps.",
        least=0.05,
        most=1,
    )
    colour: float = argument(
        0.25,
        help="Augmentation: maximum share by which brightness, contrast and saturation vary.",
        most=0.9,
    )
    blur: float = argument(
        0.3, help="Augmentation: share of images shrunk by up to 4 and enlarged again.", most=1
    )
    jpeg: float = argument(0.3, help="Augmentation: share of images compressed again.", most=1)
    cutout: float = argument(0.1, help="Augmentation: share of images with a hole.", most=1)
    mixup: float = argument(0.0, help="Augmentation: a of mixup's Beta(a, a); 0 is none.", most=10)
    resolution: int = argument(
        0, help="Side of the images that augmentation cuts from, in pixels; 0 is size.", most=4096
    )

    boxes: str | None = argument(
        None, metavar="FILE", help="CSV of face boxes, in the data's folder or anywhere."
    )
    box_crops: float = argument(
        0.5,
        help="Share of images with boxes shown as a crop, labelled by the faces in it.",
        most=1,
    )
    close_ups: float = argument(
        0.0,
        help="Augmentation: share of images without a mask or boxes shown as a small crop.",
        most=1,
    )
    heatmap: float = argument(0.0, help="Weight of the loss of where masks are; needs boxes.")
    teacher: str | None = argument(
        None,
        metavar="MODEL|RUN",
        help="Model file, or run with folds, whose probabilities it learns from too.",
    )
    teacher_weight: float = argument(0.5, help="Share of the teacher in each label.", most=1)

    folds: int = argument(0, help="Networks to train, each without a part of the images.", most=99)
    group: str | None = argument(
        None,
        help="Column of sources.csv whose values are never split across folds, such as source.",
    )
    balance: str | None = argument(
        None,
        help="Columns of sources.csv that must not predict the label, such as source,kind.",
    )
    repeat: str | None = argument(
        None,
        metavar="RUN",
        help="Run with folds whose false positives are shown twice in each epoch.",
    )
    validation: float = argument(
        0.2, help="Share of images held back, stratified by label.", least=1e-6, most=0.9
    )
    seed: int = argument(0, help="Seed of split, augmentation and weights.", most=2**31)

    labels: str | None = argument(
        None, metavar="FILE", help="CSV of labels, if it has no usual name."
    )
    image_column: str | None = argument(None, help="Its column of image names.")
    target_column: str | None = argument(None, help="Its column of labels, 0 or 1.")
    positive: str | None = argument(None, help="Class folder whose images show masks.")

    def __post_init__(self) -> None:
        hints = setting_types()
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is not None or spec.default is not None:
                value = _coerce(spec.name, value, hints[spec.name])
            _check(spec.name, value, spec.metadata)
            object.__setattr__(self, spec.name, value)
        if self.heatmap and not self.boxes:
            raise UsageError("needs face boxes; name their CSV with `boxes`", argument="heatmap")
        if self.group and not self.folds:
            raise UsageError("needs a number of `folds`", argument="group")
        if self.folds == 1:
            raise UsageError("must be 0, for a single network, or at least 2", argument="folds")

    @property
    def layout(self) -> Layout:
        """What the folders of the data do not say themselves."""
        return Layout(self.labels, self.image_column, self.target_column, self.positive)

    @property
    def preprocessing(self) -> "Preprocessing":
        """How an image becomes the network's input."""
        from maskspot.images import Preprocessing  # only here: --help must not load Pillow

        return Preprocessing(self.size, self.fit, self.filter, self.reduce, self.srgb)

    def to_json(self) -> str:
        """Return the settings as JSON, which `presets.read_settings` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"


@cache
def setting_types() -> dict[str, type]:
    """Return the type of each setting, without the None of optional ones."""
    return {
        name: next((kind for kind in get_args(hint) if kind is not NoneType), hint)
        for name, hint in get_type_hints(Settings).items()
    }


def _coerce(name: str, value: Any, kind: type) -> Any:
    """Accept an integer where a float is expected; refuse every other mismatch."""
    if kind is float and type(value) is int and abs(value) < 1e300:  # noqa: PLR2004
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{value!r} is not {_TYPE_NAMES[kind]}", argument=name)
    return value


def _check(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    choices = metadata["choices"]
    if choices and value not in choices:
        raise UsageError(f"{value!r} is not one of {', '.join(choices)}", argument=name)
    least, most = (metadata["least"] or 0, metadata["most"] or 1e6)
    if isinstance(value, float | int) and not least <= value <= most:
        raise UsageError(f"{value} is not from {least:g} to {most:g}", argument=name)


_TYPE_NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
