"""JSON responses."""

import json
from collections.abc import Mapping

from starlette.responses import Response

from maskspot.model.heatmaps import strength
from maskspot.model.score import Score


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response, in ASCII, as names may contain what UTF-8 cannot encode."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Response(text, status, headers, "application/json")


def error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error response."""
    return as_json({"error": reason}, status, headers)


def result(score: Score, heatmap: bool) -> dict[str, object]:
    """Return the JSON of an image's result.

    Args:
        score: the score of the image.
        heatmap: whether the request asked for heatmaps; another one in the batch may have.
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
