"""Files appear whole or not at all: written beside, then renamed; links are never written through.

This is the one place where files are created in folders that a stranger may have filled.
"""

import errno
import glob
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from maskspot.errors import DataError

_BESIDE = ".maskspot-"  # how the names begin of files that are not whole yet
_DESCRIPTOR = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/(self|\d+)/fd/\d+")
# Windows lacks the first three; there, links are looked for before a file is opened.
_NO_FOLLOW = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))
_BINARY = getattr(os, "O_BINARY", 0)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def is_stream(path: Path) -> bool:
    """Say whether what is written there goes on to somewhere else: a pipe, a character device."""
    if _DESCRIPTOR.fullmatch(os.path.abspath(path)):
        return True
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def check_target(path: Path) -> None:
    """Refuse to write where there is something that is neither a file nor a pipe.

    A link in a folder that somebody else made may lead to any file of the user's.

    Raises:
        DataError: a link has this name, or a device.
        OSError: a folder has it.
    """
    if is_stream(path):
        return
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        what = "a link" if stat.S_ISLNK(mode) else "not a regular file"
        raise DataError(f"{path}: {what}, which is never written to; remove it or name another")


def open_own(path: Path, create: bool = True) -> IO[bytes]:
    """Open a side file of ours at its end, to read and to write; it is made if it is not there.

    It is never opened through a link, so that nothing else of the user's is written to.

    Args:
        path: the file.
        create: make it if it is not there.

    Raises:
        DataError: something that is not a file, or that has a second name, has this one.
        OSError: it cannot be opened.
    """
    if os.name == "nt":
        check_target(path)
    # Not O_APPEND, which some mounts lack.
    flags = os.O_RDWR | (os.O_CREAT if create else 0) | _NO_FOLLOW | _BINARY
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):  # FreeBSD has the second
            raise _not_ours(path) from None
        raise
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        os.close(handle)
        raise _not_ours(path)
    file = os.fdopen(handle, "r+b")
    file.seek(0, os.SEEK_END)
    return file


def _not_ours(path: Path) -> DataError:
    return DataError(
        f"{path}: maskspot keeps a file by this name, and there is a link or another thing; "
        "remove it, and do not trust the folder that it came with"
    )


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
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
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

    A pipe or a character device (`/dev/stdout`) is written to directly.

    Raises:
        DataError: `path` is a link, or another thing that is no file.
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

    check_target(path)
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
            check_target(path)  # by now
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


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder in `folder`, which goes away; those that a kill left go first.

    Raises:
        OSError: it cannot be made.
    """
    import shutil
    import tempfile

    for left in folder.glob(f"{_BESIDE}*.folder"):
        with suppress(OSError, DataError):
            if stat.S_ISDIR(left.lstat().st_mode) and any(left.iterdir()):
                with locked(left) as held:
                    if held:
                        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(".folder", _BESIDE, folder) as made, locked(Path(made)):
        yield Path(made)


def remove_leftovers(path: Path) -> None:
    """Remove what processes left that were killed in `replacing`, of files with `path`'s ending.

    What a living process writes is locked, or still empty; without locks nothing is removed.
    """
    if is_stream(path):
        return
    for left in path.parent.glob(f"{_BESIDE}*.tmp{glob.escape(path.suffix)}"):
        with suppress(OSError, DataError):
            facts = left.lstat()
            if stat.S_ISREG(facts.st_mode) and facts.st_size:
                with locked(left) as held:
                    if held:
                        left.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a whole text file as UTF-8; what has no UTF-8 in a file's name becomes an escape."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256(file: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    import hashlib

    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
