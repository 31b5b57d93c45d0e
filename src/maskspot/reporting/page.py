"""A report as a page: what it says, and the one HTML file that says it."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt
from numpy.typing import NDArray

from maskspot._version import __version__
from maskspot.files import write_text
from maskspot.reporting.plots import Plot

_CHUNK = 100  # pictures that the browser takes out of the page at a time


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first column names each, the others are numbers or words."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False


@dataclass(frozen=True)
class Group:
    """Images that the gallery can be narrowed to.

    Attributes:
        key: what its cards have as `group`.
        label: what it is called.
        count: of its images, those that have no card too.
    """

    key: str
    label: str
    count: int


@dataclass(frozen=True)
class Card:
    """What the gallery shows of an image, or of two that are alike.

    Attributes:
        name: of the image.
        group: the key of its group.
        thumbnails: WebP files.
        heatmap: over the first, uint8 (h, w), or None.
        probability: that it shows a mask, or None.
        target: 0 or 1, or None where it is not known.
        detail: more about it, in words.
    """

    name: str
    group: str
    thumbnails: Sequence[bytes]
    heatmap: NDArray[np.uint8] | None = None
    probability: float | None = None
    target: int | None = None
    detail: str = ""


ORDERS = {
    "given": "as listed",
    "wrong": "largest error first",
    "uncertain": "least certain first",
    "probable": "most probable first",
    "improbable": "least probable first",
}
"""How the gallery can be sorted, as the page's script knows it and as people do."""


@dataclass(frozen=True)
class ReportPage:
    """What a report says; texts may be strangers'.

    Attributes:
        title: of the page.
        lead: a sentence about what it is of.
        facts: the numbers that matter most: what, how much, and more about it.
        plots: drawings.
        tables: the other numbers.
        groups: of the gallery.
        confusion: the groups are true and false positives, false and true negatives.
        cards: of the gallery, as listed.
        orders: keys of `ORDERS`, the first one as it opens.
        failures: images that could not be read, and why.
        failed: how many there were; more than `failures` names, perhaps.
        model: what the model file says of itself.
        card: the model's card, in Markdown; empty for none.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str, str]] = ()
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()
    groups: Sequence[Group] = ()
    confusion: bool = False
    cards: Sequence[Card] = ()
    orders: Sequence[str] = ("given",)
    failures: Sequence[tuple[str, str]] = ()
    failed: int = 0
    model: Sequence[tuple[str, str]] = ()
    card: str = ""


def write_page(page: ReportPage, path: Path) -> None:
    """Write a page, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_text(path, render(page))


def render(page: ReportPage) -> str:
    """Return a page as HTML that needs nothing else, and that may load nothing else."""
    here = files("maskspot.reporting")
    style, script, template = (
        here.joinpath(name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js", "report.html")
    )
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("image", lambda *_: "")  # it would be elsewhere
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    return environment.from_string(template).render(
        page=page,
        orders=ORDERS,
        gallery={"cards": [_plain(card) for card in page.cards], "chunk": _CHUNK},
        chunks=_chunks(page.cards),
        card=markdown.render(page.card),
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        made=f"maskspot {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _plain(card: Card) -> dict[str, Any]:
    """Return what the page's script knows of a card at once: all but its pictures."""
    heatmap = card.heatmap
    grid = None if heatmap is None else [*heatmap.shape, _text(heatmap.tobytes())]
    return {
        "name": card.name,
        "group": card.group,
        "pictures": len(card.thumbnails),
        "heatmap": grid,
        "probability": card.probability,
        "target": card.target,
        "detail": card.detail,
    }


def _chunks(cards: Sequence[Card]) -> list[str]:
    """Return the pictures in base64, one to a line, of so many cards each."""
    return [
        "\n".join(_text(each) for card in cards[at : at + _CHUNK] for each in card.thumbnails)
        for at in range(0, len(cards), _CHUNK)
    ]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
