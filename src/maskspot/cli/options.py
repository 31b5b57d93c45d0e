"""Options of the command line, made from the fields of the library's dataclasses."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from maskspot._version import __version__
from maskspot.arguments import check_bounds
from maskspot.cli.console import be_verbose, note

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show only warnings and errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel="Output")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Tell what is done, on stderr.")]
"""Options of the command line alone, which several commands have."""

_flags: dict[str, str] = {}
"""The option of each argument, by the argument's name, as commands are built."""

_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "NAME", Path: "FILE"}

_OURS = ("names", "least", "most", "choices")
"""What `arguments.argument` notes and Typer does not know."""

_SHORT = 24
"""Longest list of choices, in characters, that stands in place of a metavar."""

_ARGUMENT = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")


@dataclass(frozen=True)
class Partial:
    """Marks a parameter that takes those fields of a dataclass that were given, by name.

    Attributes:
        kind: the dataclass.
        only: names of the fields to make options from; none stands for all.
        panel: heading of these options; None takes those of the fields.
        panels: headings by the first field below each, in place of `panel`.
    """

    kind: type
    only: tuple[str, ...] = ()
    panel: str | None = None
    panels: Mapping[str, str] = field(default_factory=dict)


def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for each field of the dataclasses among its parameters.

    Parameters of other types stay as they are. Annotated with `Partial`, a parameter gets a
    mapping of what was given. Each command also gets `--verbose`.
    """
    _flags.clear()
    parameters: list[inspect.Parameter] = []
    builders: dict[str, Callable[[dict[str, Any]], Any]] = {}
    for each in inspect.signature(command, eval_str=True).parameters.values():
        some = _partial_of(each.annotation)
        if some:
            chosen = [f for f in fields(some.kind) if not some.only or f.name in some.only]
            parameters += _parameters(some.kind, chosen, some)
            builders[each.name] = _collector(chosen)
        elif is_dataclass(each.annotation):
            kind: Any = each.annotation
            parameters += _parameters(kind, fields(kind))
            builders[each.name] = _builder(kind)
        else:
            _flags[each.name] = _own_flag(each)
            parameters.append(each.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters.append(inspect.Parameter("verbose", keyword, default=False, annotation=Verbose))

    flags = dict(_flags)

    @wraps(command)
    def run(**given: Any) -> Any:
        _flags.clear()  # another command may have been built since
        _flags.update(flags)
        if given.pop("verbose"):
            be_verbose()
        note(f"maskspot {__version__}, {command.__name__}")
        return command(**{name: build(given) for name, build in builders.items()}, **given)

    del run.__wrapped__  # whose signature Typer would take
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def as_options(text: str) -> str:
    """Return a message of the library with its arguments, in backticks, as options."""

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in _flags:
            return match[0]
        flag = _flags[name]
        if value == "False":
            return f"--no-{flag.removeprefix('--')}"
        return flag if value in (None, "True") else f"{flag} {value}"

    return _ARGUMENT.sub(option, text)


def flag_of(name: str) -> str:
    """Return the option of an argument; the name itself where it has none."""
    return _flags.get(name, name)


def _partial_of(annotation: Any) -> Partial | None:
    found = [each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Partial)]
    return found[0] if found else None


def _parameters(
    kind: type, chosen: Iterable[Field[Any]], some: Partial | None = None
) -> Iterator[inspect.Parameter]:
    types = get_type_hints(kind)
    panel = some.panel if some else None
    for spec in chosen:
        facts = dict(spec.metadata)
        positional = facts.pop("positional", False)
        given, _, _, choices = (facts.pop(key, None) for key in _OURS)
        flags = tuple(_dashed_flag(name) for name in given or ())
        _flags[spec.name] = _flag(spec, flags, positional)
        inner = _inner(types[spec.name])
        if inner in _METAVARS:
            facts.setdefault("metavar", _METAVARS[inner])
        if choices:
            facts |= _of_choices(choices, facts["help"])
        if some:
            panel = some.panels.get(spec.name, panel)
            facts["rich_help_panel"] = panel or facts.get("rich_help_panel")
            facts["show_default"] = _shown_default(spec)
        default = None if some else spec.default
        if default == ():
            default = None
        names = flags or ((f"--{_dashed(spec.name)}",) if default is False else ())
        made = typer.Argument(**facts) if positional else typer.Option(*names, **facts)
        annotation = list[inner] if _is_many(types[spec.name]) else inner  # type: ignore[valid-type]
        yield inspect.Parameter(
            spec.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if default is MISSING else default,
            annotation=Annotated[annotation | None if default is None else annotation, made],
        )


def _of_choices(choices: tuple[str, ...], text: str) -> dict[str, Any]:
    """Return how an option with these choices is shown and completed."""
    shown: dict[str, Any] = {"metavar": "|".join(choices), "autocompletion": completed(choices)}
    if len(shown["metavar"]) > _SHORT:
        shown |= {"metavar": "NAME", "help": f"{text.rstrip('.')}: {', '.join(choices)}."}
    return shown


def completed(choices: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what completes the beginning of one of these texts."""

    def complete(incomplete: str) -> list[str]:
        return [each for each in choices if each.startswith(incomplete)]

    return complete


def _dashed_flag(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{_dashed(name)}"


def _flag(spec: Field[Any], flags: tuple[str, ...], positional: bool) -> str:
    if positional:
        return str(spec.metadata.get("metavar") or spec.name.upper())
    return flags[-1] if flags else f"--{_dashed(spec.name)}"


def _shown_default(spec: Field[Any]) -> str | bool:
    if spec.default in (None, ()):
        return False
    if isinstance(spec.default, bool):
        return _dashed(spec.name) if spec.default else f"no-{_dashed(spec.name)}"
    return str(spec.default)


def _own_flag(parameter: inspect.Parameter) -> str:
    """Return the option of a parameter that is declared with Typer itself."""
    for each in getattr(parameter.annotation, "__metadata__", ()):
        names = [name for name in getattr(each, "param_decls", None) or () if name[:2] == "--"]
        if isinstance(each, typer.models.ArgumentInfo):
            return str(each.metavar or parameter.name.upper())
        if names:
            return str(names[-1].partition("/")[0])
    return f"--{_dashed(parameter.name)}"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _inner(hint: Any) -> Any:
    """Return the type of an option's value: without None, and of one item where it has many."""
    if isinstance(hint, UnionType):
        hint = next(each for each in get_args(hint) if each is not NoneType)
    return get_args(hint)[0] if get_origin(hint) is tuple else hint


def _is_many(hint: Any) -> bool:
    return any(get_origin(each) is tuple for each in (hint, *get_args(hint)))


def _builder(kind: Any) -> Callable[[dict[str, Any]], Any]:
    def build(given: dict[str, Any]) -> Any:
        made = kind(**{f.name: _value(given.pop(f.name), f.default) for f in fields(kind)})
        check_bounds(made)
        return made

    return build


def _collector(chosen: Iterable[Field[Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    names = [spec.name for spec in chosen]

    def collect(given: dict[str, Any]) -> dict[str, Any]:
        values = {name: given.pop(name) for name in names}
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if value not in (None, [])
        }

    return collect


def _value(value: Any, default: Any) -> Any:
    if default == () and not value:
        return ()
    return tuple(value) if isinstance(value, list) else value
