"""The OpenAPI document of the API."""

from typing import Any

from maskspot._version import __version__
from maskspot.serving.limits import RequestLimits
from maskspot.serving.uploads import FORM, JSON, NAME

_NUMBER, _TEXT, _COUNT = ({"type": [kind, "null"]} for kind in ("number", "string", "integer"))
_SIGN = "[A-Za-z0-9+/]"  # of base64
_BYTES = {"type": "string", "format": "binary"}
_ERRORS = {
    400: "not a valid HTTP request",
    401: "the token is missing or wrong",
    403: "sent by a page of another site, or with a Host header that does not name this server",
    404: "no such path",
    405: "the method is not supported for this path",
    408: "headers or body did not arrive in time",
    413: "the body is too large",
    415: "the Content-Type or Content-Encoding is not supported",
    429: "too many requests, or not scored in time: try again after Retry-After seconds",
}


def document(limits: RequestLimits, max_pixels: int, token: object) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        limits: limits on requests.
        max_pixels: largest number of pixels of an image.
        token: whether clients must send a token.
    """
    security: dict[str, Any] = {"security": [{"token": []}]} if token else {}
    closed = [401] if token else [403]
    paths: dict[str, Any] = {
        "/v1/predict": {
            "post": {
                "operationId": "predict",
                "summary": "Score images",
                "description": (
                    "How likely is it that each image shows a face mask? The results are in "
                    f"the order of the images. Up to {limits.max_images} images in up to "
                    f"{limits.max_body:,} bytes, each of up to {max_pixels:,} pixels, in "
                    f"{limits.timeout:g} seconds. An image that cannot be read is a result with "
                    "its error; if it was sent alone, not in a form or in JSON, the status is 422. "
                    "URLs are not fetched."
                ),
                "parameters": [_HEATMAP_PARAMETER],
                "requestBody": {"required": True, "content": _contents(limits)},
                "responses": {
                    **_answer("Results, one for each image", "Answer"),
                    **_errors(400, 401, 403, 408, 413, 415, 429),
                    "422": _UNPROCESSABLE,
                },
                **security,
            }
        },
        "/v1/model": _get("model", "The model, and the limits", "Model", closed),
        "/healthz": _get("health", "Whether the server answers", "Health", [403]),
        "/metrics": _text("metrics", "Counters for Prometheus", "text/plain", closed),
        "/openapi.json": _get("openapi", "This document", None, [403]),
        "/docs": _text("docs", "This document as a page", "text/html", [403]),
        "/": _text("page", "The page to drop pictures on", "text/html", [403]),
    }
    for path in ("/v1/model", "/metrics"):
        paths[path]["get"].update(security)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "maskspot",
            "version": __version__,
            "description": "How likely is it that this image shows at least one face mask?",
        },
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            **({"securitySchemes": {"token": _BEARER}} if token else {}),
        },
    }


_BEARER = {"type": "http", "scheme": "bearer"}
_HEATMAP_PARAMETER = {
    "name": "heatmap",
    "in": "query",
    "description": "1 to show where the mask is.",
    "schema": {"type": "string", "enum": ["0", "1"], "default": "0"},
}


def _contents(limits: RequestLimits) -> dict[str, Any]:
    """Return the schemas of request bodies."""
    count = {"minItems": 1, "maxItems": limits.max_images}
    image = {
        "type": "object",
        "properties": {
            "data": {
                "type": "string",
                "contentEncoding": "base64",
                "pattern": f"^({_SIGN}{{4}})*({_SIGN}{{2}}==|{_SIGN}{{3}}=)?$",
                "description": "The file.",
            },
            "source": {"type": "string", "maxLength": NAME, "description": "Its name."},
        },
        "required": ["data"],
        "additionalProperties": False,
    }

    def body(item: dict[str, Any]) -> dict[str, Any]:
        images = {"type": "array", "items": item, **count}
        return {
            "schema": {
                "type": "object",
                "properties": {"images": images},
                "required": ["images"],
                "additionalProperties": False,
            }
        }

    return {
        FORM: body(_BYTES),
        JSON: body(image),
        "image/*": {"schema": _BYTES},
        "application/octet-stream": {"schema": _BYTES},
    }


def _get(name: str, summary: str, schema: str | None, errors: list[int]) -> dict[str, Any]:
    responses = {**_answer(summary, schema), **_errors(400, *errors)}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _text(name: str, summary: str, kind: str, errors: list[int]) -> dict[str, Any]:
    found = {"description": summary, "content": {kind: {"schema": {"type": "string"}}}}
    responses = {"200": found, **_errors(400, *errors)}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _answer(text: str, schema: str | None) -> dict[str, Any]:
    of = {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "object"}
    return {"200": {"description": text, "content": {"application/json": {"schema": of}}}}


def _errors(*codes: int) -> dict[str, Any]:
    found = {}
    for code in codes:
        of = {"$ref": "#/components/schemas/Error"}
        answer = {"description": _ERRORS[code], "content": {"application/json": {"schema": of}}}
        if code == 429:  # noqa: PLR2004
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
        found[str(code)] = answer
    return found


def _object(optional: dict[str, Any] | None = None, **required: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


_ROWS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
_RESULT = _object(
    source={"type": "string", "description": "The image's name."},
    probability={**_NUMBER, "minimum": 0, "maximum": 1},
    status={"enum": ["ok", "missing", "unreadable", "unsupported", "too large"]},
    error={**_TEXT, "description": "Why it could not be scored."},
    width=_COUNT,
    height=_COUNT,
    format={**_TEXT, "description": "JPEG, PNG and so on, by the content."},
    optional={
        "heatmap": {
            "anyOf": [_ROWS, {"type": "null"}],
            "description": "What each part of the image adds to the logit of the probability.",
        },
        "overlay": {
            "anyOf": [_ROWS, {"type": "null"}],
            "description": "How strongly each part indicates a mask, from 0 to the probability: "
            "the heatmap, smoothed for display.",
        },
    },
)
_UNPROCESSABLE = {
    "description": "The body or the query is invalid; or the one image cannot be read: its result",
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Error", "Answer")]
            }
        }
    },
}
_LIMITS = {name: {"type": "integer"} for name in ("max_body", "max_images", "max_pixels")}
_SCHEMAS = {
    "Answer": _object(
        model={"type": "string", "description": "The model's id: same id, same file."},
        results={"type": "array", "items": {"$ref": "#/components/schemas/Result"}},
    ),
    "Result": _RESULT,
    "Model": _object(
        model={"type": "string"},
        name={"type": "string"},
        question={"type": "string"},
        heatmap={"type": "boolean"},
        limits=_object(**_LIMITS),
    ),
    "Health": _object(status={"const": "ok"}),
    "Error": _object(error={"type": "string", "description": "What is wrong, in a sentence."}),
}
