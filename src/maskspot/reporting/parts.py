"""Parts that several reports have."""

from pathlib import Path

from maskspot.model.describe import describe, model_rows
from maskspot.reporting.album import Picture
from maskspot.reporting.page import Card


def card_of(picture: Picture, group: str, target: int | None = None) -> Card:
    """Return the card of a scored image."""
    score = picture.score
    size = f"{score.width} × {score.height}" if score.width else ""  # noqa: RUF001
    return Card(
        score.source,
        group,
        [picture.thumbnail],
        picture.heatmap,
        score.probability,
        target,
        " ".join(filter(None, [size, score.format])),
    )


def model_parts(model: str) -> tuple[list[tuple[str, str]], str]:
    """Return the metadata of a model file, and its card in Markdown, empty if it has none."""
    facts = describe(model)
    card = Path(facts["card"]).read_text(encoding="utf-8") if facts["card"] else ""
    # The path of the file is private; the first line of the card is its title.
    rows = [(name, value) for name, value in model_rows(facts) if name not in ("file", "card")]
    return rows, card.partition("\n")[2]


def left_out(shown: int, total: int, which: str) -> str:
    """Return a sentence about images that are not in the gallery; empty if all are."""
    if shown >= total:
        return ""
    return f" The gallery has {shown:,} of {total:,} images, those that are {which}."
