"""The page of the server, in a real browser: by hand, by keyboard, on a phone, and offline."""

import base64
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from maskspot import Predictor

for module in ("starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(module, reason="needs maskspot[serve]")

from maskspot.serving.guard import Guard  # noqa: E402
from maskspot.serving.limits import RequestLimits  # noqa: E402
from tests.http_server import Held, running  # noqa: E402

pytestmark = pytest.mark.slow

TOKEN = "correct-horse-battery-staple"
HOSTILE = "<img src=x onerror=hacked=1>.jpg"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor("fast")


@pytest.fixture(scope="module")
def url(predictor: Predictor) -> Iterator[str]:
    with running(predictor) as url:
        yield url


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page as a person does; it must ask nobody but the server, and complain of nothing."""
    contexts, asked, said = [], [], []

    def visit(url: str, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append((context, url))
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.goto(url)
        return page

    yield visit
    for context, _ in contexts:
        context.close()
    own = ("blob:", "data:", *(url for _, url in contexts))
    assert [each for each in asked if not each.startswith(own)] == []
    # Chromium reports every answer from 400 on, which a page cannot prevent.
    assert [each for each in said if not each.startswith("Failed to load resource")] == []


@pytest.fixture
def photos(pictures: Path) -> list[Path]:
    return [pictures / "a.jpg", pictures / "b.jpg"]


def scored(page: Any, count: int, of: int) -> None:
    page.locator("#status", has_text=f"{count} of {of} picture").wait_for(timeout=10_000)


def test_chosen_files_become_cards_with_probability_and_heatmap(
    url: str, visit: Any, photos: list[Path], predictor: Predictor
) -> None:
    page = visit(url)
    page.set_input_files("#files", photos)
    scored(page, 2, 2)
    names = page.locator("#cards .name").all_inner_texts()
    assert names == ["a.jpg", "b.jpg"]
    for card, photo in zip(page.locator("#cards li").all(), photos, strict=True):
        probability = predictor.predict(photo).probability
        assert probability is not None
        width = card.locator(".bar i").get_attribute("style")
        assert float(re.findall(r"[\d.e-]+", width)[-1]) == pytest.approx(100 * probability, 1e-3)
        assert "% likely" in card.locator(".said").inner_text()
        reddest = "c => Math.max(...c.getContext('2d').getImageData(0, 0, 8, 8).data)"
        assert card.locator("canvas").evaluate(reddest) > 0
    assert "fast" in page.locator("#model").inner_text()


def test_the_heatmaps_can_be_switched_off(url: str, visit: Any, photos: list[Path]) -> None:
    page = visit(url, reduced_motion="reduce")
    page.set_input_files("#files", photos[:1])
    scored(page, 1, 1)
    opacity = "canvas => getComputedStyle(canvas).opacity"
    assert page.locator("canvas").evaluate(opacity) == "1"
    page.locator("#heatmaps").uncheck()
    assert page.locator("canvas").evaluate(opacity) == "0"


def test_what_cannot_be_scored_says_why_and_names_stay_text(
    url: str, visit: Any, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / HOSTILE).write_text("<script>hacked=1</script>")
    page = visit(url)
    page.set_input_files("#files", [tmp_path / HOSTILE, photos[0]])
    scored(page, 1, 2)
    card = page.locator("#cards li").first
    card.locator(".said", has_text="Not scored: not an image").wait_for()
    assert card.locator(".name").inner_text() == HOSTILE
    assert page.evaluate("typeof hacked") == "undefined"
    page.locator("#status", has_text="1 could not be").wait_for()


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_pictures_can_be_dropped_and_pasted(
    url: str, visit: Any, photos: list[Path], event: str
) -> None:
    page = visit(url)
    content = base64.b64encode(photos[0].read_bytes()).decode()
    page.evaluate(
        """([kind, content]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "here.jpg", { type: "image/jpeg" }));
            const more = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(kind === "drop"
                ? new DragEvent("drop", { dataTransfer: data, ...more })
                : new ClipboardEvent("paste", { clipboardData: data, ...more }));
        }""",
        [event, content],
    )
    scored(page, 1, 1)
    assert page.locator("#cards .name").inner_text() == "here.jpg"


def test_the_camera_takes_a_picture_and_is_let_go(url: str, visit: Any) -> None:
    page = visit(url)
    page.locator("#camera").click()
    page.locator("dialog[open]").wait_for()
    page.locator("#video").evaluate("v => v.videoWidth || new Promise(r => v.onplaying = r)")
    track = page.evaluate_handle("document.getElementById('video').srcObject.getTracks()[0]")
    page.locator("#take").click()
    scored(page, 1, 1)
    assert page.locator("#cards .name").inner_text() == "camera-1.jpg"
    assert page.locator("dialog[open]").count() == 0
    assert track.evaluate("track => track.readyState") == "ended"


def test_with_a_token_the_page_asks_for_it_and_keeps_it_nowhere(
    predictor: Predictor, visit: Any, photos: list[Path]
) -> None:
    with running(predictor, guard=Guard(TOKEN)) as url:
        page = visit(url)
        page.locator("#entry").wait_for()
        page.set_input_files("#files", photos[:1])
        page.locator("#token").fill("a wrong one")
        page.keyboard.press("Enter")
        page.locator("#refused", has_text="not the token").wait_for()
        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")
        scored(page, 1, 1)
        assert page.locator("#entry").is_hidden()
        assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
        assert page.evaluate("document.cookie") == ""
        assert TOKEN not in page.content()


def test_a_server_with_no_room_is_asked_again(
    predictor: Predictor, visit: Any, photos: list[Path]
) -> None:
    held = Held(predictor)
    with running(held, RequestLimits(concurrency=1), threads=1) as url:
        page = visit(url)
        page.set_input_files("#files", photos)
        assert held.reached.wait(5)
        page.wait_for_timeout(300)  # the second one is refused
        held.gate.set()
        scored(page, 2, 2)


def test_everything_is_within_reach_of_the_keyboard(
    url: str, visit: Any, photos: list[Path]
) -> None:
    page = visit(url)
    choosers: list[Any] = []
    # Well before it opens: asking for it takes a while.
    page.on("filechooser", lambda each: choosers.append(each))  # noqa: PLW0108  # no built-in
    page.locator("#model", has_text="fast").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "choose"
    page.keyboard.press("Enter")
    for _ in range(200):
        if not choosers:
            page.wait_for_timeout(50)
    choosers[0].set_files(photos)
    scored(page, 2, 2)
    page.locator("#choose").focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert not page.locator("#heatmaps").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#cards li").count() == 0
    assert page.evaluate("document.activeElement.id") == "choose"
    assert page.locator("[role=status]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_it_fits_a_phone_light_and_dark(
    url: str, visit: Any, photos: list[Path], scheme: str, path: str, tmp_path: Path
) -> None:
    size = {"width": 360, "height": 740}
    page = visit(url + path, viewport=size, is_mobile=True, has_touch=True, color_scheme=scheme)
    if path == "/":
        long = tmp_path / f"{'long' * 40}.jpg"
        shutil.copyfile(photos[0], long)
        page.set_input_files("#files", [long])
        scored(page, 1, 1)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground, ink = (
        sum(
            int(part)
            for part in re.findall(r"\d+", page.evaluate(f"getComputedStyle(document.body).{p}"))[
                :3
            ]
        )
        for p in ("backgroundColor", "color")
    )
    assert (ground < ink) == (scheme == "dark")
    assert abs(ground - ink) > 500


def test_the_pages_may_load_nothing_and_run_no_other_script(url: str) -> None:
    httpx = pytest.importorskip("httpx")
    for path in ("/", "/docs"):
        policy = httpx.get(url + path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "connect-src 'self'" in policy
