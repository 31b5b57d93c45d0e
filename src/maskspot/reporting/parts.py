"""What several reports say."""

from pathlib import Path

from maskspot.model.describe import describe, model_rows
from maskspot.reporting.album import Picture
from maskspot.reporting.page import Card


def card_of(picture: Picture, group: str, target: int | None = None) -> Card:
    """Return what the gallery shows of a scored image."""
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
    """Return what a model file says of itself, and its card, in Markdown, if it has one."""
    facts = describe(model)
    card = Path(facts["card"]).read_text(encoding="utf-8") if facts["card"] else ""
    # Where the file lies here is nobody else's business; the card's first line is its title.
    rows = [(name, value) for name, value in model_rows(facts) if name not in ("file", "card")]
    return rows, card.partition("\n")[2]


def left_out(shown: int, total: int, which: str) -> str:
    """Return what to say of images that are not in the gallery."""
    if shown >= total:
        return ""
    return f" The gallery has {shown:,} of {total:,} images, those that are {which}."
