"""Writing files: completely or not at all, and never through links.

A file is written under a temporary name in the same folder, and then renamed. All files in folders
that a stranger may have filled are created by this module.
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

_BESIDE = ".maskspot-"  # prefix of the names of incomplete files
_DESCRIPTOR = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/(self|\d+)/fd/\d+")
# Windows lacks these flags; there a path is checked for links before it is opened.
_NO_FOLLOW = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))
_BINARY = getattr(os, "O_BINARY", 0)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe or a character device rather than a file."""
    if _DESCRIPTOR.fullmatch(os.path.abspath(path)):
        return True
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def check_target(path: Path) -> None:
    """Check that a path is a file or a pipe, or does not exist.

    A link in a folder from somebody else may lead to any file of the user.

    Raises:
        DataError: it is a link or a device.
        OSError: it is a folder.
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
        raise DataError(
            f"{path}: {what}, which is never written to; remove it or choose another name"
        )


def open_own(path: Path, create: bool = True) -> IO[bytes]:
    """Open one of maskspot's own side files to read and write, positioned at its end.

    It is never opened through a link, so that no other file of the user is changed.

    Args:
        path: the file.
        create: create it if it does not exist.

    Raises:
        DataError: it is not a regular file, or has a second name.
        OSError: it cannot be opened.
    """
    if os.name == "nt":
        check_target(path)
    # Not O_APPEND, which some file systems lack.
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
        f"{path}: maskspot keeps a file by this name, but this is a link or not a regular file; "
        "remove it, and do not trust the folder that it came with"
    )


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Lock a folder or file against other processes of maskspot; yield whether that is possible.

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
        text = f"{path}: another maskspot process is working there; wait until it has finished"
        raise DataError(text) from None
    except OSError:  # a file system without locks
        held = False
    try:
        yield held
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it replaces `path`, otherwise it is removed.

    For a pipe or a character device (`/dev/stdout`) that is `path` itself.

    Raises:
        DataError: `path` is a link or not a regular file.
        OSError: the folder is missing or not writable, which is raised before any work is done;
            or the disk is full. It names `path` or its folder.
    """
    if is_stream(path):
        try:
            yield path
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return
    import tempfile

    check_target(path)
    # Keras and onnxruntime detect formats by the suffix.
    suffix = path.suffix if len(os.fsencode(path.suffix)) < 16 else ""  # noqa: PLR2004
    try:
        handle, name = tempfile.mkstemp(f".tmp{suffix}", _BESIDE, path.parent)
    except OSError as error:  # it names the temporary file, which the user does not know
        raise OSError(error.errno, error.strerror, str(path.parent)) from None
    os.close(handle)
    beside = Path(name)
    try:
        with locked(beside):  # to tell it from what a killed process left
            yield beside
            with beside.open("rb+") as stream:
                sync(stream.fileno())
            check_target(path)  # again, as it may have changed
            # mkstemp creates private files; the result gets the mode of the file that it replaces,
            # or of any new file. Some file systems (CIFS, NTFS) have no modes.
            with suppress(OSError):
                beside.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
            beside.replace(path)
    except OSError as error:  # it may name the temporary file, or none
        ours = error.filename == name or (error.filename is None and error.errno in _DISK)
        if not ours:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # do not hide an earlier error
            beside.unlink()


def sync(handle: int) -> None:
    """Wait until a file is on the disk, if the file system supports that.

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
    """Yield a temporary folder in `folder`, after removing those of killed processes.

    Raises:
        OSError: it cannot be created.
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
    """Remove files with the suffix of `path` that processes killed in `replacing` left.

    Files of running processes are locked or still empty. Without locks nothing is removed.
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
    """Write a text file as UTF-8; what UTF-8 cannot encode, as in file names, is escaped."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    import hashlib

    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
