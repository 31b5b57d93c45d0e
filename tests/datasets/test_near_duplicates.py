"""Near-duplicates are found by their hashes."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from maskspot.datasets import near_duplicates as duplicates
from maskspot.datasets.near_duplicates import groups, hashes

Picture = Image.Image


@pytest.fixture(scope="module")
def scenes() -> NDArray[np.uint8]:
    """Forty pictures whose energy falls with frequency as that of photos does."""
    rng = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(96)[:, None], np.fft.fftfreq(96)[None]
    fall = 1 / np.maximum(np.hypot(rows, columns), 1 / 96)
    waves = np.fft.fft2(rng.normal(size=(40, 96, 96))) * fall
    grey = np.real(np.fft.ifft2(waves))
    grey = 128 + 40 * (grey - grey.mean((1, 2), keepdims=True)) / grey.std((1, 2), keepdims=True)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=3)


def jpeg(picture: Picture) -> Picture:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


def through(edit: Callable[[Picture], Picture], pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(edit(Image.fromarray(image))) for image in pixels])


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(jpeg, id="jpeg"),
        pytest.param(lambda p: p.resize((32, 32)).resize((96, 96)), id="shrunk"),
        pytest.param(lambda p: p.crop((1, 1, 95, 95)).resize((96, 96)), id="cropped"),
        pytest.param(lambda p: ImageEnhance.Brightness(p).enhance(0.8), id="darker"),
        pytest.param(lambda p: ImageEnhance.Brightness(p).enhance(1.2), id="brighter"),
        pytest.param(lambda p: ImageEnhance.Contrast(p).enhance(0.8), id="flatter"),
        pytest.param(lambda p: ImageEnhance.Contrast(p).enhance(1.2), id="harsher"),
        pytest.param(lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT), id="mirrored"),
    ],
)
def test_a_picture_and_its_copy_are_one_group_and_different_pictures_are_not(
    edit: Callable[[Picture], Picture], scenes: NDArray[np.uint8]
) -> None:
    both = np.concatenate([scenes, through(edit, scenes)])
    assert groups(hashes(both)).tolist() == [*range(40), *range(40)]


def test_a_mirrored_hash_is_the_hash_of_the_mirrored_picture(scenes: NDArray[np.uint8]) -> None:
    flipped = hashes(np.ascontiguousarray(scenes[:, :, ::-1]))
    np.testing.assert_array_equal(duplicates.mirrored(hashes(scenes)), flipped)


def test_hashes_do_not_depend_on_blocks(
    scenes: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = hashes(scenes)
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    np.testing.assert_array_equal(hashes(scenes), whole)


def test_pictures_of_one_colour_have_no_bits_and_no_pictures_no_hashes() -> None:
    plain = np.full((3, 50, 70, 3), [[[[0]]], [[[99]]], [[[255]]]], np.uint8)
    assert not hashes(plain).any()
    assert hashes(plain[:0]).shape == (0, 32)
    assert groups(hashes(plain[:0])).shape == (0,)


some_hashes = st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=1).map(
    lambda ends: np.array([[0] * 30 + end for end in ends], np.uint8)
)


@given(some_hashes, st.integers(0, 5), st.integers(1, 4))
def test_groups_are_the_connected_parts_of_the_graph_of_near_pairs(
    hashed: NDArray[np.uint8], distance: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        found = groups(hashed, distance)
    bits, flipped = np.unpackbits(hashed, axis=1), np.unpackbits(duplicates.mirrored(hashed), 1)
    apart = np.minimum((bits[:, None] != bits).sum(2), (bits[:, None] != flipped).sum(2))
    joined = apart <= distance
    for _ in hashed:
        joined = joined @ joined
    np.testing.assert_array_equal(found[:, None] == found, joined)
    firsts = [found.tolist().index(number) for number in range(found.max() + 1)]
    assert firsts == sorted(firsts)


@given(some_hashes, st.integers(0, 5), st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_images(
    hashed: NDArray[np.uint8], distance: int, random: object
) -> None:
    order = np.arange(len(hashed))
    random.shuffle(order)  # type: ignore[attr-defined]
    found, shuffled = groups(hashed, distance), groups(hashed[order], distance)
    np.testing.assert_array_equal(
        found[order][:, None] == found[order], shuffled[:, None] == shuffled
    )
