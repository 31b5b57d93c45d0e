"""Describe a model file, from its own metadata."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from maskspot.model.predictor import Predictor
from maskspot.model.shipped import MEASURED, find_model, shipped


def describe(model: str) -> dict[str, Any]:
    """Return the metadata of a model file, with its id, size, place and card, in plain values.

    Args:
        model: a model file, or the name of a shipped model.

    Raises:
        ModelFileError: the file is missing, damaged, or not supported by this version.
    """
    predictor, file = Predictor(model), find_model(model)
    card = file.with_suffix(".md")
    measured = MEASURED.get(model) if model in shipped() else None
    return {
        **asdict(predictor.info),
        "id": predictor.id,
        "file": str(file),
        "bytes": file.stat().st_size,
        "heatmap": predictor.has_heatmap,
        "measured": measured and asdict(measured),
        "card": str(card) if model in shipped() and card.is_file() else None,
    }


def model_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values of what `describe` returned, as people read them."""
    yield "model", facts["name"]
    yield "backbone", facts["backbone"]
    yield "size", megabytes(facts)
    yield "question", facts["question"]
    yield "preprocessing", ", ".join(_preprocessing(facts["preprocessing"]))
    yield "passes", f"{facts['passes']} per image"
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
        yield "colour profiles converted to sRGB"


def megabytes(facts: Mapping[str, Any]) -> str:
    """Return the size of a model file that was described."""
    return f"{facts['bytes'] / 1e6:.1f} MB"


def _numbers(values: Mapping[str, Any]) -> str:
    def shown(value: object) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{key.replace('_', ' ')} {shown(each)}" for key, each in values.items())
