"""JPEGs that end early, PNGs with damage beside their pixels, animations, and what is too much."""

import re
import shutil
import struct
import subprocess
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskspot import Predictor
from maskspot.decoding import budget, jpeg
from maskspot.errors import ImageError
from maskspot.images import Preprocessing, open_image, read_image
from tests.tiffs import Tiff, ramp

SHADES = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
PICTURE = Image.fromarray(SHADES).resize((200, 152), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


JPEGS = {
    "plain": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "progressive-restarts": {"progressive": True, "restart_marker_rows": 1},
    "fine": {"quality": 95, "subsampling": 0},
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_whose_data_end_early_is_not_read(kind: str, mode: str) -> None:
    data = encoded(PICTURE.convert(mode), "JPEG", **JPEGS[kind])
    header = jpeg.read_header(data)
    assert header is not None
    for part in (0.2, 0.5, 0.9):
        cut = data[: header.data + int((len(data) - header.data) * part)]
        for end in (b"", b"\xff\xd9", b"\xff\xd9" + b"more" * 50 + b"\xff\xd9"):
            for least in (0, 20):
                with pytest.raises(ImageError, match="truncated JPEG"):
                    open_image(cut + end, least=least)


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_its_last_marker_or_with_more_after_it_is_whole(kind: str) -> None:
    data = encoded(PICTURE, "JPEG", **JPEGS[kind])
    with Image.open(BytesIO(data)) as image:
        expected = np.asarray(image)
    for file in (data, data[:-2], data[:-1], data + b"\0" * 9, data + data, data + b"x" * 999):
        assert (read_image(file) == expected).all()


def made(*options: str, image: Image.Image = PICTURE) -> bytes:
    """Make a JPEG with libjpeg's own tool, for what Pillow does not write."""
    if not shutil.which("cjpeg"):
        pytest.skip("needs Debian's libjpeg-turbo-progs")
    source = encoded(image, "PPM")
    return subprocess.run(["cjpeg", *options], input=source, capture_output=True, check=True).stdout


def decoded(data: bytes) -> np.ndarray:
    ppm = subprocess.run(["djpeg"], input=data, capture_output=True, check=True).stdout
    return np.asarray(Image.open(BytesIO(ppm)))


def ends_of_scans(data: bytes) -> list[int]:
    """Return where the data of each scan end, of a JPEG without a thumbnail."""
    starts = [found.start() for found in re.finditer(b"\xff\xda", data)]
    return [found.start() for at in starts if (found := NO_DATA.search(data, at + 2))]


NO_DATA = re.compile(b"\xff[\xc4\xd9\xda]")


@pytest.mark.parametrize("kind", ["progressive", "progressive-restarts"])
def test_a_jpeg_that_ends_between_two_scans_is_not_read(kind: str) -> None:
    data = encoded(PICTURE, "JPEG", **JPEGS[kind])
    *cuts, end = ends_of_scans(data)
    assert len(cuts) > 5
    assert (read_image(data[:end]) == read_image(data)).all()
    for cut in cuts:
        for more in (b"", b"\xff\xd9", data[cut : cut + 7]):
            with pytest.raises(ImageError, match="truncated JPEG"):
                read_image(data[:cut] + more)


def test_a_jpeg_without_one_of_its_colours_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "scans").write_text("0;\n1;\n2;\n")
    data = made("-scans", str(tmp_path / "scans"))
    assert (read_image(data) == decoded(data)).all()
    for cut in ends_of_scans(data)[:-1]:
        for more in (b"", b"\xff\xd9"):
            with pytest.raises(ImageError, match="truncated JPEG"):
                read_image(data[:cut] + more)


@pytest.mark.parametrize("options", [(), ("-progressive",), ("-grayscale",)])
def test_arithmetic_coding_is_read_whole_or_not_at_all(options: tuple[str, ...]) -> None:
    data = made("-arithmetic", *options)
    for file in (data, data[:-2], data + b"more\xff\xd9"):
        assert (read_image(file) == decoded(data).reshape(152, 200, -1)).all()
    header = jpeg.read_header(data)
    assert header is not None
    for cut in range(header.data + 40, int(len(data) * 0.95), 41):
        for more in (b"", b"\xff\xd9"):
            with pytest.raises(ImageError, match="truncated JPEG"):
                read_image(data[:cut] + more)


def test_arithmetic_coding_is_read_whatever_its_size() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    data = made("-arithmetic", image=Image.fromarray(noise))
    assert len(data) > 2**16  # what Pillow gives its decoder at once
    assert (read_image(data) == decoded(data)).all()
    with pytest.raises(ImageError, match="restart markers") as error:
        read_image(made("-arithmetic", "-restart", "1"))
    assert error.value.status == "unsupported"


def test_a_thumbnail_does_not_end_a_jpeg() -> None:
    exif = Image.Exif()
    exif[0x010E] = "thumbnail"
    block = exif.tobytes() + encoded(PICTURE.resize((16, 16)), "JPEG")
    data = encoded(PICTURE, "JPEG", exif=block, quality=75)
    assert data.count(b"\xff\xd9") == 2
    assert (read_image(data[:-2]) == read_image(encoded(PICTURE, "JPEG", quality=75))).all()


def repeated_scans(count: int) -> bytes:
    data = encoded(PICTURE, "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def test_a_jpeg_of_many_scans_is_refused_at_once() -> None:
    assert read_image(repeated_scans(1)).shape == (152, 200, 3)
    with pytest.raises(ImageError, match="scans") as error:
        read_image(repeated_scans(jpeg.MAX_SCANS * 100))
    assert error.value.status == "too large"


def chunk(name: bytes, data: bytes, good: bool = True) -> bytes:
    crc = zlib.crc32(name + data) ^ (not good)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def png(rows: np.ndarray, depth: int, colour: int, *others: bytes) -> bytes:
    """Write a PNG of rows of bytes; `others` stand before its data."""
    width = rows.shape[1] * 8 // (depth * {0: 1, 2: 3}[colour])
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(others) + body


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_white_in_every_depth(depth: int) -> None:
    top = 2**depth - 1
    clear = top // 3
    numbers = np.array([[0, clear, top, clear] * 4] * 3)
    bits = (numbers[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.astype(np.uint8).reshape(3, -1), axis=1)
    pixels = read_image(png(rows, depth, 0, chunk(b"tRNS", struct.pack(">H", clear))))
    expected = np.where(numbers == clear, 255, np.rint(numbers * 255 / top))
    assert (pixels[..., 0] == expected).all()


def test_a_transparent_colour_of_16_bits_is_that_colour_alone() -> None:
    colours = [(0x1234, 0x5678, 0x9ABC), (0x12FF, 0x5678, 0x9ABC), (0, 0, 0)]
    rows = np.array(colours, ">u2").reshape(1, -1).view(np.uint8)
    pixels = read_image(png(rows, 16, 2, chunk(b"tRNS", struct.pack(">3H", *colours[0]))))
    assert pixels[0].tolist() == [[255] * 3, [0x12, 0x56, 0x9A], [0, 0, 0]]


ROWS = np.arange(48, dtype=np.uint8).reshape(4, 12)
BESIDE = {
    "pHYs": chunk(b"pHYs", bytes(9), good=False),
    "tEXt": chunk(b"tEXt", b"Comment\0hello", good=False),
    "iCCP": chunk(b"iCCP", b"x\0\0" + zlib.compress(b"a"), good=False),
    "tRNS": chunk(b"tRNS", bytes(6), good=False),
    "short": chunk(b"gAMA", b""),
    "text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 2_000_000)),
    "profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2_000_000))),
    "bomb": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(200_000_000))),
}


@pytest.mark.parametrize("name", BESIDE)
def test_damage_beside_the_pixels_of_a_png_costs_no_pixels(name: str) -> None:
    whole = read_image(png(ROWS, 8, 2))
    assert (read_image(png(ROWS, 8, 2, BESIDE[name])) == whole).all()


def test_a_png_whose_pixels_are_damaged_is_not_read() -> None:
    data = bytearray(png(ROWS, 8, 2))
    data[data.index(b"IDAT") + 12] ^= 255
    with pytest.raises(ImageError):
        read_image(bytes(data))


def test_an_apng_gives_its_default_image_even_if_that_is_no_frame() -> None:
    size = struct.pack(">II", 4, 4)
    frame = chunk(b"fcTL", bytes(4) + size + bytes(14))
    lines = zlib.compress(bytes(4 * 13))
    data = png(ROWS, 8, 2, chunk(b"acTL", struct.pack(">II", 1, 0)))
    end = data.index(b"IEND") - 4
    data = data[:end] + frame + chunk(b"fdAT", struct.pack(">I", 1) + lines) + data[end:]
    assert (read_image(data) == ROWS.reshape(4, 4, 3)).all()


def test_what_no_frame_of_a_gif_covers_is_white() -> None:
    data = bytearray(encoded(Image.new("P", (10, 8), 1), "GIF"))
    data[6:10] = struct.pack("<2H", 20, 16)  # a larger canvas than its frame
    pixels = read_image(bytes(data))
    assert (pixels[8:] == 255).all()
    assert (pixels[:8, 10:] == 255).all()
    assert (pixels[:8, :10] == read_image(encoded(Image.new("P", (10, 8), 1), "GIF"))).all()


def test_what_no_frame_of_a_webp_covers_is_white() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    data = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    data[24:30] = (39).to_bytes(3, "little") * 2  # a canvas of 40 x 40
    pixels = read_image(bytes(data))
    assert pixels.shape == (40, 40, 3)
    assert (pixels[32:] == 255).all()
    assert pixels[10, 10, 0] > 200
    assert pixels[10, 10, 1] < 60


def tall_png(width: int, height: int, line: int) -> bytes:
    packer = zlib.compressobj()
    data = packer.compress(bytes(min(line * height, 10_000_000))) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)


