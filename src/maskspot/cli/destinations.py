"""What a command writes must not destroy what it reads: one check for all commands."""

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from maskspot.errors import MaskspotError, UsageError
from maskspot.files import check_target, is_stream
from maskspot.inputs.folders import is_image

if TYPE_CHECKING:
    from maskspot.inputs.items import Item


class Destinations:
    """The files that a command writes, held against one another and against its inputs.

    Files are compared by identity, so that another spelling, a link or a second name of a file
    is the same file; those that are not there yet by their path.
    """

    def __init__(self, files: Mapping[str, Path | None], pictures: Path | None = None) -> None:
        """Refuse, before any work, destinations that cannot be.

        Args:
            files: by option; None where the option is not given.
            pictures: folder of heatmaps, `--heatmaps`.

        Raises:
            UsageError: one is a folder, or two are one file.
            DataError: one is a link, or another thing that is no file.
        """
        self._files: list[tuple[str, Path]] = []
        for option, path in files.items():
            if path is None:
                continue
            if path.is_dir():
                raise UsageError(f"{option}: {path} is a folder; name a file in it")
            check_target(path)
            if not is_stream(path):
                self._files.append((option, path))
        self._pictures = pictures
        used: dict[object, str] = {}
        folder = [("--heatmaps", pictures)] if pictures else []
        for option, path in [*self._files, *folder]:
            for place in (path, *_beside(option, path)):
                # Some file systems take names for equal that differ in case.
                key = unicodedata.normalize("NFC", os.path.realpath(place)).casefold()
                for each in filter(None, (key, _identity(place))):
                    if used.setdefault(each, option) != option:
                        raise UsageError(
                            f"{option}: {path} is the file of {used[each]}; name another file"
                        )

    def check(self, inputs: Iterable[str | Path | None]) -> None:
        """Refuse to write over files that are read, or pictures into a folder that is.

        Args:
            inputs: files and folders; they need not be there, and None is passed over.

        Raises:
            UsageError: a destination is one of them.
        """
        for path in inputs:
            if not path:
                continue
            self._check_file(path)
            if self._pictures and _may_hold(str(path), self._pictures):
                raise UsageError(
                    f"--heatmaps: {self._pictures} is in {path}, which is read; "
                    "name a folder outside of it"
                )

    def check_data(self, folder: Path, labels: str | None = None) -> None:
        """Refuse to write over the images and CSVs of a folder of labelled images.

        Args:
            folder: as training takes it.
            labels: its CSV of labels, where that is not told by its name.

        Raises:
            UsageError: a destination is one of them.
        """
        from maskspot.datasets.labels import find_labels
        from maskspot.datasets.survey import find_sample

        files: list[str | Path | None] = [labels, folder / labels] if labels else []
        for find in (find_labels, find_sample):
            with suppress(MaskspotError, OSError):  # what reads the folder tells of it
                files.append(find(folder))
        self.check(files)
        for option, path in self._files:
            if is_image(path.name) and path.exists() and _is_below(path, folder):
                raise _is_input(option, path)

    def sparing(self, items: "Iterable[Item]") -> "Iterator[Item]":
        """Pass items on; refuse to write over one: what folders and lists name is known late.

        Raises:
            UsageError: a destination is one of them, or the folder of pictures has one in it.
        """
        if not self._files and not self._pictures:
            yield from items
            return
        there = {_identity(path): (option, path) for option, path in self._files}
        there.pop(None, None)
        is_in_pictures = lru_cache(64)(self._is_in_pictures)
        for item in items:
            if item.path is not None:
                if there and (found := there.get(_identity(item.path))):
                    raise _is_input(*found)
                if self._pictures and is_in_pictures(item.path.parent):
                    raise UsageError(
                        f"--heatmaps: {self._pictures} has {item.name} in it, which is read; "
                        "name another folder"
                    )
            yield item

    def _check_file(self, path: str | Path) -> None:
        for option, file in self._files:
            same = os.path.realpath(path) == os.path.realpath(file)
            if same or (_identity(path) is not None and _identity(path) == _identity(file)):
                raise _is_input(option, file)

    def _is_in_pictures(self, folder: Path) -> bool:
        return self._pictures is not None and _is_below(folder, self._pictures)


def _beside(option: str, path: Path) -> Iterator[Path]:
    """Give the files that are written beside a destination."""
    if option == "--output":
        from maskspot.outputs.journal import Journal

        journal = Journal.path_for(path)
        yield from (journal, journal.with_name(f"{journal.name}.new"))
    if option == "--cache":
        yield from (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Return what tells a file from all others; None where there is no such file."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISREG(facts.st_mode) else None


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _may_hold(argument: str, folder: Path) -> bool:
    """Say whether a folder that is read, or a pattern with `**`, comes by another folder."""
    head, _, deep = argument.partition("**")
    if deep and not os.path.lexists(argument):
        argument = head.rpartition("/")[0] or ("/" if head.startswith("/") else os.curdir)
    with suppress(ValueError):
        return os.path.isdir(argument) and _is_below(folder, Path(argument))
    return False


def _is_input(option: str, path: Path) -> UsageError:
    return UsageError(f"{option}: {path} is one of the inputs; name another file")
