"""TIFF in every layout of samples: the right pixels, or a word that names the layout."""

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspot.errors import ImageError
from maskspot.images import read_image
from tests.tiffs import HEIGHT, WIDTH, Tiff, ramp

COLOURS = {0: 1, 1: 1, 2: 3, 5: 4}
"""Photometric interpretations, and their numbers of samples."""

DEPTHS = [("u", n) for n in (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 24, 32)]
DEPTHS += [("i", 8), ("i", 16), ("i", 32), ("f", 16), ("f", 32), ("f", 64)]
PARTS = [Tiff(rows=7), Tiff(tile=(16, 16)), Tiff(rows=11, deflate=True)]
ALPHA = 0.2 + 0.8 * np.mgrid[0:HEIGHT, 0:WIDTH][1][..., None] / WIDTH


def on_white(samples: np.ndarray, layout: Tiff) -> np.ndarray:
    """Return the colours, 0 to 255, that samples of 0 to 1 stand for."""
    if layout.kind == "u":
        samples = np.rint(samples * (2**layout.bits - 1)) / (2**layout.bits - 1)
    count = COLOURS[layout.photometric]
    colours, alpha = samples[..., :count], samples[..., count : count + 1]
    if layout.extra[:1] not in ((1,), (2,)):
        alpha = np.ones_like(colours[..., :1])
    if layout.extra[:1] == (1,):
        colours = (colours / np.maximum(alpha, 1e-9)).clip(0, 1)
    if layout.photometric == 0:
        colours = 1 - colours
    if layout.photometric == 5:
        colours = (1 - colours[..., :3]) * (1 - colours[..., 3:])
    seen = 255 * (colours * alpha + 1 - alpha)
    return np.broadcast_to(seen, (*seen.shape[:2], 3))


def all_layouts(kind: str, bits: int) -> list[tuple[Tiff, np.ndarray]]:
    found = []
    for number, (photometric, extra, planar, order) in enumerate(
        product(COLOURS, ((), (0,), (1,), (2,)), (False, True), "<>")
    ):
        samples = ramp(COLOURS[photometric])
        if extra == (1,):
            samples = samples * ALPHA
        if extra:
            samples = np.dstack([samples, ALPHA])
        layout = replace(PARTS[number % 3], kind=kind, bits=bits, photometric=photometric)
        found.append((replace(layout, extra=extra, planar=planar, order=order), samples))
    return found


def is_refused(layout: Tiff) -> bool:
    """Say whether the reference decoders do not agree on what is black or white."""
    return (layout.kind == "i" and layout.bits < 32) or (
        layout.kind in "if" and layout.photometric == 0
    )


@pytest.mark.parametrize(("kind", "bits"), DEPTHS)
def test_every_layout_gives_its_pixels_or_is_refused_by_name(kind: str, bits: int) -> None:
    for layout, samples in all_layouts(kind, bits):
        data = layout.write(samples)
        if is_refused(layout):
            with pytest.raises(ImageError, match=f"{bits}-bit") as error:
                read_image(data)
            assert error.value.status == "unsupported"
            continue
        pixels = read_image(data)
        if kind != "i":  # whose white is a guess
            # A sample that was multiplied with alpha has lost what its depth cannot hold.
            slack = 3 + (255 / (2**bits - 1) if layout.extra == (1,) else 0)
            assert abs(pixels - on_white(samples, layout)).max() <= slack, layout


@pytest.mark.parametrize(("bits", "photometric"), list(product((8, 16), (8, 9))))
def test_lab_is_read_with_and_without_alpha(bits: int, photometric: int) -> None:
    lab = np.dstack([ramp(1), np.zeros((HEIGHT, WIDTH, 2))])  # greys
    lab[..., 1:] += 0.5 if photometric == 9 else 0
    plain = read_image(Tiff(bits=bits, photometric=photometric).write(lab))
    assert abs(plain.astype(int) - plain[..., :1]).max() <= 3
    assert (np.diff(plain[0, :, 0].astype(int)) >= 0).all()
    assert plain[0, 0, 0] <= 1
    assert plain[0, -1, 0] >= 254
    both = np.dstack([lab, np.zeros((HEIGHT, WIDTH))])
    clear = Tiff(bits=bits, photometric=photometric, extra=(2,), planar=True).write(both)
    assert (read_image(clear) == 255).all()


