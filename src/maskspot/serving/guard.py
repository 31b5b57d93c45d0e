"""Who may ask: the token, and no web page of another site.

A server on loopback is within reach of every page that its user's browser opens. Such a page must
not use it: not across sites (the browser says where a request comes from), and not under a name of
its own that it lets point to 127.0.0.1 (DNS rebinding: then the Host is that name).
"""

import hmac
import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from maskspot.errors import UsageError
from maskspot.serving.limits import Refusal

VARIABLE = "MASKSPOT_SERVE_TOKEN"
"""The environment variable that may hold the token."""

_SHORTEST = 16
_OPEN = ("/", "/docs", "/openapi.json", "/healthz")


@dataclass(frozen=True)
class Guard:
    """Decides who is answered.

    Attributes:
        token: that clients must know; None lets all in.
        hosts: names that the server goes by, besides addresses and localhost.
    """

    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = frozenset()

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Let a request pass.

        Raises:
            Refusal: it must not.
        """
        if self.token is None:
            self._check_host(headers.get("host"))
        if method not in ("GET", "HEAD"):
            _check_site(headers)
        if path not in _OPEN:
            self._check_token(headers.get("authorization", ""))

    def _check_host(self, host: str | None) -> None:
        if host is None:  # no browser leaves it out
            return
        name = _name(host)
        if name is None or not (name == "localhost" or name in self.hosts or is_address(name)):
            raise Refusal(
                403, "the Host header does not name this server; allow-host can add names"
            )

    def _check_token(self, header: str) -> None:
        if self.token is None:
            return
        kind, _, given = header.partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self.token.encode())
        if kind.lower() != "bearer" or not right:
            raise Refusal(
                401, "send the token: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )


def _check_site(headers: Mapping[str, str]) -> None:
    """Refuse what a browser sends on behalf of another site's page."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and origin.partition("//")[2] != headers.get("host")
    if foreign:
        raise Refusal(403, "pages of other sites may not use this server")


def _name(host: str) -> str | None:
    """Return a Host without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def is_address(name: str) -> bool:
    """Say whether a host is an IP address, and no name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def find_token(file: Path | None) -> str | None:
    """Return the token of a file, else of the environment, else None.

    Raises:
        UsageError: the file cannot be read, or what was found is no token; never says what it is.
    """
    where = f"{file}" if file else VARIABLE
    try:
        content = file.read_bytes()[:10_000] if file else os.environ.get(VARIABLE, "").encode()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", argument="token_file") from None
    token = content.decode("ascii", "replace").strip()
    if not token and not file:
        return None
    if len(token) < _SHORTEST or not (token.isascii() and token.isprintable()) or " " in token:
        text = f"a token must be {_SHORTEST} or more letters, digits and signs"
        raise UsageError(f"{where}: {text}", argument="token_file" if file else None)
    return token


def known_hosts(names: Iterable[str]) -> frozenset[str]:
    """Return names as a Host has them."""
    return frozenset(name.lower().strip() for name in names)
