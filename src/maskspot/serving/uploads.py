"""The body of a request: read within limits, and the images that are in it.

A body is in memory whole, and never larger than its limit; so images are found by looking for the
boundaries, without a parser that writes files.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from email.message import Message
from email.parser import HeaderParser
from email.utils import collapse_rfc2231_value
from typing import Any

from maskspot.serving.limits import Limits, Refusal, Upload

Image = tuple[str, bytes]
"""A name, and the bytes of a file."""

FORM = "multipart/form-data"
JSON = "application/json"
_RAW = "application/octet-stream"
NAME = 1024
"""Characters of an image's name, at most."""

_HEAD = 8192  # bytes of a part's headers
_DIGITS = 20  # of a Content-Length: enough for any that is too large
_BOUNDARY = 200  # characters; RFC 2046 allows 70


class Gone(Exception):  # noqa: N818
    """The client went away before its request was whole."""


def content_type(header: str | None, encoding: str | None = None) -> Message:
    """Return what a body is, as its headers have it.

    Raises:
        Refusal: it is nothing that is understood.
    """
    kind = Message()
    kind["Content-Type"] = (header or "").encode("ascii", "replace").decode()
    name = kind.get_content_type() if header else "no Content-Type"
    if name not in (FORM, JSON, _RAW) and not name.startswith("image/"):
        raise Refusal(415, f"{name}: send {FORM}, {JSON}, {_RAW} or an image type")
    if encoding and encoding.strip().lower() != "identity":
        raise Refusal(415, "Content-Encoding: send the body as it is")
    return kind


async def read_body(
    receive: Callable[[], Awaitable[Any]], length: str | None, upload: Upload
) -> None:
    """Read a body piece by piece.

    Args:
        receive: gives ASGI's messages.
        length: what the client says it has, if it does; looked at, and not trusted.
        upload: where the pieces go.

    Raises:
        Refusal: it is too large, or too much is held.
        Gone: the client went away.
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


def is_one_image(kind: Message) -> bool:
    """Say whether a body is an image as it is."""
    return kind.get_content_type() not in (FORM, JSON)


def images_of(body: bytearray, kind: Message, limits: Limits) -> list[Image]:
    """Return the images of a body, in their order; that of forms and JSON may take long.

    Raises:
        Refusal: it is not what it says it is, or has none, or too many.
    """
    name = kind.get_content_type()
    if name == FORM:
        found = _from_form(body, kind)
    elif name == JSON:
        found = _from_json(body, limits)
    else:
        found = iter([("image-1", bytes(body))] if body else [])
    images: list[Image] = []
    for image in found:
        if len(images) == limits.max_images:
            raise Refusal(422, f"more images than the limit of {limits.max_images}")
        images.append(image)
    if not images:
        raise Refusal(422, "no image in the request")
    return images


def _from_form(body: bytearray, kind: Message) -> Iterator[Image]:
    for at, (head, content) in enumerate(_parts(body, kind), start=1):
        try:
            fields = HeaderParser().parsestr(head.decode("utf-8", "replace"))
            name = fields.get_param("name", header="content-disposition")
            filename = _filename(fields)
        except Exception:  # the parser raises whatever strange headers lead it to
            raise Refusal(422, f"multipart: part {at} has headers that are damaged") from None
        if name != "images":
            raise Refusal(422, f"multipart: part {at} is not a field named images")
        if filename is None:  # curl -F images=a.jpg, say, without its @
            raise Refusal(422, f"multipart: part {at} is text, and no file")
        yield filename[:NAME], content


def _filename(fields: Message) -> str | None:
    """Return the name of a part's file: `filename*`, where it has one (RFC 6266, 4.3)."""
    params = fields.get_params([], "content-disposition")
    given = [value for key, value in params if key.lower() == "filename"]
    extended = [value for value in given if isinstance(value, tuple)]
    for value in (*extended, *given):
        return collapse_rfc2231_value(value).strip()
    return None


def _parts(body: bytearray, kind: Message) -> Iterator[tuple[bytes, bytes]]:
    """Yield each part's headers and content (RFC 2046, 5.1)."""
    boundary = kind.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= _BOUNDARY:
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
        # An empty part's delimiter begins with the end of its headers.
        end = body.find(delimiter, head + 2) if head >= 0 else -1
        if end < 0 or body[at:line].strip(b" \t"):
            raise Refusal(422, "multipart: a part is damaged, or the last boundary is missing")
        yield bytes(body[line + 2 : head]), bytes(body[head + 4 : end])
        at = end + len(delimiter)


def _from_json(body: bytearray, limits: Limits) -> Iterator[Image]:
    # Base64 has none of these: more of them than images can need would be millions of small
    # objects, twenty times as large in memory as in the body.
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


def _named(image: object, at: int) -> Image:
    """Return an image of a JSON body."""
    if not isinstance(image, dict) or not {"data"} <= set(image) <= {"data", "source"}:
        raise Refusal(422, f'JSON: image {at} is not {{"data": base64, "source": name}}')
    source = image.get("source", f"image-{at}")
    if not isinstance(source, str) or len(source) > NAME:
        raise Refusal(422, f"JSON: image {at}: source is no text of up to {NAME} characters")
    try:
        return source, base64.b64decode(image["data"], validate=True)
    except (ValueError, TypeError):
        raise Refusal(422, f"JSON: image {at}: data is not base64") from None
