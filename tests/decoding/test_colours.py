"""Embedded colour profiles: what other colours become in sRGB."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from maskspot import Predictor
from maskspot.decoding.colours import LARGEST_PROFILE
from maskspot.images import Preprocessing, open_image
from maskspot.model.info import read_info

SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
WIDE = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
"""Red, green and blue of sRGB and Adobe RGB (1998) in XYZ under D50."""


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Write an ICC profile, version 2."""
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content + b"\0" * (-len(content) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"", 0x02400000, b"mntr", space, b"XYZ ")
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return head.ljust(128, b"\0") + body


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def matrix_profile(primaries: tuple[tuple[float, float, float], ...], power: float) -> bytes:
    colours = zip((b"r", b"g", b"b"), primaries, strict=True)
    tags = {name + b"XYZ": xyz(*each) for name, each in colours}
    tags |= {name + b"TRC": gamma(power) for name in (b"r", b"g", b"b")}
    return icc(b"RGB ", tags | {b"wtpt": xyz(0.9642, 1.0, 0.8249)})


def grey_profile(power: float) -> bytes:
    return icc(b"GRAY", {b"kTRC": gamma(power), b"wtpt": xyz(0.9642, 1.0, 0.8249)})


ADOBE = matrix_profile(WIDE, 2.2)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(image: Image.Image, profile: bytes | None, format: str = "PNG") -> bytes:
    stream = BytesIO()
    image.save(stream, format, icc_profile=profile)
    return stream.getvalue()


def pixel(content: bytes, srgb: bool = True) -> list[int]:
    return np.asarray(open_image(content, srgb=srgb).rgb)[0, 0].tolist()


def test_colours_of_another_profile_become_those_of_srgb() -> None:
    image = Image.new("RGB", (4, 4), (100, 200, 100))
    assert pixel(saved(image, ADOBE)) == pytest.approx([0, 201, 95], abs=3)


def test_without_the_option_pixels_stay_as_they_are_stored() -> None:
    image = Image.new("RGB", (4, 4), (100, 200, 100))
    assert pixel(saved(image, ADOBE), srgb=False) == [100, 200, 100]


@pytest.mark.parametrize("profile", [None, srgb_profile()])
def test_an_image_in_srgb_or_without_a_profile_keeps_its_pixels(profile: bytes | None) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    content = saved(Image.fromarray(noise), profile)
    assert np.array_equal(open_image(content, srgb=True).rgb, noise)


def test_srgb_with_a_plain_gamma_changes_little() -> None:
    content = saved(Image.new("RGB", (4, 4), (100, 200, 100)), matrix_profile(SRGB, 2.2))
    assert pixel(content) == pytest.approx([100, 200, 100], abs=2)


@pytest.mark.parametrize(
    "profile",
    [
        *(b"no profile", ADOBE[:200], b"\0" * 300, grey_profile(2.2)),
        ADOBE + b"\0" * LARGEST_PROFILE,
    ],
)
def test_a_profile_that_is_damaged_or_of_other_pixels_or_huge_is_ignored(profile: bytes) -> None:
    image = Image.new("RGB", (4, 4), (100, 200, 100))
    assert pixel(saved(image, profile, "WEBP" if len(profile) < 2**20 else "TIFF"))[1] in (199, 200)


def test_grey_of_another_gamma_is_brought_to_srgb() -> None:
    image = Image.new("L", (4, 4), 128)
    red, green, blue = pixel(saved(image, grey_profile(1.0)))
    assert red == green == blue == pytest.approx(188, abs=2)
    assert pixel(saved(image.convert("LA"), grey_profile(1.0)))[0] == pytest.approx(188, abs=2)


def test_transparency_is_laid_on_white_whatever_the_profile() -> None:
    image = Image.new("RGBA", (4, 4), (100, 200, 100, 0))
    assert pixel(saved(image, ADOBE)) == [255, 255, 255]
    image.putalpha(255)
    assert pixel(saved(image, ADOBE)) == pytest.approx([0, 201, 95], abs=3)


def test_preprocessing_says_whether_profiles_count_and_old_files_keep_their_pixels() -> None:
    content = saved(Image.new("RGB", (4, 4), (100, 200, 100)), ADOBE)
    old = Preprocessing.from_dict({"size": 32, "fit": "squash", "filter": "bilinear"})
    new = Preprocessing(32, reduce=2, srgb=True)
    assert old.read(content)[0, 0].tolist() == [100, 200, 100]
    assert new.read(content)[0, 0, 0] < 10
    assert Preprocessing.from_dict(new.to_dict()) == new


def test_a_jpeg_is_decoded_at_a_part_of_its_size_where_the_model_says_so(tmp_path: Path) -> None:
    large = Image.effect_noise((1024, 512), 60).convert("RGB")
    large.save(tmp_path / "large.jpg")
    for reduce, size in ((0, (1024, 512)), (2, (256, 128)), (4, (512, 256)), (16, (1024, 512))):
        opened = Preprocessing(64, reduce=reduce).open(tmp_path / "large.jpg")
        assert opened.rgb.size == size
        assert (opened.width, opened.height) == (1024, 512)


def test_draft_wins_over_what_the_model_says(tmp_path: Path) -> None:
    Image.new("RGB", (1024, 512)).save(tmp_path / "large.jpg")
    as_made = Preprocessing(64, reduce=2)
    assert as_made.open(tmp_path / "large.jpg", draft=False).rgb.size == (1024, 512)
    assert Preprocessing(64).open(tmp_path / "large.jpg", draft=True).rgb.size == (256, 128)


def test_the_same_file_gives_the_same_pixels_in_training_and_in_prediction(tmp_path: Path) -> None:
    from maskspot.training.pixel_cache import load_pixels

    noise = np.random.default_rng(0).integers(0, 256, (900, 700, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.jpg", icc_profile=ADOBE)
    preprocessing = Preprocessing(64, reduce=2, srgb=True)
    cached = load_pixels([tmp_path / "photo.jpg"], preprocessing, tmp_path / "cache")
    predicted = preprocessing.apply(preprocessing.open(tmp_path / "photo.jpg").rgb)
    assert np.array_equal(cached.array[0], predicted)


def test_shipped_models_state_what_they_do_with_profiles_and_large_jpegs() -> None:
    info = Predictor().info
    assert info.preprocessing.reduce in (0, 2)
    assert read_info({"maskspot": info.to_json()}, "default").preprocessing == info.preprocessing
