"""Download of one file from the service, which continues after an interruption."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import httpx

from maskspot.files import open_own, sync
from maskspot.progress import SILENT, Progress, Step
from maskspot.zindi.answers import RetryError, explain
from maskspot.zindi.http import Http, Token

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_LONGEST_NOTE = 2**16  # bytes
_PAGES = ("application/json", "text/html", "application/problem+json")


def download(
    http: Http,
    path: str,
    target: Path,
    token: Token | None = None,
    progress: Progress = SILENT,
) -> None:
    """Download a file, and continue where an earlier call was stopped.

    The bytes received so far are in `.NAME.part` beside the target, and the version of the file
    that they belong to in `.NAME.part.json`, so that parts of two versions are never joined.
    Both are removed once the file is complete.

    Args:
        http: the service.
        path: path of the file below the base URL.
        target: the file to make; its folder exists.
        token: sent with the request.
        progress: told how many bytes were received.

    Raises:
        ServiceError: the service refuses, or no attempt got further.
        DataError: a link or a special file has the name of one of the parts.
        OSError: the file cannot be written.
    """
    part = _Part(target)
    with progress.step(target.name, "bytes") as step:
        http.patiently(lambda: _rest(http, path, part, token, step), part.size)
    part.finish()


@dataclass(frozen=True)
class _Version:
    """What distinguishes versions of a file; each value may be unknown."""

    etag: str | None
    modified: str | None
    total: int | None

    @property
    def is_sound(self) -> bool:
        """Whether the values are valid: the file that they are read from may be damaged."""
        tags = all(
            each is None or (isinstance(each, str) and each.isascii() and each.isprintable())
            for each in (self.etag, self.modified)
        )
        return tags and (self.total is None or (type(self.total) is int and self.total >= 0))

    @property
    def condition(self) -> str | None:
        """Value for If-Range, which must be a strong validator (RFC 9110, 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class _Part:
    """The part of a file that was received so far."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.file = target.with_name(f".{target.name}.part")
        self.note = target.with_name(f".{target.name}.part.json")

    def size(self) -> int:
        """Return the number of bytes received."""
        try:
            with open_own(self.file, create=False) as stream:
                return stream.seek(0, os.SEEK_END)
        except FileNotFoundError:
            return 0

    def version(self) -> _Version | None:
        """Return the version that the bytes belong to; None if they cannot be used."""
        try:
            with open_own(self.note, create=False) as stream:
                stream.seek(0)
                version = _Version(**json.loads(stream.read(_LONGEST_NOTE)))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return version if version.is_sound else None

    def begin(self, version: _Version) -> None:
        """Drop the bytes received, and start on a version."""
        self.file.unlink(missing_ok=True)
        # Written in place: half a note is recognised as invalid, but a temporary file would stay.
        with open_own(self.note) as stream:
            stream.truncate(0)
            stream.seek(0)
            stream.write(json.dumps(version.__dict__).encode())

    def finish(self) -> None:
        """Rename the part to the target."""
        self.file.replace(self.target)
        self.note.unlink(missing_ok=True)


def _rest(http: Http, path: str, part: _Part, token: Token | None, step: Step) -> None:
    """Request the missing bytes of a file once.

    Raises:
        RetryError: the connection broke; the bytes received are kept.
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
        _append(response, part, total, step)


def _open(response: httpx.Response, part: _Part, version: _Version | None, have: int) -> int | None:
    """Prepare the part for the body of a response; return the size of the whole file if known."""
    if response.status_code == 416:  # noqa: PLR2004
        part.begin(_Version(None, None, None))
        raise RetryError(f"{response.url.host}: the file lacks this range")
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
        raise RetryError(f"{response.url.host}: the file has changed, or another range was sent")
    return version.total


def _differ(new: _Version, old: _Version) -> bool:
    pairs = ((getattr(new, name), getattr(old, name)) for name in ("etag", "modified", "total"))
    return any(a is not None and b is not None and a != b for a, b in pairs)


def _append(response: httpx.Response, part: _Part, total: int | None, step: Step) -> None:
    with open_own(part.file) as stream:
        have = stream.seek(0, os.SEEK_END)
        for chunk in response.iter_raw():  # a chunk size would hold back bytes before a cut
            have += len(chunk)
            if total is not None and have > total:
                break
            stream.write(chunk)
            stream.flush()
            step.update(have, total)
        sync(stream.fileno())
    if total is not None and have > total:
        part.begin(_Version(None, None, None))
        raise RetryError(f"{response.url.host}: sent more bytes than announced")
    if total is not None and have < total:
        raise RetryError(f"{response.url.host}: sent {have} of {total} bytes")
