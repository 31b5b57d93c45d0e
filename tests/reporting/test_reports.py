"""The HTML reports: in a real browser, by hand and by keyboard, with strangers' names in them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from maskspot import Predictor
from maskspot.model.score import Score

Cli = Callable[..., Any]

pytest.importorskip("jinja2", reason="needs maskspot[report]")

HOSTILE = '<img src=x onerror="hacked=1">&amp;\'"<', "script><script>hacked=1<", "script>.jpg"
"""A path that is markup, and ends the page's own scripts."""


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a report as a person does; it must ask for nothing, and complain of nothing."""
    contexts, asked, said = [], [], []

    def show(file: Path, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == len(contexts)
    assert said == []


@pytest.fixture(scope="module")
def pictures_200(tmp_path_factory: pytest.TempPathFactory, demo_data: Path) -> Path:
    """Two hundred photos, one with markup as its name, and a file that is not an image."""
    folder = tmp_path_factory.mktemp("many")
    photos = sorted((demo_data / "images").glob("*.jpg"))
    for at in range(198):
        shutil.copy(photos[at % len(photos)], folder / f"photo{at}.jpg")
    hostile = folder.joinpath(*HOSTILE)
    hostile.parent.mkdir(parents=True)
    shutil.copy(photos[0], hostile)
    (folder / "broken.jpg").write_text("<b>no</b>")
    return folder


@pytest.fixture(scope="module")
def labels(pictures_200: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels that the shipped model must find half wrong."""
    file = tmp_path_factory.mktemp("labels") / "labels.csv"
    rows = [f"photo{at}.jpg,{at % 2}" for at in range(198)]
    file.write_text("image,target\n" + "\n".join(rows) + "\n")
    return file


