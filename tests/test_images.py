from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, features

from maskspot.errors import ImageError, UsageError
from maskspot.images import FILTERS, FITS, FORMATS, Preprocessing, open_rgb, read_image

RED, BLUE = (220, 30, 20), (10, 40, 200)


def two_halves(width: int = 40, height: int = 24) -> Image.Image:
    """Red above, blue below, and a green corner at the top left: no turn looks like another."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (0, height // 2, width, height))
    image.paste((20, 200, 40), (0, 0, width // 4, height // 4))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def nearly(actual: np.ndarray, expected: np.ndarray, tolerance: int = 12) -> bool:
    if actual.shape != expected.shape:
        return False
    return float(np.abs(actual.astype(int) - expected.astype(int)).mean()) < tolerance


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_picture(kind: str) -> None:
    options = {"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}
    pixels = read_image(encoded(two_halves(), kind, **options))
    assert pixels.dtype == np.uint8
    assert nearly(pixels, np.asarray(two_halves()))


def test_pillow_here_has_the_optional_codecs() -> None:
    assert features.check("webp")
    assert features.check("avif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_brought_upright(orientation: int) -> None:
    turns = [None, *(Image.Transpose(n) for n in (0, 3, 1, 5, 2, 6, 4))]  # what a camera would do
    turn = turns[orientation - 1]
    stored = two_halves() if turn is None else two_halves().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
        pixels = read_image(encoded(stored, kind, exif=exif, **options))
        assert nearly(pixels, np.asarray(two_halves())), kind


def test_a_damaged_exif_block_costs_no_pixels() -> None:
    data = encoded(two_halves(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert nearly(read_image(data), np.asarray(two_halves()))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_opaque_modes_become_rgb(mode: str) -> None:
    image = two_halves().convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert nearly(read_image(encoded(image, kind)), np.asarray(image.convert("RGB")))


def test_cmyk_jpeg_is_not_inverted() -> None:
    pixels = read_image(encoded(two_halves().convert("CMYK"), "JPEG", quality=95))
    assert nearly(pixels, np.asarray(two_halves()), 20)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_are_white(mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    data = encoded(image.convert(mode), "TIFF" if mode == "PA" else "PNG")
    pixels = read_image(data)
    assert (pixels[:, :4] == 0).all()
    assert (pixels[:, 4:] == 255).all()


def test_a_transparent_palette_colour_is_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.paste(1, (0, 0, 4, 8))
    pixels = read_image(encoded(image, "GIF", transparency=0))
    assert (pixels[:, 4:] == 255).all()
    assert tuple(pixels[0, 0]) == (200, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_shades(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    pixels = read_image(encoded(Image.fromarray(ramp), kind))
    assert (pixels[0, :, 0] == np.arange(256)).all()


@pytest.mark.parametrize(
    ("white", "peak", "kind"),
    [
        (1.0, 1.0, np.float32), (1.0, 1.0001, np.float32), (255.0, 255.0, np.float32),
        (255.0, 200.0, np.float32), (255.0, 256.0, np.float32), (65535.0, 65535.0, np.float32),
        (1e6, 1e6, np.float32), (255.0, 255.0, np.int32), (65535.0, 65535.0, np.int32),
    ],
)  # fmt: skip
def test_deep_tiff_is_scaled_by_its_range(white: float, peak: float, kind: type) -> None:
    ramp = np.linspace(0, peak, 256).astype(kind)[None].repeat(4, 0)
    pixels = read_image(encoded(Image.fromarray(ramp), "TIFF"))
    expected = np.clip(ramp[0] * (255 / white), 0, 255)
    assert abs(pixels[0, :, 0] - expected).max() <= 1


def test_a_transparent_16_bit_grey_is_white() -> None:
    grey = np.array([[60_000, 60_000, 1000, 1000]] * 4, np.uint16)
    pixels = read_image(encoded(Image.fromarray(grey), "PNG", transparency=1000))
    assert (pixels[:, 2:] == 255).all()
    assert (pixels[:, :2] == round(60_000 / 257)).all()


def test_what_is_no_source_at_all_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="int is not an image"):
        read_image(7)  # type: ignore[arg-type]


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert nearly(read_image(data), np.asarray(frames[0])), kind


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    image = two_halves()
    data = encoded(image, "PNG")
    path = tmp_path / "ünïcode 名.png"
    path.write_bytes(data)
    expected = np.asarray(image)
    for source in (str(path), path, data, bytearray(data), BytesIO(data), image, expected):
        assert (read_image(source) == expected).all()


def test_a_stream_that_cannot_seek_is_read() -> None:
    class Pipe(BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise OSError("cannot seek")

    assert (read_image(Pipe(encoded(two_halves(), "PNG"))) == np.asarray(two_halves())).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "AVIF", "GIF"])
def test_a_truncated_file_says_so(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(ImageError) as error:
        read_image(data[: len(data) // 2])
    assert str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"hello, I am a text", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ],
)
def test_what_is_no_image_says_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(data)


def test_files_that_are_not_there_say_so(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="directory"):
        read_image(tmp_path)


def test_the_pixel_limit_holds_before_decoding() -> None:
    data = encoded(two_halves(), "PNG")
    assert read_image(data, max_pixels=40 * 24).shape == (24, 40, 3)
    with pytest.raises(ImageError, match=r"40 x 24 is more than the limit of 959 pixels"):
        read_image(data, max_pixels=40 * 24 - 1)


def test_a_decompression_bomb_is_refused_without_its_pixels() -> None:
    header = encoded(Image.new("1", (8, 8)), "BMP")
    bomb = header[:18] + (60_000).to_bytes(4, "little") * 2 + header[26:]
    with pytest.raises(ImageError, match="limit"):
        read_image(bomb)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_of_another_kind_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="uint8"):
        read_image(array)


@given(st.binary(max_size=200))
@example(b"\xff\xd8\xff\xe0\x00\x10JFIF")
def test_no_bytes_raise_anything_but_an_image_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        read_image(data)


@given(st.sampled_from(FORMATS), st.data())
def test_no_mutated_image_raises_anything_but_an_image_error(
    kind: str, data: st.DataObject
) -> None:
    good = bytearray(encoded(two_halves(), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        pixels = read_image(bytes(good), max_pixels=1_000_000)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size", [(300, 20), (20, 300), (1, 1), (64, 64)])
def test_preprocessing_gives_its_square(fit: str, name: str, size: tuple[int, int]) -> None:
    pixels = Preprocessing(64, fit, name).apply(two_halves(*size))
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8


def test_squash_fills_and_pad_keeps_proportions() -> None:
    white = Image.new("RGB", (200, 100), "white")
    assert (Preprocessing(64, "squash").apply(white) == 255).all()
    padded = Preprocessing(64, "pad").apply(white)
    assert (padded[:16] == 128).all()
    assert (padded[16:48] == 255).all()


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_but_nearest_averages_what_it_shrinks(name: str) -> None:
    stripes = Image.fromarray(np.tile(np.array([[0], [255]], np.uint8), (128, 256))).convert("RGB")
    inside = Preprocessing(64, "squash", name).apply(stripes)[4:-4]
    assert (abs(inside.astype(int) - 127) < 10).all() == (name != "nearest")


@pytest.mark.parametrize(
    "values",
    [{"size": 8}, {"size": True}, {"size": 64.0}, {"fit": "stretch"}, {"filter": "cubic"}],
)
def test_preprocessing_refuses_what_it_does_not_know(values: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        Preprocessing(**values)


def test_an_opened_image_is_rgb_and_loaded() -> None:
    image = open_rgb(encoded(two_halves().convert("L"), "PNG"))
    assert image.mode == "RGB"
    assert image.size == (40, 24)
