"""A report as a page: its content, and the HTML file that shows it."""

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
    """Rows under headings; the first column has names, the others numbers, or words."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False


@dataclass(frozen=True)
class Group:
    """Images by which the gallery can be filtered.

    Attributes:
        key: the `group` of its cards.
        label: its name for people.
        count: number of its images, including those without a card.
    """

    key: str
    label: str
    count: int


@dataclass(frozen=True)
class Card:
    """An image in the gallery, or two that are alike.

    Attributes:
        name: of the image.
        group: key of its group.
        thumbnails: WebP files.
        heatmap: over the first thumbnail, uint8 (h, w); or None.
        probability: that the image shows a mask; or None.
        target: 0 or 1; None if it is not known.
        detail: more about the image, in words.
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
"""Orders of the gallery, with their names for people; the script of the page has the same."""


@dataclass(frozen=True)
class ReportPage:
    """The content of a report; its texts may be of unknown origin.

    Attributes:
        title: of the page.
        lead: a sentence about its subject.
        facts: the most important numbers: name, value, and a note.
        plots: drawings.
        tables: the other numbers.
        groups: filters of the gallery.
        confusion: whether the groups are the cells of a confusion matrix.
        cards: images in the gallery.
        orders: keys of `ORDERS` to choose from; the page opens with the first.
        failures: images that could not be read, and why.
        failed: number of these images, of which `failures` may have the first only.
        model: names and values of the metadata of the model file.
        card: the card of the model, in Markdown; empty if there is none.
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
    """Return a page as HTML that needs no other file, and that may load none."""
    here = files("maskspot.reporting")
    style, script, template = (
        here.joinpath(name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js", "report.html")
    )
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("image", lambda *_: "")  # images would be other files
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
    """Return the data of a card that the script of the page gets at once: all but its pictures."""
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
    """Return the pictures in base64, one per line, in chunks of `_CHUNK` cards."""
    return [
        "\n".join(_text(each) for card in cards[at : at + _CHUNK] for each in card.thumbnails)
        for at in range(0, len(cards), _CHUNK)
    ]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
