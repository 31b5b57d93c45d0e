"""Make damaged image files, each determined by its number: the whole files and the damage."""

import random
from collections.abc import Callable
from functools import cache
from io import BytesIO

import numpy as np
from drawing import draw
from PIL import Image, features

_KINDS: dict[str, list[tuple[str, dict[str, object]]]] = {
    "JPEG": [
        ("RGB", {"quality": 80}),
        ("RGB", {"quality": 30, "progressive": True}),
        ("L", {}),
        ("CMYK", {}),
        (
            "RGB",
            {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
        ),
    ],
    "PNG": [("RGB", {}), ("RGBA", {}), ("P", {}), ("L", {}), ("LA", {}), ("1", {}), ("I;16", {})],
    "WEBP": [("RGB", {}), ("RGB", {"lossless": True}), ("RGBA", {})],
    "GIF": [("P", {}), ("L", {}), ("P", {"save_all": True, "frames": 3})],
    "BMP": [("RGB", {}), ("L", {}), ("P", {}), ("1", {})],
    "TIFF": [
        ("RGB", {}),
        ("RGB", {"compression": "tiff_lzw"}),
        ("RGB", {"compression": "tiff_adobe_deflate"}),
        ("RGB", {"compression": "jpeg"}),
        ("CMYK", {}),
        ("I;16", {}),
        ("F", {}),
        ("1", {"compression": "group4"}),
    ],
    "AVIF": [("RGB", {}), ("RGBA", {})],
}


@cache
def seeds() -> list[tuple[str, bytes]]:
    """Return the name of a format and a small intact file, for each format and mode."""
    found = []
    for number, (kind, variants) in enumerate(_KINDS.items()):
        if kind == "AVIF" and not features.check("avif"):
            continue
        for at, (mode, options) in enumerate(variants):
            rng = np.random.default_rng([number, at])
            width, height = (int(side) for side in rng.integers(9, 60, 2))
            image = _in_mode(draw((width, height), rng), mode)
            settings = dict(options)
            if settings.pop("frames", 0):
                settings["append_images"] = [image.rotate(90), image.rotate(180)]
            stream = BytesIO()
            image.save(stream, kind, **settings)
            found.append((kind, stream.getvalue()))
    return found


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    return image.convert(mode)


def mutant(seed: int, number: int) -> tuple[str, bytes]:
    """Return the name of a format and the damaged file with a number."""
    chance = random.Random(f"{seed}/{number}")
    kind, data = chance.choice(seeds())
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        chance.choice(_MUTATIONS)(content, chance)
    return kind, bytes(content)


def _place(content: bytearray, chance: random.Random) -> int:
    """Choose an offset; half of them in the header, which is short and matters most."""
    end = len(content) if chance.random() < 0.5 else min(len(content), 64)  # noqa: PLR2004
    return chance.randrange(end + 1)


def _flip_bits(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 8, 32))):
        at = _place(content, chance)
        if at < len(content):
            content[at] ^= 1 << chance.randrange(8)


def _set_bytes(content: bytearray, chance: random.Random) -> None:
    at, length = _place(content, chance), chance.choice((1, 2, 4, 8, 64))
    some = chance.randbytes(length)
    content[at : at + length] = chance.choice((bytes(length), b"\xff" * length, some))


def _set_number(content: bytearray, chance: random.Random) -> None:
    """Overwrite sizes, offsets and counts with a number, in either byte order."""
    length = chance.choice((1, 2, 4))
    top = 256**length - 1
    value = chance.choice((0, 1, top, top // 2, top // 2 + 1, chance.randint(0, top), 4096))
    at = _place(content, chance)
    order = chance.choice(("big", "little"))
    content[at : at + length] = min(value, top).to_bytes(
        length, "big" if order == "big" else "little"
    )


def _cut(content: bytearray, chance: random.Random) -> None:
    del content[_place(content, chance) :]


def _remove(content: bytearray, chance: random.Random) -> None:
    at = _place(content, chance)
    del content[at : at + chance.choice((1, 2, 16, 128))]


def _insert(content: bytearray, chance: random.Random) -> None:
    at = _place(content, chance)
    content[at:at] = chance.randbytes(chance.choice((1, 2, 16, 1024)))


def _double(content: bytearray, chance: random.Random) -> None:
    at, to = _place(content, chance), _place(content, chance)
    content[to:to] = content[at : at + chance.choice((4, 32, 256))] * chance.choice((1, 1, 50))


def _splice(content: bytearray, chance: random.Random) -> None:
    """Continue with the rest of another file, perhaps of another format."""
    _, other = chance.choice(seeds())
    content[_place(content, chance) :] = other[chance.randrange(len(other)) :]


_MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [
    *(_flip_bits, _set_bytes, _set_number, _set_number),
    *(_cut, _remove, _insert, _double, _splice),
]
