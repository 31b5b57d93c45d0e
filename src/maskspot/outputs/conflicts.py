"""What a run writes must not destroy what it reads: one check for all commands."""

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.errors import UsageError
from maskspot.files import check_target, is_stream
from maskspot.inputs.folders import is_image

if TYPE_CHECKING:
    from maskspot.inputs.items import Item


class OutputFiles:
    """The files that a run writes, compared with one another and with its inputs.

    Files are compared by identity, so that another spelling, a link or a second name of a file
    is the same file; those that do not exist yet are compared by path.
    """

    def __init__(
        self, files: Mapping[str, Path | None], folders: Mapping[str, Path | None] | None = None
    ) -> None:
        """Refuse invalid outputs before any work.

        Args:
            files: by the name of the argument; None where it is not given.
            folders: in which any files are written, also by the name of the argument.

        Raises:
            UsageError: one is a folder, or two are the same file.
            DataError: one is a link, or something else that is not a regular file.
        """
        self._files: list[tuple[str, Path]] = []
        for name, path in files.items():
            if path is None:
                continue
            if path.is_dir():
                raise UsageError(f"{path} is a folder; name a file in it", argument=name)
            check_target(path)
            if not is_stream(path):
                self._files.append((name, path))
        self._folders = [(name, path) for name, path in (folders or {}).items() if path]
        used: dict[object, str] = {}
        for name, path in [*self._files, *self._folders]:
            for place in (path, *_beside(name, path)):
                # To some file systems names that differ in case are equal.
                key = unicodedata.normalize("NFC", os.path.realpath(place)).casefold()
                for each in filter(None, (key, _identity(place))):
                    if used.setdefault(each, name) != name:
                        raise UsageError(
                            f"{path} is the file of `{used[each]}`; name another file",
                            argument=name,
                        )

    def check(self, inputs: Iterable[str | os.PathLike[str] | None]) -> None:
        """Refuse to overwrite files that are read, and to write a folder into one that is.

        Args:
            inputs: files and folders, which need not exist; None is ignored.

        Raises:
            UsageError: an output is one of them.
        """
        for path in inputs:
            if not path:
                continue
            self._check_file(path)
            for name, folder in self._folders:
                if _may_hold(os.fspath(path), folder):
                    raise UsageError(
                        f"{folder} is in {path}, which is read; name a folder outside of it",
                        argument=name,
                    )

    def check_folder(self, folder: Path) -> None:
        """Refuse to overwrite the images of a folder of labelled images.

        Raises:
            UsageError: an output is one of them.
        """
        for name, path in self._files:
            if is_image(path.name) and path.exists() and _is_below(path, folder):
                raise _is_input(name, path)

    def check_items(self, items: "Iterable[Item]") -> "Iterator[Item]":
        """Pass items on, and refuse to overwrite one: what folders and lists name is known late.

        Raises:
            UsageError: an output is one of them, or one is in a folder that is written.
        """
        if not self._files and not self._folders:
            yield from items
            return
        there = {_identity(path): (name, path) for name, path in self._files}
        there.pop(None, None)
        written_around = lru_cache(64)(self._written_around)
        for item in items:
            if item.path is not None:
                if there and (found := there.get(_identity(item.path))):
                    raise _is_input(*found)
                for name, folder in written_around(item.path.parent):
                    raise UsageError(
                        f"{folder} has {item.name} in it, which is read; name another folder",
                        argument=name,
                    )
            yield item

    def _check_file(self, path: str | os.PathLike[str]) -> None:
        for name, file in self._files:
            same = os.path.realpath(path) == os.path.realpath(file)
            if same or (_identity(path) is not None and _identity(path) == _identity(file)):
                raise _is_input(name, file)

    def _written_around(self, path: Path) -> list[tuple[str, Path]]:
        return [(name, folder) for name, folder in self._folders if _is_below(path, folder)]


def _beside(name: str, path: Path) -> Iterator[Path]:
    """Yield the files that are written beside an output."""
    if name == "path":
        from maskspot.outputs.journal import Journal

        journal = Journal.path_for(path)
        yield from (journal, journal.with_name(f"{journal.name}.new"))
    if name == "cache":
        yield from (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return what distinguishes a file from all others; None if there is no such file."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISREG(facts.st_mode) else None


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _may_hold(argument: str, folder: Path) -> bool:
    """Say whether a folder that is read, or a pattern with `**`, includes another folder."""
    head, _, deep = argument.partition("**")
    if deep and not os.path.lexists(argument):
        argument = head.rpartition("/")[0] or ("/" if head.startswith("/") else os.curdir)
    with suppress(ValueError):
        return os.path.isdir(argument) and _is_below(folder, Path(argument))
    return False


def _is_input(name: str, path: Path) -> UsageError:
    return UsageError(f"{path} is one of the inputs; name another file", argument=name)


def check_report(path: Path) -> None:
    """Refuse a report that could not be written, before any work.

    Raises:
        UsageError: it is a folder, or in a folder that does not exist.
        MissingExtraError: the packages that make it are not installed.
    """
    from maskspot.extras import require_report

    require_report("`report`")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"{path} must be a file in an existing folder", argument="report")
