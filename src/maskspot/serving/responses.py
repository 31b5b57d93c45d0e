"""Answers in JSON."""

import json
from collections.abc import Mapping

from starlette.responses import Response

from maskspot.model.heatmaps import strength
from maskspot.model.score import Score


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in JSON, in ASCII: names may have what UTF-8 cannot say."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Response(text, status, headers, "application/json")


def error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a request that is not answered as it asks."""
    return as_json({"error": reason}, status, headers)


def result(score: Score, heatmap: bool) -> dict[str, object]:
    """Return what is said of an image.

    Args:
        score: its own.
        heatmap: whether the heatmap was asked for; others may have led to one.
    """
    found: dict[str, object] = {
        "source": score.source,
        "probability": score.probability,
        "status": score.status,
        "error": score.error,
        "width": score.width,
        "height": score.height,
        "format": score.format,
    }
    if heatmap:
        raw = score.heatmap
        found["heatmap"] = None if raw is None else raw.tolist()
        found["overlay"] = None if raw is None else strength(score).round(4).tolist()
    return found
