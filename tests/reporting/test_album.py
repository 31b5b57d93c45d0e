"""The pictures of a report: small, and of too many those that weigh most."""

from io import BytesIO

import numpy as np
from PIL import Image

from maskspot.model.score import Score
from maskspot.reporting.album import Album, thumbnail


def test_an_album_keeps_what_weighs_most_whatever_the_order() -> None:
    rng = np.random.default_rng(3)
    weights = {f"image{at}": float(rng.integers(20)) for at in range(60)}
    kept = []
    for _ in range(4):
        names = list(weights)
        rng.shuffle(names)
        album = Album(limit=7)
        for name in names:
            album.add(Image.new("RGB", (9, 9)), Score(name, 0.5), weights[name])
        kept.append([picture.score.source for picture in album.pictures()])
    best = sorted(weights, key=lambda name: (weights[name], name))[-7:]
    assert all(sorted(each) == sorted(best) for each in kept)
    assert kept.count(kept[0]) == 4


def test_an_album_prefers_uncertain_images_or_those_that_are_most_wrong() -> None:
    image = Image.new("RGB", (9, 9))
    uncertain, wrong = Album(limit=1), Album(limit=1)
    for name, probability in (("sure", 0.9), ("unsure", 0.4), ("mask", 0.1)):
        uncertain.add_by_uncertainty(image, Score(name, probability))
        wrong.add_by_error(image, Score(name, probability), 1)
    assert [picture.score.source for picture in uncertain.pictures()] == ["unsure"]
    assert [picture.score.source for picture in wrong.pictures()] == ["mask"]


def test_thumbnails_are_small_and_keep_their_shape() -> None:
    assert Image.open(BytesIO(thumbnail(Image.new("RGB", (4000, 1000))))).size == (160, 40)
    assert Image.open(BytesIO(thumbnail(Image.new("RGB", (3, 50000))))).size == (1, 160)
    assert Image.open(BytesIO(thumbnail(Image.new("RGB", (20, 10))))).size == (20, 10)
