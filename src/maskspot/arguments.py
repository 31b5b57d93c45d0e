"""Declare the arguments of a public dataclass once: default, help and bounds.

The command line makes its options from them, and the documentation its tables.
"""

import os
from dataclasses import MISSING, field, fields
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from maskspot.errors import UsageError


def argument(
    default: Any = MISSING,
    *,
    help: str,
    names: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    **shown: Any,
) -> Any:
    """Return a dataclass field with what its option needs.

    Args:
        default: of the field; without it, the argument is required.
        help: what it is, as a full sentence.
        names: names of the option, by default that of the field; one letter is a short name.
        least: smallest number that is admitted.
        most: largest one.
        choices: texts that are admitted; none stands for any.
        shown: `metavar`, `show_default` and `rich_help_panel` as Typer takes them; and
            `positional=True` for an argument without a flag.
    """
    metadata = {"help": help, "names": names, "least": least, "most": most, "choices": choices}
    return field(default=default, metadata=metadata | shown)


def several(value: Any) -> tuple[Any, ...]:
    """Return what callers give for a number of names: any of them, or one that stands alone."""
    return (value,) if isinstance(value, str | os.PathLike) else tuple(value)


def make_paths(arguments: Any, *names: str) -> None:
    """Turn fields of a frozen dataclass into paths, as callers may give texts.

    Raises:
        UsageError: a value is not a path.
    """
    kinds = get_type_hints(type(arguments))
    for name in names:
        value = getattr(arguments, name)
        many = get_args(kinds[name])[-1:] == (...,)
        if value is None:
            continue
        try:
            paths: Any = tuple(map(Path, several(value))) if many else Path(value)
        except TypeError:
            raise UsageError(f"must be a path, not {value!r}", argument=name) from None
        object.__setattr__(arguments, name, paths)


def check_bounds(arguments: Any) -> None:
    """Check the numbers of a dataclass of arguments.

    Raises:
        UsageError: one is not a number, or smaller than its `least`, or larger than its `most`.
    """
    hints = get_type_hints(type(arguments))
    for spec in fields(arguments):
        value, hint = getattr(arguments, spec.name), hints[spec.name]
        least, most = (spec.metadata.get(key) for key in ("least", "most"))
        kinds = {hint, *(get_args(hint) if isinstance(hint, UnionType) else ())}
        if value is None or kinds.isdisjoint((int, float)):
            continue
        if isinstance(value, bool) or not isinstance(value, Real if float in kinds else Integral):
            word = "a number" if float in kinds else "a whole number"
            raise UsageError(f"must be {word}, not {value!r}", argument=spec.name)
        if (least is not None and not value >= least) or (most is not None and not value <= most):
            bounds = [f"at least {least:,}" if least is not None else ""]
            bounds += [f"at most {most:,}" if most is not None else ""]
            text = " and ".join(filter(None, bounds))
            raise UsageError(f"must be {text}, not {value}", argument=spec.name)
