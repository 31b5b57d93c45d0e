"""Declare the arguments of a public dataclass once: default, help and bounds.

The command line makes its options from them, and the documentation its tables.
"""

from dataclasses import MISSING, field, fields
from typing import Any

from maskspot.errors import UsageError


def argument(
    default: Any = MISSING,
    *,
    help: str,
    flags: tuple[str, ...] = (),
    least: float | None = None,
    most: float | None = None,
    **shown: Any,
) -> Any:
    """Return a dataclass field with what its option needs.

    Args:
        default: of the field; without it, the argument is required.
        help: what it is, as a full sentence.
        flags: names of the option; by default `--` and the name of the field.
        least: smallest number that is admitted.
        most: largest one.
        shown: `metavar`, `show_default` and `rich_help_panel` as Typer takes them;
            `positional=True` for an argument without a flag; and `parse`, which makes the value
            from the text that a user types.
    """
    metadata = {"help": help, "flags": flags, "least": least, "most": most, **shown}
    return field(default=default, metadata=metadata)


def check_bounds(arguments: Any) -> None:
    """Check the numbers of a dataclass against the bounds of their fields.

    Raises:
        UsageError: one is out of bounds.
    """
    for spec in fields(arguments):
        value, least, most = (
            getattr(arguments, spec.name),
            spec.metadata.get("least"),
            spec.metadata.get("most"),
        )
        if value is None or least is most is None:
            continue
        if not ((least is None or value >= least) and (most is None or value <= most)):
            bounds = f"at least {least}" if most is None else f"from {least} to {most}"
            raise UsageError(f"must be {bounds}, not {value}", argument=spec.name)
