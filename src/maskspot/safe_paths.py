"""Turns untrusted names into paths below a folder."""

import os
import re
import stat
import unicodedata
from hashlib import sha256
from pathlib import Path
from threading import Lock

from maskspot.errors import DataError

LONGEST_PART, LONGEST_PATH, DEEPEST = 255, 1024, 32
"""Largest size of a name and of a path below the folder, in bytes, and number of its parts."""

UNFIT = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that are not allowed in file names."""

_UNFIT = re.compile(f'{UNFIT.pattern}|[<>:"|?*]')  # Windows refuses more
_ROOT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")  # a drive, or the scheme of a URL
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])(?=\.|$)", re.I)
_DIGITS = 12  # of the hash that distinguishes names


class PathsBelow:
    """Makes paths for names: never outside of the folder, and never the same path twice.

    A valid name is kept. In any other name, invalid parts are replaced and a hash of the whole
    name is added, so that its path does not depend on earlier names. A name that comes twice, or
    that some file system does not distinguish from another, gets a hash too.
    """

    def __init__(self, folder: Path, ending: str) -> None:
        """Start without names.

        Args:
            folder: the folder, which need not exist.
            ending: ending of all files, such as `.jpg`.
        """
        self.folder, self.ending = folder, ending
        self._lock = Lock()
        # Hashes of names, which take less memory than the names.
        self._files: set[int] = set()
        self._folders: set[int] = set()
        self._taken: dict[int, int] = {}  # number of times that each name was already taken

    def take(self, name: str) -> Path:
        """Return a new path for a name; it may be called from several threads."""
        parts, fits = _parts(name, self.ending)
        raw = name.encode("utf-8", "surrogatepass")
        if not fits:
            parts[-1] = _told_apart(parts[-1], raw, self.ending)
        parts[-1] += self.ending
        with self._lock:
            while not self._claim(parts):
                count = self._taken[hash(name)] = self._taken.get(hash(name), 0) + 1
                last = _told_apart(_parts(name, "")[0][-1], b"%d/%b" % (count, raw), self.ending)
                parts = [last + self.ending]
        return self.folder.joinpath(*parts)

    def _claim(self, parts: list[str]) -> bool:
        """Reserve a path and return True, unless it conflicts with one that is reserved already."""
        spelled = "/".join(parts)
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", spelled).casefold())
        folders = {hash(key[:at]) for at, letter in enumerate(key) if letter == "/"}
        taken = hash(key) in self._files or hash(key) in self._folders
        if taken or not folders.isdisjoint(self._files):
            return False
        self._files.add(hash(key))
        self._folders |= folders
        return True


def make_folders(folder: Path, path: Path) -> None:
    """Make the folders that lead to a path below a folder; links below it are not followed.

    Raises:
        DataError: a link or a file is in the place of a folder.
        OSError: the folders cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in path.relative_to(folder).parts[:-1]:
        folder = folder / part
        try:
            folder.mkdir()
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                raise DataError(
                    f"{folder}: not a folder, or a link to one; remove it or name another folder"
                ) from None


def _parts(name: str, ending: str) -> tuple[list[str], bool]:
    """Return the parts of a path, the last without its ending, and whether the name is valid."""
    every = name.replace("\\", "/").split("/")
    root = _ROOT.fullmatch(every[0]) if len(every) > 1 else None
    if root:
        every[0] = f"{root[1]}_"
    kept = [part for part in every if part not in ("", ".", "..")]
    parts = [_fitting(part) for part in kept]
    fits = bool(parts) and parts == kept and ".." not in every
    path = "/".join(parts) + ending
    if len(path.encode("utf-8", "replace")) > LONGEST_PATH or len(parts) > DEEPEST:
        parts, fits = parts[-1:], False
    parts = parts or ["_"]
    if len((parts[-1] + ending).encode()) > LONGEST_PART:
        fits = False
    return parts, fits


def _fitting(part: str) -> str:
    """Return a name for a file or folder that is valid on every file system."""
    part = _cut(_UNFIT.sub("_", part), LONGEST_PART).rstrip(" .") or "_"
    return _cut(f"_{part}", LONGEST_PART) if _RESERVED.match(part) else part


def _told_apart(part: str, name: bytes, ending: str) -> str:
    digits = sha256(name).hexdigest()[:_DIGITS]
    return f"{_cut(part, LONGEST_PART - _DIGITS - 1 - len(ending.encode()))}-{digits}"


def _cut(text: str, size: int) -> str:
    """Return the start of a text that has at most `size` bytes in UTF-8."""
    return text.encode()[:size].decode("utf-8", "ignore")
