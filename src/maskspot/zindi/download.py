"""One file from the service: whole, checked, and never the same byte twice if it can be helped."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from maskspot.files import open_own, sync
from maskspot.zindi.http import Http, RetryError, Token, explain

Progress = Callable[[int, int | None], None]
"""Told the bytes that are there, and those of the whole file where the service says so."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_LONGEST_NOTE = 2**16  # bytes
_PAGES = ("application/json", "text/html", "application/problem+json")


def download(
    http: Http,
    path: str,
    target: Path,
    token: Token | None = None,
    progress: Progress = lambda done, total: None,
) -> None:
    """Download a file to `target`, going on where an earlier call was stopped.

    What has come so far is in `.NAME.part` beside the target, and which version of the file it
    is of in `.NAME.part.json`: so that parts of two versions are never joined. Both go when the
    file is whole.

    Args:
        http: the service.
        path: of the file, below the base URL.
        target: to make; its folder exists.
        token: to send along.
        progress: told how far it is, often.

    Raises:
        ServiceError: the service refuses, or no try got further.
        DataError: a link, or another thing that is no file, has the name of one of the parts.
        OSError: the file cannot be written.
    """
    part = _Part(target)
    http.patiently(lambda: _rest(http, path, part, token, progress), part.size)
    part.finish()


@dataclass(frozen=True)
class _Version:
    """What tells one version of a file from another; each may be unknown."""

    etag: str | None
    modified: str | None
    total: int | None

    @property
    def is_sound(self) -> bool:
        """Whether a note has what one of ours has: it may be a stranger's, or damaged."""
        tags = all(
            each is None or (isinstance(each, str) and each.isascii() and each.isprintable())
            for each in (self.etag, self.modified)
        )
        return tags and (self.total is None or (type(self.total) is int and self.total >= 0))

    @property
    def condition(self) -> str | None:
        """What If-Range may hold: a strong validator (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class _Part:
    """What has come of a file so far."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.file = target.with_name(f".{target.name}.part")
        self.note = target.with_name(f".{target.name}.part.json")

    def size(self) -> int:
        """Return the bytes that are there."""
        try:
            with open_own(self.file, create=False) as stream:
                return stream.seek(0, os.SEEK_END)
        except FileNotFoundError:
            return 0

    def version(self) -> _Version | None:
        """Return of which version the bytes are; None where they cannot be used."""
        try:
            with open_own(self.note, create=False) as stream:
                stream.seek(0)
                version = _Version(**json.loads(stream.read(_LONGEST_NOTE)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return version if version.is_sound else None

    def begin(self, version: _Version) -> None:
        """Drop what is there, and start on a version."""
        self.file.unlink(missing_ok=True)
        # Not by a name beside, which a kill would leave: half a note is no note.
        with open_own(self.note) as stream:
            stream.truncate(0)
            stream.seek(0)
            stream.write(json.dumps(version.__dict__).encode())

    def finish(self) -> None:
        """Make it the file."""
        self.file.replace(self.target)
        self.note.unlink(missing_ok=True)


def _rest(http: Http, path: str, part: _Part, token: Token | None, progress: Progress) -> None:
    """Fetch what is missing of a file in one request.

    Raises:
        RetryError: it broke off; what came is kept.
    """
    version, have = part.version(), part.size()
    headers = {"Accept-Encoding": "identity"}
    if version and have:
        if have == version.total:
            return
        headers["Range"] = f"bytes={have}-"
        if version.condition:
            headers["If-Range"] = version.condition
    with http.stream("GET", http.base_url + path, token, headers) as response:
        total = _open(response, part, version, have)
        _append(response, part, total, progress)


def _open(response: httpx.Response, part: _Part, version: _Version | None, have: int) -> int | None:
    """Make the part ready for a response's body, and return the whole file's size if known."""
    if response.status_code == 416:  # noqa: PLR2004
        part.begin(_Version(None, None, None))
        raise RetryError(f"{response.url.host}: has no such range of the file")
    if response.headers.get("content-type", "").split(";")[0].strip().lower() in _PAGES:
        raise explain(response)
    headers = response.headers
    etag, modified = headers.get("etag"), headers.get("last-modified")
    if response.status_code != 206:  # noqa: PLR2004
        length = headers.get("content-length")
        total = int(length) if length and length.isdecimal() else None
        part.begin(_Version(etag, modified, total))
        return total
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    said = (int(found[1]), None if found[3] == "*" else int(found[3])) if found else (None, None)
    new = _Version(etag, modified, said[1])
    if not version or said[0] != have or _differ(new, version):
        part.begin(_Version(None, None, None))
        raise RetryError(f"{response.url.host}: the file has changed, or another range came")
    return version.total


def _differ(new: _Version, old: _Version) -> bool:
    pairs = ((getattr(new, name), getattr(old, name)) for name in ("etag", "modified", "total"))
    return any(a is not None and b is not None and a != b for a, b in pairs)


def _append(response: httpx.Response, part: _Part, total: int | None, progress: Progress) -> None:
    with open_own(part.file) as stream:
        have = stream.seek(0, os.SEEK_END)
        for chunk in response.iter_raw():  # a size would hold back what came before a cut
            have += len(chunk)
            if total is not None and have > total:
                break
            stream.write(chunk)
            stream.flush()
            progress(have, total)
        sync(stream.fileno())
    if total is not None and have > total:
        part.begin(_Version(None, None, None))
        raise RetryError(f"{response.url.host}: sends more than it announced")
    if total is not None and have < total:
        raise RetryError(f"{response.url.host}: sent {have} of {total} bytes")
