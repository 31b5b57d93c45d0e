"""Files appear whole or not at all: written beside, then renamed."""

import errno
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskspot.errors import DataError

_BESIDE = ".maskspot-"  # how the names begin of files that are not whole yet
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def is_stream(path: Path) -> bool:
    """Say whether what is written there goes on to somewhere else: a pipe, a device."""
    if os.path.abspath(path).startswith(("/dev/", "/proc/")):
        return True
    return os.path.exists(path) and not os.path.isfile(path)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a folder or file against other maskspots; say whether the system can lock one.

    Raises:
        DataError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    held = True
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise DataError(f"{path}: another maskspot is at work there; wait for it") from None
    except OSError:  # a file system without locks
        held = False
    try:
        yield held
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; on success it becomes `path`, else it goes away.

    Something that is no regular file (a pipe, `/dev/stdout`) is written to directly.

    Raises:
        OSError: the folder is missing or cannot be written, at once, before any work is done; or
            the disk is full. It names `path`, or its folder.
    """
    if is_stream(path):
        try:
            yield path
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return
    import tempfile

    path = Path(os.path.realpath(path))
    # Keras and onnxruntime tell formats by endings.
    suffix = path.suffix if len(os.fsencode(path.suffix)) < 16 else ""  # noqa: PLR2004
    try:
        handle, name = tempfile.mkstemp(f".tmp{suffix}", _BESIDE, path.parent)
    except OSError as error:  # about a name that means nothing to the user
        raise OSError(error.errno, error.strerror, str(path.parent)) from None
    os.close(handle)
    beside = Path(name)
    try:
        with locked(beside):  # which tells it from what a killed process left
            yield beside
            with beside.open("rb+") as stream:
                sync(stream.fileno())
            # mkstemp makes files private; the result gets what any new file gets, or keeps
            # what it had. Some mounts (CIFS, NTFS) have no modes: the content is what counts.
            with suppress(OSError):
                beside.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
            beside.replace(path)
    except OSError as error:  # about a name that means nothing to the user, or about none
        ours = error.filename == name or (error.filename is None and error.errno in _DISK)
        if not ours:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # what went wrong before is what the user has to know
            beside.unlink()


def sync(handle: int) -> None:
    """Wait until the disk has a file, where the file system can tell.

    Raises:
        OSError: the disk is full or damaged.
    """
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in _DISK:
            raise


def remove_leftovers(path: Path) -> None:
    """Remove what processes left that were killed in `replacing`, of files with `path`'s ending.

    What a living process writes is locked, or still empty; without locks nothing is removed.
    """
    if is_stream(path):
        return
    path = Path(os.path.realpath(path))
    for left in path.parent.glob(f"{_BESIDE}*.tmp{glob.escape(path.suffix)}"):
        with suppress(OSError, DataError):
            if left.stat().st_size:
                with locked(left) as held:
                    if held:
                        left.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a whole text file as UTF-8."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def sha256(file: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    import hashlib

    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
