"""Access control: the token, and no requests by web pages of other sites.

Every page that a user's browser opens can reach a server on loopback. Such a page must not be able
to use it, neither across sites (the browser says where a request comes from) nor under a name of
its own that resolves to 127.0.0.1 (DNS rebinding, where the Host header is that name).
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
    """Decides which requests are answered.

    Attributes:
        token: the token that clients must send; None if they need none.
        hosts: names of the server, besides addresses and localhost.
    """

    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = frozenset()

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Check a request.

        Raises:
            Refusal: it has no access.
        """
        if self.token is None:
            self._check_host(headers.get("host"))
        if method not in ("GET", "HEAD"):
            _check_site(headers)
        if path not in _OPEN:
            self._check_token(headers.get("authorization", ""))

    def _check_host(self, host: str | None) -> None:
        if host is None:  # all browsers send it
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
    """Refuse requests that a browser sends on behalf of another site's page."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and origin.partition("//")[2] != headers.get("host")
    if foreign:
        raise Refusal(403, "pages of other sites may not use this server")


def _name(host: str) -> str | None:
    """Return the name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def is_address(name: str) -> bool:
    """Return whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def find_token(file: Path | None) -> str | None:
    """Return the token from a file, else from the environment, else None.

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
    """Return names in the form in which they are compared with the Host header."""
    return frozenset(name.lower().strip() for name in names)
