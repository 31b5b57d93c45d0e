"""Declare the arguments of a public dataclass once: default, help and bounds.

The command line makes its options from them, and the documentation its tables.
"""

from dataclasses import MISSING, field, fields
from pathlib import Path
from typing import Any

from maskspot.errors import UsageError


def argument(
    default: Any = MISSING,
    *,
    help: str,
    flags: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    **shown: Any,
) -> Any:
    """Return a dataclass field with what its option needs.

    Args:
        default: of the field; without it, the argument is required.
        help: what it is, as a full sentence.
        flags: names of the option; by default `--` and the name of the field.
        least: smallest number that is admitted.
        most: largest one.
        choices: texts that are admitted; none stands for any.
        shown: `metavar`, `show_default` and `rich_help_panel` as Typer takes them; and
            `positional=True` for an argument without a flag.
    """
    metadata = {"help": help, "flags": flags, "least": least, "most": most, "choices": choices}
    return field(default=default, metadata=metadata | shown)


def make_paths(arguments: Any, *names: str) -> None:
    """Turn fields of a frozen dataclass into paths, as callers may give texts."""
    for name in names:
        if (value := getattr(arguments, name)) is not None:
            object.__setattr__(arguments, name, Path(value))


def check_bounds(arguments: Any) -> None:
    """Check the numbers of a dataclass of arguments.

    Raises:
        UsageError: one is smaller than its `least`, or larger than its `most`.
    """
    for spec in fields(arguments):
        value = getattr(arguments, spec.name)
        least, most = (spec.metadata.get(key) for key in ("least", "most"))
        if not isinstance(value, int | float):
            continue
        if (least is not None and not value >= least) or (most is not None and not value <= most):
            bounds = [f"at least {least:g}" if least is not None else ""]
            bounds += [f"at most {most:g}" if most is not None else ""]
            text = " and ".join(filter(None, bounds))
            raise UsageError(f"must be {text}, not {value}", argument=spec.name)
