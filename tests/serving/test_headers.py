"""Header values: what they mean, and that no value takes more than linear time."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspot.serving.headers import HeaderError, decode_extended, parse_headers, parse_value
from maskspot.serving.limits import Refusal, RequestLimits
from maskspot.serving.uploads import content_type, images_of


@pytest.mark.parametrize(
    ("text", "value", "parameters"),
    [
        ("image/JPEG", "image/jpeg", {}),
        ("", "", {}),
        ("form-data; ", "form-data", {}),
        ('form-data; NAME="a;b"; filename = c ', "form-data", {"name": "a;b", "filename": "c"}),
        (r'x; a="\"\\"', "x", {"a": '"\\'}),
        (r'x; a="C:\photos\1.jpg"', "x", {"a": r"C:\photos\1.jpg"}),
        ("x;a=1;;a=2", "x", {"a": "1"}),
    ],
)
def test_a_value_has_parameters(text: str, value: str, parameters: dict[str, str]) -> None:
    found = parse_value(text)
    assert (found.value, found.parameters) == (value, parameters)


@pytest.mark.parametrize("text", ['x; a="b', "x; a", "x; =b", 'x; a="b"c', "x; a=b c; d"])
def test_parameters_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(HeaderError, match="name=value"):
        parse_value(text)


def test_headers_may_be_folded_and_have_names() -> None:
    assert parse_headers(b"A: 1;\r\n b=2\r\nC: 3") == {"a": " 1; b=2", "c": " 3"}
    with pytest.raises(HeaderError, match="name: value"):
        parse_headers(b"A: 1\r\nnone")


@pytest.mark.parametrize("text", ["a.jpg", "UTF-8'a.jpg", "punycode''a", "x-unknown''a", "''a"])
def test_extended_values_have_one_of_few_character_sets(text: str) -> None:
    with pytest.raises(HeaderError, match="utf-8"):
        decode_extended(text)


@given(st.text(), st.text("\";\\= \r\n'*a"))
def test_any_text_is_a_value_or_refused(first: str, second: str) -> None:
    for call in (parse_value, decode_extended):
        try:
            call(f"{first};{second}")
        except HeaderError:
            continue


def seconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        with suppress(HeaderError, Refusal):
            call()
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.parametrize(
    "hostile",
    ['x; a="{};', "x{};", "x{}; ", "x; {}a", "x; a={} ", 'x; a="{}\\"', "x; a{}\t", "x{}; a=b"],
)
def test_eight_times_the_value_takes_eight_times_as_long(hostile: str) -> None:
    before, repeated = hostile.split("{}")
    short, long = (
        seconds(lambda count=count: parse_value(before + repeated * count))  # type: ignore[misc]
        for count in (20_000, 160_000)
    )
    assert long < 8 * 3 * short  # quadratic time is 64 times as much


@pytest.mark.parametrize("start", ['multipart/form-data; boundary="', 'multipart/form-data; a="'])
def test_a_request_with_a_header_of_semicolons_is_refused_in_linear_time(start: str) -> None:
    def ask(count: int) -> object:
        return images_of(bytearray(b"--b--"), content_type(start + ";" * count), RequestLimits())

    short, long = (seconds(lambda count=count: ask(count)) for count in (4_000, 32_000))  # type: ignore[misc]
    assert long < 8 * 3 * short
