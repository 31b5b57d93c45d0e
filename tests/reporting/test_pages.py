"""The content of the reports of `evaluate` and `check`, before it is made a page."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from maskspot.checking.check import check
from maskspot.evaluation.evaluate_model import Evaluation, evaluate_model
from maskspot.evaluation.question import Question
from maskspot.evaluation.sources import LabelFiles, PredictionSource
from maskspot.model.score import Score

pytest.importorskip("jinja2", reason="needs maskspot[report]")

from maskspot.reporting.album import Album
from maskspot.reporting.checks import check_page
from maskspot.reporting.evaluations import evaluation_page


def write(file: Path, *rows: str) -> Path:
    file.write_text("".join(f"{row}\n" for row in ("image,target", *rows)))
    return file


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Five images: one each that is found, missed, a false alarm, rightly none, and left out."""
    labels = write(tmp_path / "labels.csv", "a,1", "b,1", "c,0", "d,0", "e,0")
    predictions = write(tmp_path / "sub.csv", "a,0.9", "b,0.4", "c,0.7", "d,0.1", "e,")
    source = PredictionSource(predictions, against=predictions)
    return evaluate_model(LabelFiles(labels), None, source, Question(cost="1:5", resamples=0))


def test_the_page_of_an_evaluation_needs_nothing_but_the_evaluation(evaluation: Evaluation) -> None:
    page = evaluation_page(evaluation)
    assert page.lead == "Those of sub.csv, for 4 images, 2 with a mask."
    assert [(group.key, group.count) for group in page.groups] == [
        *(("tp", 1), ("fp", 1), ("fn", 1), ("tn", 1)),
    ]
    assert [table.title for table in page.tables] == [
        "Errors at a threshold",
        "Minus the metrics of the other predictions, on the same images",
    ]
    assert "best for FP:FN = 1:5" in page.tables[0].columns
    assert [name for name, _ in page.failures] == ["e"]
    assert (page.failed, len(page.plots), page.cards, page.model) == (1, 3, [], [])


def test_pictures_are_grouped_by_what_became_of_them(evaluation: Evaluation) -> None:
    album = Album()
    for name in ("a", "b", "c", "d", "e"):
        album.add(Image.new("RGB", (9, 9)), Score(name, evaluation.probabilities.get(name)), 1)
    cards = evaluation_page(evaluation, album.pictures()).cards
    assert [(card.name, card.group, card.target) for card in cards] == [
        *(("a", "tp", 1), ("b", "fn", 1), ("c", "fp", 0), ("d", "tn", 0)),
    ]


def test_the_page_of_a_check_has_each_problem_with_its_pictures(pictures: Path) -> None:
    shutil.copy(pictures / "a.jpg", pictures / "z.jpg")
    (pictures / "b.jpg").write_bytes(b"")
    write(pictures / "labels.csv", "a.jpg,0", "b.jpg,1", "c.jpg,1", "d.jpg,0", "z.jpg,1")
    page = check_page(check(pictures))
    assert page.title == "Is pictures sound?"
    assert page.lead.startswith("Training would stop or go wrong. Labels need")
    assert [(group.key, group.count) for group in page.groups] == [
        *(("conflict", 1), ("unreadable", 1), ("extra", 2)),
    ]
    cards = {card.name: len(card.thumbnails) for card in page.cards}
    assert cards == {"z.jpg = a.jpg": 2, "b.jpg": 0, "e.jpg": 0, "f.jpg": 0}
