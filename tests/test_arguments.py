"""Arguments of dataclasses, and the options that the command line makes of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import maskspot
from maskspot.arguments import argument, check_bounds, make_paths, several
from maskspot.cli.options import Partial, Quiet, as_options, flag_of, with_options
from maskspot.errors import MaskspotError, UsageError


@dataclass(frozen=True)
class Fruit:
    names: tuple[str, ...] = argument((), help="Names.", positional=True, metavar="NAMES...")
    count: int = argument(2, help="How many.", least=1, most=9)
    ripe: bool = argument(False, help="Only ripe ones.")
    peel: bool | None = argument(None, help="Peel them, or do not.")
    basket: Path | None = argument(None, help="Where to.", names=("b", "basket-file"))


@dataclass(frozen=True)
class Knife:
    sharp: float = argument(0.5, help="How sharp.", most=1)
    kind: str | None = argument(None, help="Which kind.")


def run(*words: str) -> tuple[int, dict[str, Any]]:
    """Run a command that has the options of both dataclasses."""
    given: dict[str, Any] = {}

    @with_options
    def command(
        fruit: Fruit,
        knife: Annotated[Mapping[str, Any], Partial(Knife, only=("sharp",), panel="Knife")],
        quiet: Quiet = False,
    ) -> None:
        given.update(fruit=fruit, knife=knife, quiet=quiet)

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, given


def test_without_options_a_dataclass_has_its_defaults_and_nothing_partial_is_given() -> None:
    assert run() == (0, {"fruit": Fruit(), "knife": {}, "quiet": False})


def test_every_field_is_an_option_of_its_type() -> None:
    words = ["a", "b", "--count", "3", "--ripe", "--no-peel", "-b", "x/y", "--sharp", "1", "-q"]
    fruit = Fruit(("a", "b"), 3, True, False, Path("x/y"))
    assert run(*words) == (0, {"fruit": fruit, "knife": {"sharp": 1.0}, "quiet": True})


def test_fields_that_were_not_chosen_are_no_options() -> None:
    assert run("--kind", "bread")[0] == 2


@pytest.mark.parametrize(
    ("count", "text"), [("0", "at least 1 and at most 9, not 0"), ("10", "not 10")]
)
def test_a_number_out_of_bounds_is_refused_by_the_name_of_its_argument(
    count: str, text: str
) -> None:
    with pytest.raises(UsageError, match=text) as error:
        run("--count", count)
    assert error.value.argument == "count"


def test_what_is_not_a_number_is_out_of_bounds() -> None:
    with pytest.raises(UsageError, match="sharp: must be at most 1, not nan"):
        check_bounds(Knife(float("nan")))


@pytest.mark.parametrize("given", ["3", 2.5, True, [1]])
def test_what_is_not_a_whole_number_is_refused_where_one_is_needed(given: Any) -> None:
    with pytest.raises(UsageError, match="count: must be a whole number, not "):
        check_bounds(Fruit(count=given))


def test_a_number_may_be_whole_or_of_numpy() -> None:
    number: Any = np.int64(3)
    check_bounds(Fruit(count=number))
    check_bounds(Knife(sharp=1))


@dataclass(frozen=True)
class Tables:
    cloths: tuple[Path, ...] = ()
    room: Path | None = None


@pytest.mark.parametrize("given", ["a", Path("a"), ["a"], ("a",)])
def test_a_text_a_path_or_several_become_a_tuple_of_paths(given: Any) -> None:
    tables = Tables(given, room="b")  # type: ignore[arg-type]
    make_paths(tables, "cloths", "room")
    assert tables == Tables((Path("a"),), Path("b"))


@pytest.mark.parametrize("name", ["cloths", "room"])
def test_what_is_not_a_path_is_refused_by_the_name_of_its_argument(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}: must be a path, not 3"):
        make_paths(Tables(**{name: 3}), name)  # type: ignore[arg-type]


def test_a_name_that_stands_alone_is_not_taken_for_its_letters() -> None:
    assert several("ab") == ("ab",)
    assert several(each for each in ("ab", "c")) == ("ab", "c")


@pytest.mark.parametrize(
    ("make", "given", "name", "wanted"),
    [
        (maskspot.Selection, {"images": Path("a")}, "images", ("a",)),
        (maskspot.CompareOptions, {"labels": "a", "images": "ab"}, "images", ("ab",)),
        (maskspot.LabelFiles, {"labels": "a", "slices": "b", "by": "ab"}, "by", ("ab",)),
        (maskspot.FetchSource, {"sources": "a.zip"}, "sources", (Path("a.zip"),)),
    ],
)
def test_options_take_a_name_that_stands_alone(
    make: Any, given: dict[str, Any], name: str, wanted: tuple[Any, ...]
) -> None:
    assert getattr(make(**given), name) == wanted


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (maskspot.CompareOptions, {"rounds": 0}),
        (maskspot.ExportOptions, {"prior": 2}),
        (maskspot.FetchSource, {"seed": -1}),
        (maskspot.FormOptions, {"threshold": "0.5"}),
    ],
)
def test_options_of_all_commands_refuse_wrong_numbers(make: Any, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(given))}: must be"):
        make(**given)


@pytest.mark.parametrize(
    "call",
    [maskspot.compare, pytest.param(maskspot.train, marks=pytest.mark.train), maskspot.check],
)
def test_functions_take_a_name_that_stands_alone(call: Any, tmp_path: Path) -> None:
    with pytest.raises(MaskspotError, match=re.escape(f"{tmp_path / 'none'}: ")):
        call(str(tmp_path / "none"))


def test_messages_of_the_library_are_shown_with_options() -> None:
    run()
    text = as_options("`count=3`, `ripe`, `peel=True`, `peel=False`, `basket=x`, `names`, `other`")
    assert text == "--count 3, --ripe, --peel, --no-peel, --basket-file x, NAMES..., `other`"
    assert flag_of("count") == "--count"
    assert flag_of("unknown") == "unknown"


def test_an_error_begins_with_its_argument_if_it_has_one() -> None:
    assert str(MaskspotError("is wrong")) == "is wrong"
    assert str(UsageError("must be 1", argument="count")) == "count: must be 1"
