"""The links of a web page, parsed as browsers do, in linear time."""

import html
import re
from collections.abc import Iterator
from urllib.parse import urljoin

LONGEST = 2**24
"""Largest size of a page of links, in bytes."""

_TAG = re.compile(r"<(?:!--|/?([a-zA-Z][^\s/>]*))")
_BETWEEN = re.compile(r"[\s/]*")
_NAME = re.compile(r"[^\s/>=]+|=")
_VALUE = re.compile(r"\s*=\s*")
_BARE = re.compile(r"[^\s>]*")
_RAW = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
_BLANK = re.compile("[\t\n\r]")
_SPACES = "".join(map(chr, range(33)))


def links(page: str, url: str) -> Iterator[str]:
    """Yield the URLs that the anchors of a page lead to, without their fragments.

    Args:
        page: the HTML.
        url: the URL of the page, after redirections.
    """
    base = None
    for tag, attributes in _tags(page):
        target = attributes.get("href")
        if target is None or tag not in ("a", "area", "base"):
            continue
        target = _BLANK.sub("", target.strip(_SPACES)).partition("#")[0]
        try:
            found = urljoin(base or url, target.replace("\\", "/"))
        except ValueError:  # an invalid URL, such as http://[
            continue
        if tag != "base":
            yield found
        elif base is None:
            base = found


def _tags(page: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the opening tags, in lower case, with their attributes.

    Whatever is not closed ends the page, so that no part of it is scanned more than a few times.
    """
    at = 0
    while found := _TAG.search(page, at):
        at = found.end()
        if found[1] is None:
            at = _after(page, "-->", found.start() + 2)
            continue
        tag = found[1].lower()
        attributes, at = _attributes(page, at)
        if page[found.start() + 1] == "/":
            continue
        yield tag, attributes
        if tag in _RAW:
            closing = re.compile(f"</{tag}", re.IGNORECASE).search(page, at)
            at = closing.start() if closing else len(page)


def _attributes(page: str, at: int) -> tuple[dict[str, str], int]:
    """Return a tag's attributes, the first of each name, and the index after the tag."""
    attributes: dict[str, str] = {}
    while True:
        at = _end(_BETWEEN, page, at)
        if at >= len(page):
            return {}, at  # the tag is not closed
        if page[at] == ">":
            return attributes, at + 1
        start, at = at, _end(_NAME, page, at)
        name, value = page[start:at].lower(), ""
        if sign := _VALUE.match(page, at):
            at = sign.end()
            quote = page[at : at + 1]
            if quote in ("'", '"') and quote:
                start, at = at + 1, _after(page, quote, at + 1)
                value = page[start : at - 1]
            else:
                start, at = at, _end(_BARE, page, at)
                value = page[start:at]
        attributes.setdefault(name, html.unescape(value))


def _end(pattern: re.Pattern[str], page: str, at: int) -> int:
    found = pattern.match(page, at)
    return found.end() if found else at


def _after(page: str, text: str, at: int) -> int:
    """Return the index after a text, or the end of the page."""
    found = page.find(text, at)
    return len(page) if found < 0 else found + len(text)
