"""Matches names in CSVs to images, in every spelling that people and programs use."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NoReturn, TypeVar

from maskspot.errors import DataError, ImageError
from maskspot.inputs.items import Item

_T = TypeVar("_T")
Parts = tuple[str, ...]


def parts_of(name: str) -> Parts:
    """Return the parts of a path in one spelling.

    Spellings differ in white space around the path, `./`, doubled slashes, backslashes instead
    of slashes, and whether Unicode letters are composed (as on Linux and Windows) or not (macOS).
    """
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    parts = name.strip().replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", "."))


def ends_of(name: str) -> set[str]:
    """Return the file name of a path with and without its ending: any name for it ends in one."""
    parts = parts_of(name)
    return {parts[-1], parts[-1].rpartition(".")[0] or parts[-1]} if parts else set()


def match_names(names: Iterable[str], images: Mapping[str, _T], where: Path) -> dict[str, _T]:
    """Return the images that a CSV names, in its order, matched as `find_names` does.

    Args:
        names: the names in the CSV.
        images: the images that exist, by path.
        where: the CSV, for error messages.

    Raises:
        DataError: images are missing, or a name fits several.
    """
    chosen, missing = find_names(names, images, where)
    if missing:
        more = ", ..." if len(missing) > 3 else ""  # noqa: PLR2004
        raise DataError(
            f"{where}: {len(missing)} of the images it names are not there: "
            f"{', '.join(missing[:3])}{more}"
        )
    return chosen


def find_names(
    names: Iterable[str], images: Mapping[str, _T], where: Path
) -> tuple[dict[str, _T], list[str]]:
    """Return the images that a CSV names, in its order, and the names without an image.

    A name and a path mean the same image if one ends with the other, compared by the parts that
    `parts_of` returns; the file name may lack its ending. So a name may be shorter than the path
    inside the folder, or longer: absolute, or below a folder such as `images/` that is given
    itself. Different names that are longer than a path never mean the same image; they count as
    missing.

    Raises:
        DataError: a name fits several.
    """
    paths: dict[str, list[tuple[Parts, str]]] = {}
    for key in images:
        for end in ends_of(key):
            paths.setdefault(end, []).append((parts_of(key), key))
    found: dict[str, tuple[Parts, str]] = {}
    meanings: dict[str, set[Parts]] = {}
    names = list(names)
    for name in names:
        short = name.strip()
        parts = parts_of(name)
        keys = [short] if short in images else _fitting(parts, paths)
        if len(keys) > 1:
            one, other, *_ = (images[key] for key in sorted(keys, key=PurePosixPath))
            raise DataError(
                f"{where}: {short} may be {one} or {other}; say which one by naming its folder"
            )
        if keys:
            found[name] = parts, keys[0]
            meanings.setdefault(keys[0], set()).add(parts)
    chosen, missing = {}, []
    for name in names:
        parts, key = found.get(name, ((), ""))
        if name not in found or (len(parts) > len(parts_of(key)) and len(meanings[key]) > 1):
            missing.append(name.strip())
        else:
            chosen[name] = images[key]
    return chosen, missing


def _fitting(parts: Parts, paths: Mapping[str, list[tuple[Parts, str]]]) -> list[str]:
    """Return the keys of the paths that have the longest common end with a name."""
    if not parts:
        return []
    most = 0
    keys: list[str] = []
    for path, key in paths.get(parts[-1], ()):
        if path == parts:
            return [key]
        shared = min(len(path), len(parts))
        if path[-shared:-1] == parts[-shared:-1] and shared >= most:
            keys = [*(keys if shared == most else []), key]
            most = shared
    return keys


def match_items(
    names: Sequence[str], items: Iterable[Item], where: Path, fill: bool = False
) -> list[Item]:
    """Return the items that a CSV names, under its names and in its order, as `match_names` does.

    Other items are dropped at once; only named members of compressed tars are held in memory.

    Args:
        names: the names in the CSV.
        items: the items to search.
        where: the CSV, for error messages.
        fill: return an item for each missing image, whose `load` raises `ImageError`.

    Raises:
        DataError: images are missing and `fill` is false, or a name fits several.
    """
    wanted = {parts[-1] for parts in map(parts_of, names) if parts}
    found = {item.name: item for item in items if not wanted.isdisjoint(ends_of(item.name))}
    by_name = {name: name for name in found}
    matched = find_names(names, by_name, where)[0] if fill else match_names(names, by_name, where)
    return [
        replace(found[matched[name]], name=name) if name in matched else Item(name, _missing)
        for name in names
    ]


def _missing() -> NoReturn:
    raise ImageError("not among the images", "missing")
