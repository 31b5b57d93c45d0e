"""A small data set that maskspot draws itself, for trying the tool and for its tests.

It shows simple people, some with a mask, in the layout of the competition. Where nobody wears a
mask, a piece of cloth in the same colours is elsewhere (on the forehead, on the neck or beside the
head), so that only its place tells the label, and not the mean colour.
"""

import csv
import random
import shutil
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

from maskspot.errors import UsageError
from maskspot.files import scratch_folder

TRAIN, TEST = 160, 40
"""Numbers of images to train and to test on; half of each show a mask."""

_SKIN = ("#f6d7bd", "#eabf9f", "#d29a6e", "#a86e45", "#7d4d2e", "#4f2f1d")
_HAIR = ("#20150f", "#4a2f1c", "#8a5a2b", "#c9a25b", "#7a7a7a", "#b4432a")
_CLOTH = ("#8fc7e8", "#f2f4f5", "#2b2b30", "#d05a6e", "#5da271", "#e8c25a")
_FILES: tuple[tuple[str, dict[str, Any]], ...] = (
    (".jpg", {"quality": 88}),
    (".JPG", {"quality": 70}),
    (".jpeg", {"quality": 95, "subsampling": 0}),
    (".png", {}),
)
# EXIF orientations that cameras write, each with the rotation that a viewer has to undo.
_TURNS = (
    (1, None),
    (3, Image.Transpose.ROTATE_180),
    (6, Image.Transpose.ROTATE_90),
    (8, Image.Transpose.ROTATE_270),
)


def draw(folder: Path, seed: int = 0) -> None:
    """Draw the data set into a new folder.

    It holds `images/`, `train_labels.csv`, `sample_sub_v2.csv` (the test images, every target 0)
    and `test_labels.csv`, which a competition would keep secret. Equal seeds draw equal pictures.

    Args:
        folder: the folder to create; it may exist if it is empty.
        seed: determines the drawings.

    Raises:
        UsageError: the folder is not empty.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    with scratch_folder(folder.parent) as scratch:
        beside = scratch / "data"
        (beside / "images").mkdir(parents=True)
        rows = []
        for index in range(TRAIN + TEST):
            suffix, options = rng.choice(_FILES)
            name = "".join(rng.choices(string.ascii_lowercase, k=30)) + suffix
            _save(draw_picture(rng, masked=index % 2 == 1), beside / "images" / name, rng, options)
            rows.append((name, index % 2))
        train, test = rows[:TRAIN], sorted(rows[TRAIN:])
        _write(beside / "train_labels.csv", train, "\n")
        _write(beside / "test_labels.csv", test, "\n")
        _write(beside / "sample_sub_v2.csv", [(name, 0) for name, _ in test], "\r\n")
        if folder.exists():
            folder.rmdir()
        shutil.move(beside, folder)


def draw_picture(rng: random.Random, masked: bool) -> Image.Image:
    """Return a scene of one to three people, at least one of them with a mask if `masked`.

    The picture is RGB, 200 to 640 pixels a side.
    """
    size = rng.randint(200, 640), rng.randint(200, 640)
    image = Image.new("RGB", size, _shade(rng, "#9aa5ad", 70))
    canvas = ImageDraw.Draw(image)
    for _ in range(rng.randint(4, 10)):  # a background to ignore
        box = _box(
            rng.randrange(size[0]), rng.randrange(size[1]), rng.uniform(0.05, 0.25) * min(size)
        )
        rng.choice((canvas.ellipse, canvas.rectangle))(box, fill=_shade(rng, "#8d8d8d", 110))
    people = rng.randint(1, 3)
    wearer = rng.randrange(people)
    width = size[0] / people
    for person in range(people):
        radius = min(width, size[1]) * rng.uniform(0.2, 0.3)
        x = width * (person + 0.5) + rng.uniform(-0.1, 0.1) * width
        y = size[1] * rng.uniform(0.38, 0.52)
        # Every picture has one piece of cloth: over mouth and nose of the wearer, or elsewhere.
        cloth = rng.choice(_CLOTH) if person == wearer else None
        _draw_person(canvas, rng, (x, y, radius), cloth, masked)
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))


def _draw_person(
    canvas: ImageDraw.ImageDraw,
    rng: random.Random,
    head: tuple[float, float, float],
    cloth: str | None,
    masked: bool,
) -> None:
    x, y, r = head
    skin = _shade(rng, rng.choice(_SKIN), 12)
    canvas.rounded_rectangle(
        (x - 1.3 * r, y + 1.1 * r, x + 1.3 * r, y + 5 * r), r / 2, fill=_shade(rng, "#777788", 90)
    )
    canvas.rectangle((x - 0.35 * r, y + 0.6 * r, x + 0.35 * r, y + 1.4 * r), fill=skin)
    canvas.ellipse((x - 0.95 * r, y - 1.35 * r, x + 0.95 * r, y + 0.5 * r), fill=rng.choice(_HAIR))
    canvas.ellipse((x - 0.8 * r, y - r, x + 0.8 * r, y + r), fill=skin)
    for side in (-1, 1):
        canvas.ellipse(_box(x + side * 0.33 * r, y - 0.25 * r, 0.13 * r), fill="white")
        canvas.ellipse(_box(x + side * 0.33 * r, y - 0.25 * r, 0.07 * r), fill="#2a1f1a")
    canvas.line((x, y - 0.1 * r, x + 0.1 * r, y + 0.2 * r), fill="#5a3a2a", width=2)
    canvas.arc((x - 0.3 * r, y + 0.25 * r, x + 0.3 * r, y + 0.6 * r), 15, 165, "#8a2f2f", 3)
    if cloth is None:
        return
    astray = ((0, -0.95), (0, 1.25), (1.5, -0.3), (-1.5, -0.3))
    dx, dy = (0, 0.35) if masked else rng.choice(astray)
    _draw_cloth(canvas, (x + dx * r, y + dy * r, r), _shade(rng, cloth, 12))


def _draw_cloth(
    canvas: ImageDraw.ImageDraw, place: tuple[float, float, float], colour: str
) -> None:
    x, y, r = place
    corners = ((-0.72, -0.35), (0, -0.45), (0.72, -0.35), (0.55, 0.35), (0, 0.55), (-0.55, 0.35))
    canvas.polygon([(x + dx * r, y + dy * r) for dx, dy in corners], fill=colour)
    for fold in (-0.12, 0.08, 0.28):
        line = (x - 0.5 * r, y + fold * r, x + 0.5 * r, y + fold * r)
        canvas.line(line, fill=_darker(colour), width=max(1, round(0.03 * r)))


def _save(image: Image.Image, path: Path, rng: random.Random, options: dict[str, Any]) -> None:
    """Save as a camera that is held in some orientation: rotated pixels and an EXIF tag."""
    orientation, turn = rng.choice(_TURNS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (image.transpose(turn) if turn is not None else image).save(path, exif=exif, **options)


def _write(path: Path, rows: Sequence[tuple[str, int]], newline: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator=newline).writerows([("image", "target"), *rows])


def _box(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return x - radius, y - radius, x + radius, y + radius


def _shade(rng: random.Random, colour: str, spread: int) -> str:
    """Return a colour near `colour`, each channel up to `spread` away."""
    channels = bytes.fromhex(colour[1:])
    near = [min(max(value + rng.randint(-spread, spread), 0), 255) for value in channels]
    return f"#{bytes(near).hex()}"


def _darker(colour: str) -> str:
    return f"#{bytes(value * 4 // 5 for value in bytes.fromhex(colour[1:])).hex()}"
