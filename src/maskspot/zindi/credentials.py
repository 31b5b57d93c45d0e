"""Where a token of the service is found, and where it is kept."""

import os
import stat
from pathlib import Path

from maskspot.errors import UsageError
from maskspot.zindi.http import Token

VARIABLE = "MASKSPOT_ZINDI_TOKEN"
"""The environment variable that may hold a token."""


def kept_file() -> Path:
    """Return the file in the user's configuration in which a token may be kept.

    Raises:
        UsageError: the user has no home directory.
    """
    import platformdirs

    try:
        return platformdirs.user_config_path("maskspot") / "zindi-token"
    except RuntimeError:
        raise UsageError("HOME: not set, so there is no place to keep a token in") from None


def find_token(file: Path | None) -> Token | None:
    """Return the token from a file, else from the environment, else the one kept; or None.

    Raises:
        UsageError: the file cannot be read, or its content is not a token; it is never shown.
    """
    if file is not None:
        return _read(file)
    if value := os.environ.get(VARIABLE, "").strip():
        return _token(value, VARIABLE)
    try:
        kept = kept_file()
    except UsageError:  # so none was kept
        return None
    return _read(kept) if kept.is_file() else None


def keep_token(token: Token) -> Path:
    """Keep a token in a file that only its user can read, and return that file."""
    file = kept_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(token.value + "\n")
    beside.replace(file)
    return file


def _read(file: Path) -> Token:
    try:
        return _token(file.read_bytes()[:10_000].decode("ascii", "replace").strip(), str(file))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None


def _token(value: str, where: str) -> Token:
    try:
        return Token(value)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