def test_signed_samples_below_zero_are_refused() -> None:
    stream = BytesIO()
    Image.fromarray(np.arange(-50, 50, dtype=np.int32).reshape(10, 10)).save(stream, "TIFF")
    with pytest.raises(ImageError, match="below zero") as error:
        read_image(stream.getvalue())
    assert error.value.status == "unsupported"


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({262: [32803]}, "raw camera data"), ({259: [34712]}, "JPEG 2000"),
        ({262: [6]}, "YCbCr"), ({258: [40]}, "40-bit"), ({259: [50001]}, "WebP"),
        ({262: [4]}, "mask"), ({339: [6]}, "complex"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(tags: dict[int, list[int]], words: str) -> None:
    layout = Tiff(bits=16, planar=True, tags={284: [1]} | tags)
    with pytest.raises(ImageError, match=words) as error:
        read_image(layout.write(ramp(1)))
    assert error.value.status in ("unsupported", "unreadable")
    assert "TIFF" in str(error.value)


def test_an_orientation_and_a_palette_of_bytes_are_obeyed() -> None:
    turned = read_image(Tiff(bits=12, tags={274: [6]}).write(ramp(1)))
    assert (turned == np.rot90(read_image(Tiff(bits=12).write(ramp(1))), -1)).all()
    palette = [*range(255, -1, -1)] * 3
    pixels = read_image(Tiff(photometric=3, tags={320: palette}).write(ramp(1)))
    assert abs(pixels - (255 - 255 * ramp(1))).max() <= 1


def test_what_a_tiff_lacks_is_said() -> None:
    data = Tiff(bits=12).write(ramp(1))
    with pytest.raises(ImageError, match="TIFF"):
        read_image(Tiff(bits=12, tags={273: [len(data)]}).write(ramp(1)))
    with pytest.raises(ImageError, match="missing"):
        read_image(Tiff(bits=12, rows=5, tags={273: [8]}).write(ramp(1)))


TIFFCP = ["-c none", "-c lzw", "-c lzw:2", "-c zip:2", "-c zip:3", "-c packbits", "-c lzma"]
TIFFCP += ["-c zstd:2", "-f lsb2msb", "-f lsb2msb -c lzw", "-p separate", "-r 1", "-B -c lzw:2"]
TIFFCP += ["-p separate -c lzw:2", "-t -w 16 -l 16", "-t -w 32 -l 16 -c zip:2", "-8 -c lzw"]
TIFFCP += ["-p separate -t -w 16 -l 16", "-B -p separate -c lzw:2", "-c g4", "-c g3"]


@pytest.mark.skipif(not shutil.which("tiffcp"), reason="needs libtiff's tools")
@pytest.mark.parametrize("options", TIFFCP)
def test_what_libtiff_rewrites_keeps_its_pixels(options: str, tmp_path: Path) -> None:
    kinds = [Tiff("f", 32, 1), Tiff("f", 32, 2), Tiff("u", 8, 2, (2,)), Tiff("u", 1, 0)]
    kinds += [Tiff("u", 12, 1), Tiff("u", 16, 2), Tiff("u", 8, 0)]
    if "-c g" in options:
        kinds = [Tiff("u", 1, 0), Tiff("u", 1, 1)]
    ran = 0
    for layout in kinds:
        path, made = tmp_path / "a.tif", tmp_path / "b.tif"
        path.write_bytes(layout.write(ramp(COLOURS[layout.photometric] + len(layout.extra))))
        made.unlink(missing_ok=True)
        words = ["tiffcp", *options.split(), str(path), str(made)]
        if subprocess.run(words, check=False, capture_output=True).returncode == 0:
            ran += 1
            same = abs(read_image(made).astype(int) - read_image(path)).max()
            assert same <= 1, (layout, options)
    assert ran


MADE = ["-type Palette", "-type PaletteAlpha", "-type Bilevel", "-colorspace CMYK -depth 16"]
MADE += ["-depth 32 -define quantum:format=floating-point", "-colorspace Gray -depth 12"]
MADE += ["-depth 16 -define quantum:format=floating-point", "-depth 10", "-endian MSB -depth 12"]
MADE += ["-interlace plane -depth 16", "-alpha set -channel A -evaluate set 40% +channel -depth 16"]
MADE += ["-colorspace YCbCr", "-sampling-factor 2x2 -compress JPEG", "-compress Group4 -monochrome"]
MADE += ["-define quantum:polarity=min-is-white -colorspace Gray -depth 16"]


@pytest.mark.skipif(not shutil.which("convert"), reason="needs ImageMagick")
@pytest.mark.parametrize("options", MADE)
def test_what_imagemagick_writes_looks_as_imagemagick_shows_it(
    options: str, tmp_path: Path
) -> None:
    png, path = tmp_path / "a.png", tmp_path / "a.tif"
    Image.fromarray(np.rint(255 * ramp(3)).astype(np.uint8)).save(png)
    made = subprocess.run(["convert", png, *options.split(), path], check=False)
    shown = ["convert", path, "-background", "white", "-alpha", "remove", "-colorspace", "sRGB"]
    shown += ["-type", "TrueColor", "-depth", "8", "rgb:-"]
    raw = subprocess.run(shown, check=False, capture_output=True).stdout
    if made.returncode or len(raw) != 3 * WIDTH * HEIGHT:
        pytest.skip("this ImageMagick does not write it")
    expected = np.frombuffer(raw, np.uint8).reshape(HEIGHT, WIDTH, 3).astype(int)
    assert abs(read_image(path) - expected).max() <= (12 if "JPEG" in options else 3)
