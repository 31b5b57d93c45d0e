"""The settings of a training run: presets, files, options, in that order. Imports no TensorFlow."""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from maskspot.datasets.labels import Layout
from maskspot.errors import UsageError


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


WEIGHTS = ("imagenet", "noisy-student", "none")
"""What `weights` may say instead of naming a file."""


@dataclass(frozen=True)
class Settings:
    """Every setting of a run. The defaults are the preset `default`; `help` is in the metadata."""

    backbone: str = _setting(
        "efficientnet-b0", "network", choices=("efficientnet-b0", "mobilenet-0.25")
    )
    weights: str = _setting("imagenet", f"what it starts from: {', '.join(WEIGHTS)}, or a file")
    size: int = _setting(256, "side of the square input, in pixels", least=32, most=4096)
    fit: str = _setting("squash", "how an image becomes square", choices=("squash", "pad"))
    filter: str = _setting(
        "bilinear",
        "resampling filter",
        choices=("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"),
    )
    normalisation: str = _setting(
        "backbone",
        "of pixels; unit divides by 255",
        choices=("backbone", "unit"),
    )
    dropout: float = _setting(0.2, "share of features dropped before the last layer", most=0.99)

    epochs: int = _setting(30, "epochs at most", least=1)
    batch_size: int = _setting(32, "images in a step", least=1)
    partial_batches: bool = _setting(
        False, "train on an epoch's last images that fill no batch too"
    )
    optimizer: str = _setting("adamw", "optimizer", choices=("adam", "adamw"))
    amsgrad: bool = _setting(False, "the optimizer's amsgrad variant")
    learning_rate: float = _setting(1e-3, "peak learning rate", least=1e-12)
    weight_decay: float = _setting(1e-2, "adamw's weight decay")
    schedule: str = _setting(
        "cosine",
        "of the learning rate; cosine ends at 0, after a warm-up",
        choices=("cosine", "plateau", "constant"),
    )
    warmup: float = _setting(1.0, "cosine: epochs of linear warm-up")
    plateau_patience: int = _setting(10, "plateau: epochs without a better loss before a cut")
    plateau_factor: float = _setting(0.1, "plateau: factor of a cut", most=1)
    plateau_floor: float = _setting(1e-5, "plateau: least learning rate")
    ema: float = _setting(0.0, "momentum of the moving average of weights; 0 is none", most=0.99999)
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

    @property
    def layout(self) -> Layout:
        """What the data sets' folders do not say themselves."""
        return Layout(self.labels, self.image_column, self.target_column, self.positive)

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

PRESETS: Mapping[str, Settings] = {
    "default": Settings(),
    # The recipe of the 9th place, as its two scripts and config.json ran it: Keras'
    # load_img (nearest) and ImageDataGenerator, whose shear is in degrees.
    "seed": Settings(
        filter="nearest",
        normalisation="unit",
        dropout=0.2,
        epochs=70,
        batch_size=4,
        partial_batches=True,
        optimizer="adam",
        amsgrad=True,
        learning_rate=1e-3,
        schedule="plateau",
        plateau_patience=10,
        plateau_factor=0.1,
        plateau_floor=1e-5,
        patience=15,
        keep="best",
        rotation=20.0,
        zoom=0.15,
        shear=0.15,
        width_shift=0.2,
        height_shift=0.2,
        horizontal_flip=False,
        fill="nearest",
    ),
}

# The original repository's config.json. Its folders and archive are named on the command
# line here, and its Model_Path is the run's.
_ORIGINAL = {
    "im_width": "size",
    "im_height": "size",
    "Epochs": "epochs",
    "Batch": "batch_size",
    "Dropout": "dropout",
    "LabelFiles": "labels",
}
_ORIGINAL_PLACES = ("compressFolder", "TestFolder", "TrainFolder", "compressFile", "Model_Path")


def resolve(
    preset: str | None = None,
    file: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Settings:
    """Put settings together: the preset, then the file's, then the options'; the last wins.

    A file may name its own `preset`; one given here wins over it.

    Raises:
        UsageError: an unknown setting, preset or value, or a file that cannot be read.
    """
    values = dict(read_settings(file)) if file else {}
    name = values.pop("preset", "default") if preset is None else preset
    values.pop("preset", None)
    try:
        if not isinstance(name, str) or name not in PRESETS:
            raise UsageError(f"preset: {name!r} is not one of {', '.join(PRESETS)}")
        settings = _replace(PRESETS[name], values)
    except UsageError as error:
        raise UsageError(f"{file}: {error}" if file else str(error)) from None
    return _replace(settings, options or {})


def read_settings(file: Path) -> dict[str, Any]:
    """Read settings from TOML or JSON, the original repository's config.json included.

    Raises:
        UsageError: the file is missing, damaged, or no table of settings.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not valid TOML or JSON: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{file}: settings are a table of names and values")
    if any(name in values for name in (*_ORIGINAL, *_ORIGINAL_PLACES)):
        return _from_original(file, values)
    return values


def _from_original(file: Path, values: dict[str, Any]) -> dict[str, Any]:
    if values.get("im_width") != values.get("im_height"):
        raise UsageError(f"{file}: im_width and im_height must be the same")
    mapped: dict[str, Any] = {"preset": "seed"}
    for name, value in values.items():
        if name in _ORIGINAL:
            mapped[_ORIGINAL[name]] = value
        elif name not in _ORIGINAL_PLACES:
            _refuse(name, (*_ORIGINAL, *_ORIGINAL_PLACES), f"{file}: ")
    return mapped


def _replace(settings: Settings, values: Mapping[str, Any]) -> Settings:
    names = [spec.name for spec in fields(Settings)]
    for name in values:
        if name not in names:
            _refuse(name, names)
    return replace(settings, **values)


def _refuse(name: str, known: Sequence[str], where: str = "") -> None:
    near = difflib.get_close_matches(name, known, 1, 0.0)
    raise UsageError(f"{where}unknown setting {name!r}; did you mean {near[0]!r}?")
