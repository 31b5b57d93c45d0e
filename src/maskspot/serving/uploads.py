"""The body of a request: read within limits, and split into its images.

The whole body is in memory and within its limit, so the parts of a form are found by searching for
their boundaries; no parser that writes files is needed.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from maskspot.serving.headers import (
    HeaderError,
    HeaderValue,
    decode_extended,
    parse_headers,
    parse_value,
)
from maskspot.serving.limits import Refusal, RequestLimits, Upload

NamedBytes = tuple[str, bytes]
"""The name of an image, and the bytes of its file."""

FORM = "multipart/form-data"
JSON = "application/json"
_RAW = "application/octet-stream"
NAME = 1024
"""Characters of an image's name, at most."""

_HEAD = 8192  # bytes of a part's headers
_DIGITS = 20  # of a Content-Length: enough for any that is too large
_BOUNDARY = 200  # characters; RFC 2046 allows 70
_SHOWN = 100  # characters of a client's Content-Type in an answer


class Gone(Exception):  # noqa: N818
    """The client disconnected before its request was answered."""


def content_type(header: str | None, encoding: str | None = None) -> HeaderValue:
    """Return the type of a body.

    Args:
        header: the request's Content-Type.
        encoding: its Content-Encoding.

    Raises:
        Refusal: the type or the encoding is not supported.
    """
    try:
        kind = parse_value(header or "")
    except HeaderError as error:
        raise Refusal(415, f"Content-Type: {error}") from None
    name = kind.value
    if name not in (FORM, JSON, _RAW) and not name.startswith("image/"):
        given = ascii(name[:_SHOWN])[1:-1] if name else "no Content-Type"
        raise Refusal(415, f"{given}: send {FORM}, {JSON}, {_RAW} or an image type")
    if encoding and encoding.strip().lower() != "identity":
        raise Refusal(415, "Content-Encoding: send the body without an encoding")
    return kind


async def read_body(
    receive: Callable[[], Awaitable[Any]], length: str | None, upload: Upload
) -> None:
    """Read a body piece by piece.

    Args:
        receive: returns ASGI's messages.
        length: the request's Content-Length, if any; it may be wrong.
        upload: receives the pieces.

    Raises:
        Refusal: the body is too large, or all bodies together are.
        Gone: the client disconnected.
    """
    if length and length.isdecimal():
        upload.check(int(length[:_DIGITS]))
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        upload.add(message.get("body", b""))
        more = message.get("more_body", False)


def is_one_image(kind: HeaderValue) -> bool:
    """Return whether a body is the file of one image, not a form or JSON."""
    return kind.value not in (FORM, JSON)


def images_of(body: bytearray, kind: HeaderValue, limits: RequestLimits) -> list[NamedBytes]:
    """Return the images of a body in their order.

    Args:
        body: the whole body.
        kind: its type.
        limits: on the request.

    Raises:
        Refusal: the body is not of its type, or has no image or too many.
    """
    if kind.value == FORM:
        found = _from_form(body, kind)
    elif kind.value == JSON:
        found = _from_json(body, limits)
    else:
        found = iter([("image-1", bytes(body))] if body else [])
    images: list[NamedBytes] = []
    for image in found:
        if len(images) == limits.max_images:
            raise Refusal(422, f"more images than the limit of {limits.max_images}")
        images.append(image)
    if not images:
        raise Refusal(422, "no image in the request")
    return images


def _from_form(body: bytearray, kind: HeaderValue) -> Iterator[NamedBytes]:
    for at, (head, content) in enumerate(_parts(body, kind), start=1):
        try:
            header = parse_headers(head).get("content-disposition", "")
            parameters = parse_value(header).parameters
            filename = _filename(parameters)
        except HeaderError as error:
            raise Refusal(422, f"multipart: part {at} has a damaged header: {error}") from None
        if parameters.get("name") != "images":
            raise Refusal(422, f"multipart: part {at} is not a field named images")
        if filename is None:  # curl -F images=a.jpg, say, without its @
            raise Refusal(422, f"multipart: part {at} is text, not a file")
        yield filename[:NAME], content


def _filename(parameters: Mapping[str, str]) -> str | None:
    """Return the name of a part's file: `filename*` if there is one (RFC 6266, 4.3)."""
    extended = parameters.get("filename*")
    if extended is not None:
        return decode_extended(extended).strip()
    plain = parameters.get("filename")
    return None if plain is None else plain.strip()


def _parts(body: bytearray, kind: HeaderValue) -> Iterator[tuple[bytes, bytes]]:
    """Yield each part's headers and content (RFC 2046, 5.1)."""
    boundary = kind.parameters.get("boundary", "")
    if not 0 < len(boundary) <= _BOUNDARY:
        raise Refusal(422, "multipart: the Content-Type has no boundary")
    first = b"--" + boundary.encode("ascii", "replace")
    delimiter = b"\r\n" + first
    at = 0 if body.startswith(first) else body.find(delimiter) + 2  # after a preamble, if any
    if at == 1:
        raise Refusal(422, "multipart: the boundary is not in the body")
    at += len(first)
    while body[at : at + 2] != b"--":
        line = body.find(b"\r\n", at, at + _HEAD)
        head = body.find(b"\r\n\r\n", line, line + _HEAD) if line >= 0 else -1
        # The delimiter after an empty part begins with the end of its headers.
        end = body.find(delimiter, head + 2) if head >= 0 else -1
        if end < 0 or body[at:line].strip(b" \t"):
            raise Refusal(422, "multipart: a part is damaged, or the last boundary is missing")
        yield bytes(body[line + 2 : head]), bytes(body[head + 4 : end])
        at = end + len(delimiter)


def _from_json(body: bytearray, limits: RequestLimits) -> Iterator[NamedBytes]:
    # Base64 has none of these characters. A body with more of them than its images can need would
    # become millions of small objects that take twenty times the memory of the body.
    if sum(body.count(each) for each in b",[{:") > 1000 + 100 * limits.max_images:
        raise Refusal(422, "JSON: more values than the images can need")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(422, "JSON: the body is not valid JSON") from None
    images = value.get("images") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(images, list):
        raise Refusal(422, 'JSON: not of the form {"images": [{"data": "...", "source": "..."}]}')
    for at, image in enumerate(images, start=1):
        yield _named(image, at)


def _named(image: object, at: int) -> NamedBytes:
    """Return an image of a JSON body."""
    if not isinstance(image, dict) or not {"data"} <= set(image) <= {"data", "source"}:
        raise Refusal(422, f'JSON: image {at} is not {{"data": base64, "source": name}}')
    source = image.get("source", f"image-{at}")
    if not isinstance(source, str) or len(source) > NAME:
        raise Refusal(422, f"JSON: image {at}: source must be a text of up to {NAME} characters")
    try:
        return source, base64.b64decode(image["data"], validate=True)
    except (ValueError, TypeError):
        raise Refusal(422, f"JSON: image {at}: data is not base64") from None