def maskspot(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maskspot", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def predicted(pictures_200: Path, labels: Path) -> Path:
    """The report of `predict`; what was predicted is in predicted.csv beside it."""
    file = labels.with_name("predicted.html")
    output = file.with_suffix(".csv")
    done = maskspot("predict", pictures_200, "-m", "fast", "-o", output, "--report", file)
    assert done.returncode == 1  # for the broken one
    return file


@pytest.fixture(scope="module")
def evaluated(pictures_200: Path, labels: Path) -> Path:
    """The report of `evaluate`; what it printed is in evaluated.json beside it."""
    file = labels.with_name("evaluated.html")
    done = maskspot("evaluate", labels, pictures_200, "-m", "fast", "--report", file, "--json")
    assert done.returncode == 0
    file.with_suffix(".json").write_text(done.stdout)
    return file


def probabilities(page: Any) -> list[float]:
    return [
        float(style.split(":")[1].rstrip("%; "))
        for style in page.eval_on_selector_all(
            "#cards .bar i", "each => each.map(e => e.getAttribute('style'))"
        )
    ]


def test_the_gallery_is_sorted_as_asked_and_paged(predicted: Path, show: Any) -> None:
    page = show(predicted)
    assert page.locator("#cards li").count() == 60
    found = probabilities(page)
    assert found == sorted(found, reverse=True)
    page.locator("#order").select_option("improbable")
    found = probabilities(page)
    assert found == sorted(found)
    page.locator("#order").select_option("uncertain")
    found = [abs(value - 50) for value in probabilities(page)]
    assert found == sorted(found)
    for _ in range(3):
        page.locator("#next").click()
    assert "page 4 of 4" in page.locator("#place").inner_text()
    assert page.locator("#next").is_disabled()
    assert page.locator("#cards li").count() == 199 - 180


def test_a_name_that_is_markup_stays_text(predicted: Path, show: Any) -> None:
    page = show(predicted)
    page.locator("#search").fill("HACKED=1<")
    assert page.locator("#cards .name").first.inner_text() == "/".join(HOSTILE)
    page.locator("#cards button").click()
    assert "/".join(HOSTILE) in page.locator("dialog dd").first.inner_text()
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("script").count() == 4  # the data, two hundred pictures, the program


def test_an_image_that_could_not_be_read_is_named_with_its_reason(
    predicted: Path, show: Any
) -> None:
    row = show(predicted).locator("#failures tbody tr")
    assert row.count() == 1
    assert "broken.jpg" in row.inner_text()
    assert "not an image" in row.inner_text()


def test_a_cell_of_the_confusion_shows_its_images_alone(evaluated: Path, show: Any) -> None:
    page = show(evaluated)
    found = json.loads(evaluated.with_suffix(".json").read_text())["quality"]["confusion"]
    names = {"tp": "true_positives", "fp": "false_positives"}
    names |= {"fn": "false_negatives", "tn": "true_negatives"}
    for key, name in names.items():
        cell = page.locator(f"[data-group={key}]")
        assert int(cell.locator("b").inner_text()) == found[name]
        cell.click()
        assert cell.get_attribute("aria-pressed") == "true"
        status = page.locator("#status").inner_text()
        assert re.search(rf"of {found[name]}\b", status) or not found[name]
        cell.click()
    assert "of 198" in page.locator("#status").inner_text()


def test_the_largest_error_comes_first_and_is_marked(evaluated: Path, show: Any) -> None:
    page = show(evaluated)
    texts = page.locator("#cards .said").all_inner_texts()
    errors = [
        100 - p if "shows a mask" in text else p
        for p, text in zip(probabilities(page), texts, strict=True)
    ]
    assert errors == sorted(errors, reverse=True)
    assert page.locator("#cards .said").first.locator(".missed").count() == 1


def test_the_report_has_the_metrics_that_evaluate_prints(evaluated: Path, show: Any) -> None:
    page = show(evaluated)
    quality = json.loads(evaluated.with_suffix(".json").read_text())["quality"]
    facts = page.locator(".facts").inner_text()
    for name in ("log_loss", "accuracy", "auc", "average_precision", "brier", "ece"):
        assert f"{quality[name]['value']:.4f}" in facts
    assert page.locator("figure svg[role=img]").count() == 3
    assert f"{quality['auc']['value']:.4f}" in page.locator("figure").nth(2).inner_text()


def test_a_heatmap_appears_under_the_pointer_and_the_focus(predicted: Path, show: Any) -> None:
    page = show(predicted)
    card = page.locator("#cards button").first
    opacity = "canvas => getComputedStyle(canvas).opacity"
    canvas = card.locator("canvas")
    page.emulate_media(reduced_motion="reduce")
    page.mouse.move(0, 0)
    assert canvas.evaluate(opacity) == "0"
    card.hover()
    assert canvas.evaluate(opacity) == "1"
    page.mouse.move(0, 0)
    page.locator("#heatmaps").focus()
    page.keyboard.press("Tab")
    assert card.evaluate("card => card === document.activeElement")
    assert canvas.evaluate(opacity) == "1"
    reddest = "c => Math.max(...c.getContext('2d').getImageData(0, 0, 8, 8).data)"
    assert canvas.evaluate(reddest) > 0


def test_everything_is_within_reach_of_the_keyboard(predicted: Path, show: Any) -> None:
    page = show(predicted)
    page.locator("#search").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#heatmaps").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    name = page.locator("#cards .name").nth(2).inner_text()
    assert name.startswith("photo")
    page.keyboard.press("Enter")
    viewer = page.locator("dialog[open]")
    second = viewer.locator("dd").first.inner_text()
    page.keyboard.press("ArrowRight")
    assert viewer.locator("dd").first.inner_text() != second
    page.keyboard.press("Escape")
    assert viewer.count() == 0
    assert page.evaluate("document.activeElement.closest('#cards') !== null")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_light_and_dark(evaluated: Path, show: Any, scheme: str) -> None:
    size = {"width": 360, "height": 740}
    page = show(evaluated, viewport=size, is_mobile=True, has_touch=True, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground, ink = (
        [
            int(part)
            for part in re.findall(r"\d+", page.evaluate(f"getComputedStyle(document.body).{p}"))
        ]
        for p in ("backgroundColor", "color")
    )
    assert (sum(ground) < sum(ink)) == (scheme == "dark")
    assert abs(sum(ground[:3]) - sum(ink[:3])) > 500


@pytest.mark.slow
def test_predictions_with_images_make_a_gallery_without_heatmaps(
    cli: Cli, pictures_200: Path, labels: Path, predicted: Path, tmp_path: Path, show: Any
) -> None:
    sub, file = predicted.with_suffix(".csv"), tmp_path / "report.html"
    assert cli("evaluate", labels, "-p", sub, "--report", file).code == 0
    assert show(file).locator("#gallery").count() == 0
    assert cli("evaluate", labels, pictures_200, "-p", sub, "--report", file).code == 0
    page = show(file)
    assert page.locator("#cards li").count() == 60
    assert page.locator("canvas").count() == 0
    assert page.locator(".maps").is_hidden()


def test_check_shows_copies_beside_each_other(
    cli: Cli, pictures: Path, tmp_path: Path, show: Any
) -> None:
    shutil.copy(pictures / "a.jpg", pictures / "z.jpg")
    rows = [f"{name}.jpg,{at % 2}" for at, name in enumerate("abcdef")]
    (pictures / "labels.csv").write_text("\n".join(["image,target", *rows, "z.jpg,1"]) + "\n")
    file = tmp_path / "check.html"
    assert cli("check", pictures, "--labels", "labels.csv", "--report", file).code == 1
    page = show(file)
    page.locator("[data-group=conflict]").click()
    assert page.locator("#cards li").count() == 1
    assert page.locator("#cards img").count() == 2
    assert "z.jpg = a.jpg" in page.locator("#cards .name").first.inner_text()


def test_the_page_may_load_nothing_and_run_no_other_script(predicted: Path) -> None:
    text = predicted.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; ")
    assert re.search(r"script-src 'sha256-[\w+/]{43}='$", policy[1])


def test_a_resumed_report_has_all_pictures(
    cli: Cli, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, show: Any
) -> None:
    from maskspot.outputs.journal import Journal

    write, sub, file = Journal.write, tmp_path / "sub.csv", tmp_path / "report.html"

    def stop(journal: Journal, score: Score) -> None:
        if journal.count == 3:
            raise KeyboardInterrupt
        write(journal, score)

    words = ("predict", pictures, "-o", sub, "-m", "fast", "--report", file)
    monkeypatch.setattr(Journal, "write", stop)
    assert cli(*words).code == 130
    assert not file.exists()
    monkeypatch.setattr(Journal, "write", write)
    assert cli(*words, "--resume").code == 0
    assert show(file).locator("#cards img").count() == 6


@pytest.mark.parametrize("command", ["predict", "evaluate", "check"])
def test_a_report_that_cannot_be_written_is_refused_before_any_work(
    command: str, cli: Cli, demo_data: Path, tmp_path: Path
) -> None:
    labelled = {"evaluate": [demo_data / "test_labels.csv"]}.get(command, [])
    done = cli(command, *labelled, demo_data, "--report", tmp_path / "no" / "report.html")
    assert (done.code, done.out) == (2, "")
    assert "--report" in done.err
    assert len(done.err.splitlines()) == 1


def test_without_its_packages_a_report_names_the_extra(
    cli: Cli, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskspot.extras._REPORT", ("no_such_package",))
    done = cli("predict", pictures, "--report", tmp_path / "report.html")
    assert done.code == 2
    assert "pip install 'maskspot[report]'" in done.err


def test_a_watcher_sees_each_image_that_could_be_scored(
    predictor: Predictor, pictures: Path
) -> None:
    seen = []
    Image.new("L", (3000, 1500)).save(pictures / "large.png")
    images = [(name, pictures / name) for name in ("a.jpg", "gone.jpg", "large.png")]
    scores = predictor.predict_batch(images, True, lambda image, score: seen.append((image, score)))
    assert [score for _, score in seen] == [scores[0], scores[2]]
    assert [image.mode for image, _ in seen] == ["RGB", "RGB"]
    assert seen[1][0].size == (1024, 512)
    assert (scores[2].width, scores[2].height) == (3000, 1500)


@pytest.mark.slow
def test_the_documents_examples_run(
    cli: Cli, demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo_data, "photos")
    text = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    lines = re.findall(r"^maskspot .*", text, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        assert cli(*shlex.split(line)[1:]).code == 0
        assert Path(line.split()[-1]).read_text().startswith("<!doctype html>")
