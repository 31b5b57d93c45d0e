"""Images at URLs, read through fsspec; secrets in URLs are never shown."""

import fnmatch
import re
import string
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from maskspot.errors import (
    DataError,
    DownloadError,
    ImageError,
    MissingExtraError,
    UsageError,
    fail,
)
from maskspot.inputs.archives import LARGEST, Member
from maskspot.inputs.folders import (
    HIDDEN,
    LINKED_FOLDER,
    NO_IMAGE,
    has_pattern,
    is_hidden,
    is_image,
    own_ending,
    path_key,
)
from maskspot.inputs.web_listings import LONGEST, links
from maskspot.proxies import check_certificates, proxy_for

_URL = re.compile(r"(?:[a-z0-9+.-]+::)*[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)
SCHEMES = (
    *("http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "hf"),
    *("ftp", "sftp", "ssh", "smb", "hdfs", "webhdfs", "file", "memory"),
)
"""URL schemes that images are read from. Others of fsspec may open local files or run code that a
URL refers to, in particular chains such as `reference::http://...`."""

ELSEWHERE = "linked in other folders"
"""Why an image that a page links to is left out."""

_USER = re.compile(r"(?<=://)[^/?#]*@")
_BLOCK = 2**18


def is_url(text: str) -> bool:
    """Return whether an argument is a URL rather than a path."""
    return _URL.match(text) is not None


def public(url: str) -> str:
    """Return a URL without user, password, query and fragment, so that it can be shown."""
    shown = re.split(r"[?#]", _USER.sub("", url))[0]
    scheme, _, rest = shown.partition("://")
    # An invalid port is part of a password with characters that should have been escaped.
    if "@" in url and not re.fullmatch(r"(\[.*\]|[^:]*)(:\d*)?", rest.partition("/")[0]):
        return f"{scheme}://..."
    return shown


def find(url: str, alone: bool, passed: Counter[str] | None = None) -> Iterator[Member]:
    """Yield the image at a URL, or the images that it lists, in natural order.

    A URL that ends in a slash stands for all images below it, and a pattern for those that match;
    on a web server these are only what that one page links to. The list is held in memory.

    Args:
        url: the URL.
        alone: name images by their path inside the folder, not by their URL.
        passed: counts, by reason, what is left out of a folder; not what a pattern leaves out.

    Raises:
        UsageError: a package for this kind of URL is missing.
        DownloadError: the URL cannot be listed.
        DataError: there is no image.
    """
    shown = public(url)
    try:
        system, path = _connect(url)
        found = _list(system, path, url, Counter() if passed is None else passed)
    except UsageError:
        raise
    except Exception as error:
        why = _why(error, url)
        if not _is_listing(url):
            yield shown, partial(fail, ImageError(why))
            return
        raise DownloadError(f"{shown}: cannot be listed ({why})") from None
    if found is None:
        yield shown, partial(_read, system, path, url)
        return
    folder, names = found
    if not names:
        raise DataError(f"{shown}: no images there; the URL of a folder must end in a slash")
    head = public(url if url.endswith("/") else url[: _cut(url)])
    inside = alone and not _has_pattern(url)
    for name in sorted(names, key=path_key):
        yield (
            public(name) if inside else head + public(name),
            partial(_read, system, folder + name, url),
        )


def _connect(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    shown = public(url)
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise UsageError(f"{scheme}://: not a supported kind of URL ({', '.join(SCHEMES)})")
    try:
        from fsspec import get_filesystem_class
    except ImportError:
        raise MissingExtraError(shown, "remote") from None
    try:
        if _WEB.match(url):  # unchanged, as it may be signed
            url = quote(url, safe=string.printable.strip())
        # Not by `url_to_fs`, which takes `::` anywhere for a chain, such as in http://[::1]/.
        kind = get_filesystem_class(scheme)
        system = kind(**(kind._get_kwargs_from_urls(url) | _web_options(url)))
        path = kind._strip_protocol(url)
    except ImportError as error:
        if _WEB.match(url):
            raise MissingExtraError(shown, "remote") from None
        raise UsageError(f"{shown}: {' '.join(str(error).split())}") from None
    return system, path


def _web_options(url: str) -> dict[str, Any]:
    """Return the options for requests to a web server: keep the URL as it is, and use the proxy.

    Raises:
        UsageError: an environment variable names an invalid proxy or invalid certificates.
    """
    if not _WEB.match(url):
        return {}
    check_certificates()
    proxy = proxy_for(url)
    return {"encoded": True} | ({"proxy": proxy} if proxy else {})


def _list(system: Any, path: str, url: str, passed: Counter[str]) -> tuple[str, list[str]] | None:
    """Return a folder and the images below it; None if the URL is that of one file."""
    if not _is_listing(url) or (_has_pattern(url) and not _WEB.match(url) and system.exists(path)):
        return None
    if _WEB.match(url):
        return _list_page(system, url, passed)
    if _has_pattern(url):
        folder, paths = path[: _cut(path)], system.glob(path)
        every = own_ending(path)
        passed = Counter()
    else:
        folder, paths, every = path.rstrip("/") + "/", system.find(path), False
    names = []
    for name in (each.removeprefix(folder) for each in paths):
        if every or (is_image(name) and not is_hidden(name)):
            names.append(name)
        else:
            passed[HIDDEN if is_hidden(name) else NO_IMAGE] += 1
    return folder, names


def _list_page(system: Any, url: str, passed: Counter[str]) -> tuple[str, list[str]]:
    """Return the images that a page links to; other links are not followed."""
    bare = re.split(r"[?#]", url)[0]
    folder, pattern = bare[: bare.rindex("/") + 1], bare[bare.rindex("/") + 1 :]
    if "*" in folder:
        raise UsageError(f"{public(url)}: in a web address only the last part may be a pattern")
    page, there = _page(system, folder + url[len(bare) :] * (not pattern))
    there = re.split(r"[?#]", there)[0]
    place = there[: there.rindex("/") + 1]
    every = own_ending(pattern)
    names = []
    for each in dict.fromkeys(links(page, there)):
        name = each.removeprefix(place)
        last = unquote(re.split(r"[?#]", name)[0])
        wanted = fnmatch.fnmatch(last, pattern or "*") and (every or is_image(last))
        if name != each and wanted and "/" not in last and not is_hidden(last):
            names.append(name)
        elif not pattern and (why := _why_left_out(last, name != each)):
            passed[why] += 1
    # A password in the URL is sent again, but only to the same server.
    same = urlsplit(_USER.sub("", folder)).netloc == urlsplit(place).netloc
    user = _USER.search(folder)
    place = place.replace("://", f"://{user[0]}", 1) if user and same else place
    return place, names


def _why_left_out(path: str, is_below: bool) -> str:
    """Return why a link of a page is left out; "" if it is none of those to count.

    Args:
        path: that it leads to, inside the folder of the page if it is there.
        is_below: whether it is there.
    """
    name = path.rstrip("/")
    if not is_below or "/" in name:
        return ELSEWHERE if is_image(name) else ""
    if is_hidden(name):
        return HIDDEN
    return LINKED_FOLDER if name != path else NO_IMAGE if name else ""


def _page(system: Any, url: str) -> tuple[str, str]:
    """Return a page, and the URL that it came from after redirections."""
    from fsspec.asyn import sync

    async def get() -> tuple[bytes, str, str]:
        session = await system.set_session()
        data = bytearray()
        async with session.get(system.encode_url(url), **system.kwargs) as response:
            response.raise_for_status()
            async for block in response.content.iter_chunked(_BLOCK):
                data += block
                if len(data) > LONGEST:
                    raise ValueError(f"the page has more than {LONGEST} bytes")
            return bytes(data), response.charset or "utf-8", str(response.url)

    data, charset, there = sync(system.loop, get)
    try:
        return data.decode(charset, "replace"), there
    except LookupError:  # unknown charset
        return data.decode("utf-8", "replace"), there


def _is_listing(url: str) -> bool:
    path = re.split(r"[?#]", url)[0] if _WEB.match(url) else url
    return path.endswith("/") or _has_pattern(url)


def _has_pattern(url: str) -> bool:
    # A web address may contain a question mark, and a host address in brackets.
    if _WEB.match(url):
        return "*" in re.split(r"[?#]", url)[0]
    return has_pattern(url)


def _cut(path: str) -> int:
    """Return the index after the last folder before the pattern."""
    first = re.search(r"[*?[]", path)
    return path.rindex("/", 0, first.start() if first else None) + 1


def _read(system: Any, path: str, url: str) -> bytes:
    try:
        if _WEB.match(path):  # streamed, as a server may send more than was requested
            # Without a block size and with a given size, this is a single request.
            with system.open(path, block_size=0, size=1) as stream:
                data = _join(iter(partial(stream.read, _BLOCK), b""))
        else:
            data = system.cat_file(path, start=0, end=LARGEST + 1)
    except FileNotFoundError:
        raise ImageError("no such file there", "missing") from None
    except Exception as error:
        # Without its cause, which may contain the URL.
        raise ImageError(_why(error, url)) from None
    if len(data) > LARGEST:
        raise ImageError(f"more than {LARGEST:,} bytes", "too large")
    return data


def _join(blocks: Iterator[bytes]) -> bytes:
    data = bytearray()
    for block in blocks:
        data += block
        if len(data) > LARGEST:
            break
    return bytes(data)


def _why(error: Exception, url: str) -> str:
    """Return an error's text, unless it contains a secret of the URL."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and status:
        return f"the server answered {status}"
    text = str(error)
    secret = {each for each in _secrets(url) if each}
    if any(each in text for each in secret):
        text = ""
    text = " ".join(re.sub(r"\S*://\S*", "", text).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _secrets(url: str) -> Iterator[str]:
    for user in _USER.findall(url):
        for part in (user[:-1], *user[:-1].split(":", 1)):
            yield from (part, unquote(part))
    try:
        query = urlsplit(url).query
    except ValueError:
        query = url.partition("?")[2]
    for part in (query, *re.split(r"[&=;]", query)):
        yield from (part, unquote(part))
