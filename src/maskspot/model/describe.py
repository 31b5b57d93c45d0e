"""What a model file says of itself."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from maskspot.model.predictor import Predictor
from maskspot.model.shipped import find_model, shipped


def describe(model: str) -> dict[str, Any]:
    """Return what a model file says of itself, in plain values.

    Raises:
        ModelFileError: it is missing, damaged, or not one this version understands.
    """
    predictor, file = Predictor(model), find_model(model)
    card = file.with_suffix(".md")
    return {
        **asdict(predictor.info),
        "id": predictor.id,
        "file": str(file),
        "bytes": file.stat().st_size,
        "heatmap": predictor.has_heatmap,
        "card": str(card) if model in shipped() and card.is_file() else None,
    }


def model_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what `describe` found, for people: what, and what it is."""
    yield "model", facts["name"]
    yield "backbone", facts["backbone"]
    yield "size", megabytes(facts)
    yield "question", facts["question"]
    yield "preprocessing", ", ".join(_preprocessing(facts["preprocessing"]))
    yield "passes", f"{facts['passes']} an image"
    yield "heatmap", "yes" if facts["heatmap"] else "no"
    if facts["metrics"]:
        yield "validation", _numbers(facts["metrics"])
    calibration = facts["calibration"]
    if calibration:
        keys = [key for key in ("scale", "bias", "bound", "prior") if key in calibration]
        yield "calibration", _numbers({key: calibration[key] for key in keys})
        for when in ("before", "after"):
            if isinstance(calibration.get(when), Mapping):
                yield f"  {when}", _numbers(calibration[when])
    if facts["windows"]:
        yield "windows", _numbers(facts["windows"])
    if facts["storage"]:
        yield "storage", _numbers(facts["storage"])
    for key, shown in (("weights", "started from"), ("data", "learned from")):
        value = facts["training"].get(key)
        if value:
            yield shown, ", ".join(map(str, value if isinstance(value, list) else [value]))
    yield "written by", f"maskspot {facts['maskspot']}, format {facts['format']}"
    yield "id", facts["id"]
    yield "file", facts["file"]
    if facts["card"]:
        yield "card", facts["card"]


def _preprocessing(shape: Mapping[str, Any]) -> Iterator[str]:
    yield f"{shape['size']}×{shape['size']} px"  # noqa: RUF001
    yield shape["fit"]
    yield shape["filter"]
    if shape["reduce"]:
        yield f"JPEGs reduced while {shape['reduce']} times as large"
    if shape["srgb"]:
        yield "profiles to sRGB"


def megabytes(facts: Mapping[str, Any]) -> str:
    """Return the size of a described model file."""
    return f"{facts['bytes'] / 1e6:.1f} MB"


def _numbers(values: Mapping[str, Any]) -> str:
    def shown(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{key.replace('_', ' ')} {shown(each)}" for key, each in values.items())
