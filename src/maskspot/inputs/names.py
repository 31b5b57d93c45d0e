"""Which image a name in a CSV means, in every spelling that people and programs give it."""

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
    """Return the parts of a path without what is mere spelling.

    That is white space around it, `./`, doubled slashes, backslashes for slashes, and whether
    Unicode letters are composed (as Linux and Windows write them) or not (as macOS does).
    """
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    parts = name.strip().replace("\\", "/").split("/")
    return tuple(part for part in parts if part not in ("", "."))


def ends_of(name: str) -> set[str]:
    """Return a path's file name with and without its ending: a name that means it ends so."""
    parts = parts_of(name)
    return {parts[-1], parts[-1].rpartition(".")[0] or parts[-1]} if parts else set()


def match_names(names: Iterable[str], images: Mapping[str, _T], where: Path) -> dict[str, _T]:
    """Return the images that a CSV names, in its order; for how they are matched see `find_names`.

    Args:
        names: as the CSV has them.
        images: those that were found, by path.
        where: the CSV, for errors.

    Raises:
        DataError: some are missing, or a name fits several.
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
    """Return the images that a CSV names, in its order, and the names of those that are missing.

    A name and a path mean the same image if one ends with the other, part by part, as `parts_of`
    gives them; the file name may lack its ending. So a name may be shorter than the path inside
    the folder, or longer: absolute, or below a folder such as `images/` that is given itself.
    Names that are longer and differ never mean one image: then they are missing.

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
            raise DataError(f"{where}: {short} may be {one} or {other}: which one?")
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
    """Return the keys of those paths that share the most last parts with a name."""
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
    """Return the images that a CSV names, by its names and in its order, as `match_names` does.

    Other items are dropped as they come, but for a compressed tar the members that it names are
    held in memory.

    Args:
        names: as the CSV has them.
        items: to search in.
        where: the CSV, for errors.
        fill: return items for missing images, whose `load` raises `ImageError`.

    Raises:
        DataError: some are missing and `fill` is false, or a name fits several.
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
