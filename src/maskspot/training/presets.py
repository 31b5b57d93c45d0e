"""Settings from presets, files and options, in that order. It does not import TensorFlow."""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from maskspot.errors import UsageError
from maskspot.training.settings import WEIGHTS, Settings

PRESETS: Mapping[str, Settings] = {
    "default": Settings(),
    # The recipe of the 9th place: load_img (nearest) and ImageDataGenerator of Keras, whose
    # shear is in degrees.
    "seed": Settings(
        filter="nearest",
        reduce=0,
        srgb=False,
        normalisation="unit",
        head_first=False,
        dropout=0.2,
        epochs=70,
        start_size=0,
        batch_size=4,
        partial_batches=True,
        optimizer="adam",
        amsgrad=True,
        learning_rate=1e-3,
        clip_norm=0.0,
        schedule="plateau",
        plateau_patience=10,
        plateau_factor=0.1,
        plateau_floor=1e-5,
        ema=0.0,
        patience=15,
        keep="best",
        rotation=20.0,
        zoom=0.15,
        shear=0.15,
        width_shift=0.2,
        height_shift=0.2,
        horizontal_flip=False,
        fill="nearest",
        crop=1.0,
        colour=0.0,
        blur=0.0,
        jpeg=0.0,
        cutout=0.0,
    ),
}

# The names in the config.json of the original repository. Its folders and archive are arguments
# of training here, and its Model_Path is in the run.
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
    """Return the settings of a preset, changed by those of a file, changed by options.

    A file may name a `preset`, which the argument overrides.

    Raises:
        UsageError: an unknown setting, preset or value, or a file that cannot be read.
    """
    values = dict(read_settings(file)) if file else {}
    name = values.pop("preset", "default") if preset is None else preset
    values.pop("preset", None)
    try:
        if not isinstance(name, str) or name not in PRESETS:
            raise UsageError(f"{name!r} is not one of {', '.join(PRESETS)}", argument="preset")
        settings = _replace(PRESETS[name], values)
    except UsageError as error:
        if not file:
            raise
        raise UsageError(f"{file}: {error}") from None
    return _replace(settings, options or {})


def with_absolute_paths(settings: Settings) -> Settings:
    """Make paths in settings absolute, so that a run can be resumed from any folder."""
    named = {"init": settings.init, "teacher": settings.teacher, "repeat": settings.repeat}
    if settings.weights not in WEIGHTS:
        named["weights"] = settings.weights
    files = {key: Path(value).expanduser() for key, value in named.items() if value}
    absolute: dict[str, Any] = {
        key: str(file.resolve()) for key, file in files.items() if file.exists()
    }
    return replace(settings, **absolute)


def read_settings(file: Path) -> dict[str, Any]:
    """Read settings from TOML or JSON, or from a config.json of the original repository.

    Raises:
        UsageError: the file is missing, damaged, or not a table of settings.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not valid TOML or JSON: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{file}: settings must be a table of names and values")
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
