"""Requests to the service: repeated where that may help, and without revealing tokens."""

import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import sleep, time
from typing import Any

import httpx

from maskspot._version import __version__
from maskspot.errors import ServiceError, UsageError
from maskspot.proxies import check_certificates, proxy_for

ATTEMPTS = 6
"""Attempts at one request, or at a download that gets no further, before giving up."""

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of failures that may be temporary (RFC 9110, 6585 and 8470)."""

LONGEST_WAIT = 60.0
"""Seconds to wait before another attempt, at most, whatever the service asks for."""

# Clients of the service send a browser-like one.
_AGENT = f"Mozilla/5.0 (compatible; maskspot/{__version__})"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_LARGEST_ANSWER = 16 << 20


class _Redact(logging.Filter):
    """Removes tokens from the lines that httpx logs about each request."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = re.sub(r"(auth_token=)[^\s&\"']+", r"\1…", record.getMessage())
        record.args = ()
        return True


logging.getLogger("httpx").addFilter(_Redact())


@dataclass(frozen=True)
class Token:
    """A token of the service, whose value is never shown.

    Raises:
        UsageError: the value is invalid; the message does not repeat it.
    """

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.value):
            raise UsageError("not a token, which is letters and digits on one line, without quotes")


class RetryError(Exception):
    """An attempt failed, and another one may succeed.

    Attributes:
        wait: seconds that the service asks to wait.
        unheard: whether the service cannot have acted on the request.
    """

    def __init__(self, reason: str, wait: float | None = None, unheard: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.unheard = wait, unheard


class UnsureError(ServiceError):
    """An attempt failed after something was sent that must not be sent twice."""


class _Transport(httpx.BaseTransport):
    """Sends each request through the proxy that the environment names for it.

    With invalid settings, httpx's own support for proxies raises exceptions of many kinds.
    """

    def __init__(self) -> None:
        check_certificates()
        self._context = httpx.create_ssl_context()
        self._by_proxy: dict[str | None, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        proxy = proxy_for(str(request.url), socks=True)
        if proxy not in self._by_proxy:
            self._by_proxy[proxy] = httpx.HTTPTransport(
                verify=self._context, proxy=proxy, trust_env=False
            )
        return self._by_proxy[proxy].handle_request(request)

    def close(self) -> None:
        for each in self._by_proxy.values():
            each.close()


class Http:
    """A connection to the service at a base URL.

    Attributes:
        base_url: the URL, without a slash at its end.
    """

    def __init__(self, base_url: str, timeout: float = 30.0) -> None:
        """Connect to nothing yet.

        Args:
            base_url: https, or http to this machine.
            timeout: seconds without a byte after which an attempt has failed.

        Raises:
            UsageError: the URL is invalid, or would send tokens unencrypted.
        """
        self.base_url = base_url.rstrip("/")
        try:
            url = httpx.URL(self.base_url)
        except httpx.InvalidURL:
            raise UsageError("not a URL", argument="url") from None
        if url.userinfo or url.query or not url.host:
            raise UsageError("must be scheme, host and path, without user or query", argument="url")
        if url.scheme != "https" and not (url.scheme == "http" and url.host in _LOCAL):
            raise UsageError(f"{url.scheme}://{url.host} is not https", argument="url")
        self._client = httpx.Client(
            headers={"User-Agent": _AGENT},
            timeout=httpx.Timeout(timeout, connect=10.0),
            transport=_Transport(),
        )
        self._random = random.Random()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(
        self, method: str, path: str, token: Token | None = None, once: bool = False, **options: Any
    ) -> Any:
        """Return the answer of the service: its JSON, without the wrapping.

        Args:
            method: the HTTP method.
            path: path below the base URL.
            token: sent with the request.
            once: repeat the request only if the service cannot have acted on it.
            options: arguments of `httpx.Client.request`.

        Raises:
            ServiceError: it cannot be reached, refuses, or its answer is invalid.
            UnsureError: with `once`, the service may have acted on a request that failed.
        """

        def attempt() -> Any:
            with self.stream(method, self.base_url + path, token, **options) as response:
                return _answer(response)

        def attempt_once() -> Any:
            try:
                return attempt()
            except RetryError as failed:
                raise (failed if failed.unheard else UnsureError(str(failed))) from None

        return self.patiently(attempt_once if once else attempt)

    def patiently(self, action: Callable[[], Any], reached: Callable[[], int] | None = None) -> Any:
        """Return what an action returns, repeating it after each `RetryError`, later each time.

        Args:
            action: called once or more.
            reached: returns how far the action has got; attempts that get further are not
                counted.

        Raises:
            ServiceError: every attempt failed.
        """
        tries, furthest = 0, reached() if reached else 0
        while True:
            try:
                return action()
            except RetryError as failed:
                now = reached() if reached else 0
                if now > furthest:
                    tries, furthest = 0, now
                tries += 1
                if tries == ATTEMPTS:
                    raise ServiceError(f"{failed}; tried {ATTEMPTS} times") from None
                # Exponential backoff with full jitter, so that clients do not return in step.
                wait = self._random.uniform(0, min(0.5 * 2**tries, LONGEST_WAIT))
                sleep(wait if failed.wait is None else min(failed.wait, LONGEST_WAIT))

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Iterator[httpx.Response]:
        """Give a response whose body is not read yet, following up to five redirections.

        A token is sent to the service only, never to another host that it redirects to.

        Raises:
            RetryError: another attempt may succeed.
            ServiceError: the service refuses.
        """
        target = httpx.URL(url)
        for _ in range(6):
            ours = (target.scheme, target.netloc) == (
                httpx.URL(self.base_url).scheme,
                httpx.URL(self.base_url).netloc,
            )
            secret = {"auth-token": token.value} if token and ours else {}
            with (
                _explained(target),
                self._client.stream(
                    method, target, headers={**secret, **(headers or {})}, **options
                ) as response,
            ):
                if not response.has_redirect_location or method != "GET":
                    _refuse(response)
                    yield response
                    return
                target = target.join(response.headers["location"])
                if target.scheme != "https" and target.host not in _LOCAL:
                    raise ServiceError(f"{target.host}: redirected to a URL without https")
        raise ServiceError(f"{target.host}: too many redirections")


@contextmanager
def _explained(url: httpx.URL) -> Iterator[None]:
    """Turn errors of httpx into our own, as its messages may contain URLs with tokens."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
        through = " through the proxy that is set" if proxy_for(str(url), socks=True) else ""
        raise RetryError(f"{url.host}: cannot be reached{through}", unheard=True) from None
    except httpx.ProxyError as error:
        raise ServiceError(f"{url.host}: the proxy that is set refuses ({error})") from None
    except httpx.TransportError as error:
        raise RetryError(f"{url.host}: the connection broke ({type(error).__name__})") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise ServiceError(f"{url.host}: {type(error).__name__}") from None


def _refuse(response: httpx.Response) -> None:
    """Raise the error that a status other than success means."""
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


def _answer(response: httpx.Response) -> Any:
    """Return a response's JSON without its wrapping; errors may have a status of success."""
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
