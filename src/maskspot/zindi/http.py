"""Requests to the service: repeated where that may help, and without revealing tokens."""

import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import sleep
from typing import Any

import httpx

from maskspot._version import __version__
from maskspot.errors import ServiceError, UsageError
from maskspot.proxies import check_certificates, proxy_for
from maskspot.zindi.answers import RetryError, answer, refuse

ATTEMPTS = 6
"""Attempts at one request, or at a download that gets no further, before giving up."""

LONGEST_WAIT = 60.0
"""Seconds to wait before another attempt, at most, whatever the service asks for."""

# Clients of the service send a browser-like one.
_AGENT = f"Mozilla/5.0 (compatible; maskspot/{__version__})"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
_LOCAL = ("localhost", "127.0.0.1", "::1")


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
                return answer(response)

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
        """Yield a response whose body is not read yet, following up to five redirections.

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
                    refuse(response)
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
