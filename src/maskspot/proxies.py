"""The proxies and certificates that the environment names, read as other programs do."""

import ipaddress
import os
import re
import ssl
from importlib.util import find_spec
from urllib.parse import urlsplit

from maskspot.errors import UsageError

_PORTS = {"http": 80, "https": 443}
_SOCKS = {"socks": "socks5", "socks5": "socks5", "socks5h": "socks5h"}


def proxy_for(url: str, socks: bool = False) -> str | None:
    """Return the URL of the proxy for a request, or None for a direct connection.

    `https_proxy`, `http_proxy` and `all_proxy` are read in lower and upper case; their values may
    lack a scheme. If they are not set, the settings of Windows or macOS are used. For `no_proxy`
    see `is_exempt`.

    Args:
        url: the URL of the request.
        socks: whether the caller supports SOCKS proxies, through the package socksio.

    Raises:
        UsageError: the variable does not name a supported proxy.
    """
    from urllib.request import getproxies

    proxies = getproxies()
    try:
        target = urlsplit(url)
        scheme = target.scheme.lower()
        port = target.port or _PORTS.get(scheme)
    except ValueError:  # reported by whoever sends the request
        return None
    kind = next((each for each in (scheme, "all") if proxies.get(each)), None)
    if kind is None or is_exempt(target.hostname or "", port, proxies.get("no", "")):
        return None
    name = f"{kind}_proxy"
    variable = next((each for each in (name, name.upper()) if os.environ.get(each)), name)
    return _usable(proxies[kind].strip(), variable, socks)


def is_exempt(host: str, port: int | None, exceptions: str) -> bool:
    """Return whether `no_proxy` exempts a host.

    Args:
        host: a name or an address; IPv6 addresses have no brackets.
        port: the port of the request.
        exceptions: host names, which include their subdomains, with or without a leading `.` or
            `*.`; addresses, with or without brackets; networks such as `10.0.0.0/8`; each with or
            without a port; or `*` for all hosts; separated by commas or spaces.
    """
    host = host.lower().rstrip(".")
    return any(_fits(each, host, port) for each in re.split(r"[,\s]+", exceptions.lower()) if each)


def check_certificates() -> None:
    """Check that the certificates that the environment names exist.

    Raises:
        UsageError: they do not; the message names the variable.
    """
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        try:
            ssl.create_default_context(cafile=file)
        except ssl.SSLError:
            raise _bad_certificates("SSL_CERT_FILE", f"{file}: no certificates in it") from None
        except OSError as error:
            raise _bad_certificates("SSL_CERT_FILE", f"{file}: {error.strerror}") from None
    if folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
        raise _bad_certificates("SSL_CERT_DIR", f"{folders}: no such folder")


def _bad_certificates(variable: str, why: str) -> UsageError:
    return UsageError(f"{variable}: {why}; correct or unset this variable")


def _usable(proxy: str, variable: str, socks: bool) -> str:
    """Return a proxy's URL; errors do not show it, as it may contain a password."""
    scheme, _, rest = proxy.rpartition("://")
    scheme = scheme.lower() or "http"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if scheme in _SOCKS:
        if not socks:
            raise UsageError(f"{variable}: a SOCKS proxy cannot be used here; name an HTTP proxy")
        if find_spec("socksio") is None:
            raise UsageError(f"{variable}: a SOCKS proxy needs more packages: pip install socksio")
        scheme = _SOCKS[scheme]
    elif scheme not in _PORTS:
        raise UsageError(f"{variable}: {scheme}:// is not a kind of proxy; name an HTTP proxy")
    if not sound:
        raise UsageError(f"{variable}: not the address of a proxy, such as http://host:8080")
    return f"{scheme}://{rest}"


def _fits(exception: str, host: str, port: int | None) -> bool:
    if exception == "*":
        return True
    with_port = re.fullmatch(r"(\[.*\]|[^:]*):(\d+)", exception)
    if with_port and int(with_port[2]) != port:
        return False
    name = re.sub(r"[\[\]]", "", with_port[1] if with_port else exception)
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False
