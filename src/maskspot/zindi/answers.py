"""What the answers of the service mean: JSON in a wrapping, errors of many forms, statuses."""

from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import httpx

from maskspot.errors import ServiceError

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of failures that may be temporary (RFC 9110, 6585 and 8470)."""

_LARGEST_ANSWER = 16 << 20  # bytes


class RetryError(Exception):
    """An attempt failed, and another one may succeed.

    Attributes:
        wait: seconds that the service asks to wait.
        unheard: whether the service cannot have acted on the request.
    """

    def __init__(self, reason: str, wait: float | None = None, unheard: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.unheard = wait, unheard


def refuse(response: httpx.Response) -> None:
    """Raise the error that a status other than success means.

    Raises:
        RetryError: another attempt may succeed.
        ServiceError: the service refuses.
    """
    status, host = response.status_code, response.url.host
    if status in RETRIED:
        wait = _asked_wait(response.headers.get("retry-after"))
        raise RetryError(f"{host}: answers {status}", wait, unheard=status in {429, 503})
    if status == 401:  # noqa: PLR2004
        raise ServiceError(
            f"{host}: does not accept the token; set MASKSPOT_ZINDI_TOKEN or `token_file` to a "
            "valid one, or sign in again with `user`"
        )
    if response.is_success or status == 416:  # noqa: PLR2004  (an invalid range, which downloads handle)
        return
    errors = _errors(_json(response)) or response.reason_phrase
    raise ServiceError(f"{host}: answers {status} ({_line(errors)})")


def answer(response: httpx.Response) -> Any:
    """Return a response's JSON without its wrapping; errors may have a status of success.

    Raises:
        RetryError: the answer is not JSON.
        ServiceError: the answer is an error.
    """
    value = _json(response)
    host = response.url.host
    if value is None:
        raise RetryError(f"{host}: the answer is not JSON")
    if errors := _errors(value):
        raise ServiceError(f"{host}: {_line(errors)}")
    return value["data"] if isinstance(value, dict) and "data" in value else value


def _json(response: httpx.Response) -> Any:
    """Return a response's JSON; None if its body is not JSON."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _LARGEST_ANSWER:
            return None
    try:
        return httpx.Response(200, content=body).json()
    except (ValueError, RecursionError):
        return None


def _errors(value: Any) -> str:
    """Return the errors in an answer as text: a string, a list, or a dict of message or base."""
    data = value.get("data", value) if isinstance(value, dict) else None
    errors = data.get("errors") if isinstance(data, dict) else None
    if isinstance(errors, dict):
        errors = errors.get("message") or errors.get("base") or list(errors.values())
    if isinstance(errors, list):
        errors = "; ".join(map(str, errors))
    return str(errors) if errors else ""


def explain(response: httpx.Response) -> ServiceError | RetryError:
    """Return the error for a response that is a page or an answer instead of a file."""
    host = response.url.host
    if errors := _errors(_json(response)):
        return ServiceError(f"{host}: {_line(errors)}")
    return RetryError(f"{host}: sent a page instead of the file")


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def _asked_wait(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or a date."""
    if text is None:
        return None
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(text).timestamp() - time(), 0.0)
    except ValueError:
        return None