TOO_MUCH = {
    "a huge tile": Tiff(tags={322: [26_000], 323: [26_000], 324: [8], 325: [9]}).write(ramp(1)),
    "many strips": Tiff(tags={273: [8] * 1_000_000}).write(ramp(1)),
    "a wide PNG": tall_png(50_000_000, 1, 6_250_001),
    "a tall PNG": tall_png(1, 50_000_000, 2),
    "a large WebP": encoded(Image.new("RGB", (7071, 7071)), "WEBP", lossless=True, method=0),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_takes_too_much_is_refused_from_its_header(name: str) -> None:
    with pytest.raises(ImageError, match="more than the limit") as error:
        read_image(TOO_MUCH[name])
    assert error.value.status == "too large"


def test_the_budget_grows_with_the_limit_on_pixels() -> None:
    assert budget.Budget(1000).bytes == budget.MAX_BYTES
    assert budget.Budget(2 * budget.MAX_PIXELS).bytes == 2 * budget.MAX_BYTES


@pytest.mark.parametrize("where", ["open_image", "Preprocessing.apply"])
def test_a_memory_error_is_that_images_error(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    target = Image.Image if where == "Preprocessing.apply" else Image.core
    monkeypatch.setattr(target, "resize" if target is Image.Image else "new", fails)
    score = Predictor("fast").predict(encoded(PICTURE, "JPEG"))
    assert score.probability is None
    assert score.status == "too large"
    assert "memory" in str(score.error)


def test_warnings_that_are_errors_change_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    damaged = exif.tobytes()[:-4] + b"\xff" * 4
    truncated = Tiff(tags={270: [0] * 9}).write(ramp(1))[:-20]
    files = [encoded(PICTURE, "JPEG", exif=damaged), truncated, b"no image"]
    files.append(encoded(Image.new("1", (9500, 9500)), "PNG"))  # Pillow warns of its size

    def outcome(file: bytes) -> object:
        try:
            return open_image(file).rgb.size
        except ImageError as error:
            return str(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [outcome(file) for file in files]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [outcome(file) for file in files] == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51" + bytes(20), "JPEG 2000"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        *((b"\0\0\0\x18ftyp" + brand + bytes(12), "HEIC") for brand in (b"hevm", b"heis", b"hevs")),
    ],
)
def test_formats_that_are_not_read_are_named(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(data)


SEEDS = [
    encoded(PICTURE.resize((40, 30)), "JPEG"),
    encoded(PICTURE.resize((40, 30)), "JPEG", progressive=True, restart_marker_rows=1),
    png(ROWS, 8, 2, chunk(b"tRNS", bytes(6)), chunk(b"tEXt", b"a\0b")),
    png(np.zeros((3, 12), np.uint8), 16, 2, chunk(b"tRNS", bytes(6))),
    Tiff(bits=12, rows=7).write(ramp(1)),
    Tiff("f", 16, 2, planar=True, deflate=True).write(ramp(3)),
    Tiff("u", 16, 5, (2,), tile=(16, 16)).write(ramp(4)[..., [0, 1, 2, 3, 0]]),
]


@settings(max_examples=300)
@given(st.sampled_from(SEEDS), st.data())
def test_no_mutated_file_raises_anything_but_an_image_error(
    seed: bytes, data: st.DataObject
) -> None:
    file = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del file[data.draw(st.integers(0, len(file))) :]
    try:
        pixels = Preprocessing(32).read(bytes(file), 1_000_000)
    except ImageError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert pixels.shape == (32, 32, 3)


def test_every_way_in_reads_a_file_the_same(tmp_path: Path) -> None:
    for data in SEEDS:
        path = tmp_path / "a"
        path.write_bytes(data)
        assert (read_image(path) == read_image(data)).all()
