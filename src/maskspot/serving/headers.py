"""Values of HTTP headers, such as `form-data; name="images"; filename="a.jpg"`.

The parser reads each value once from left to right, in time linear in its length. The standard
library's takes quadratic time for values that a client can choose.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

_CHARSETS = ("utf-8", "iso-8859-1", "us-ascii")
"""Character sets of extended parameters. RFC 8187 requires the first; some others that Python
knows, such as punycode, take quadratic time."""

# Possessive quantifiers: where a pattern does not match, nothing is tried again.
_SEPARATORS = r"(?:;\s*+)"
_NAME = r'([^\s=;"]++)\s*+=\s*+'
_CONTENT = r'(?:"((?:[^"\\]|\\.)*+)"|([^;"]*+))\s*+'
_PARAMETER = re.compile(f"{_SEPARATORS}++{_NAME}{_CONTENT}", re.DOTALL)
_END = re.compile(f"{_SEPARATORS}*+")
_ESCAPED = re.compile(r'\\(["\\])')
_FOLD = re.compile(r"\r\n(?=[ \t])")


class HeaderError(ValueError):
    """A header that does not have the form of its standard."""


@dataclass(frozen=True)
class HeaderValue:
    """A header's value.

    Attributes:
        value: what stands before the parameters, in lower case: `form-data`, `image/jpeg`.
        parameters: by their names in lower case; the first of those with one name.
    """

    value: str
    parameters: dict[str, str]


def parse_value(text: str) -> HeaderValue:
    """Return a header's value and its parameters (RFC 9110, 5.6.6).

    Raises:
        HeaderError: it does not have this form.
    """
    value, semicolon, rest = text.partition(";")
    rest, at = semicolon + rest, 0
    parameters: dict[str, str] = {}
    while match := _PARAMETER.match(rest, at):
        name, quoted, plain = match.groups()
        content = plain.strip() if quoted is None else _ESCAPED.sub(r"\1", quoted)
        parameters.setdefault(name.lower(), content)
        at = match.end()
    if not _END.fullmatch(rest, at):
        raise HeaderError("a parameter is not of the form name=value")
    return HeaderValue(value.strip().lower(), parameters)


def parse_headers(block: bytes) -> dict[str, str]:
    """Return the headers of a part of a form by their names in lower case (RFC 7578, 4.8).

    Args:
        block: lines that end with CR LF, as UTF-8.

    Raises:
        HeaderError: a line has no name.
    """
    headers: dict[str, str] = {}
    for line in _FOLD.sub("", block.decode("utf-8", "replace")).split("\r\n"):
        name, colon, value = line.partition(":")
        if line and not (colon and name.strip()):
            raise HeaderError("a line is not of the form name: value")
        headers.setdefault(name.strip().lower(), value)
    return headers


def decode_extended(text: str) -> str:
    """Return an extended parameter's value, `UTF-8''%c3%a9.jpg`, as text (RFC 8187).

    Raises:
        HeaderError: it does not have this form, or has another character set.
    """
    charset, _, rest = text.partition("'")
    _, quote, coded = rest.partition("'")
    if not quote or charset.lower() not in _CHARSETS:
        raise HeaderError(f"extended values must be in one of {', '.join(_CHARSETS)}")
    return unquote(coded, charset, "replace")
