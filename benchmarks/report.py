"""Measure how long a browser takes to show a report of many images.

    python benchmarks/report.py [--images 10000] [--rounds 5] [--json FILE]

Times the first page of the gallery, compared with an empty page of the same size; then sorting,
turning the page and searching. Pictures are drawn; the browser is Debian's chromium, headless.
"""

import argparse
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import report, table
from playwright.sync_api import Browser, sync_playwright

from maskspot.datasets import demo
from maskspot.model.score import Score
from maskspot.reporting.page import write_page
from maskspot.reporting.predictions import PredictionReport

OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
ACTS = {
    "sort": ("#order", "o => { o.value = 'uncertain'; o.dispatchEvent(new Event('change')) }"),
    "turn the page": ("#next", "b => b.click()"),
    "search": ("#search", "s => { s.value = '99'; s.dispatchEvent(new Event('input')) }"),
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page, blank = Path(folder) / "report.html", Path(folder) / "blank.html"
        draw(page, given.images)
        blank.write_text(f'<script type="text/plain">{"A" * page.stat().st_size}</script><ul><li>')
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(OPTIONS)
        )
        taken: dict[str, list[float]] = {name: [] for name in ("blank page", "first page", *ACTS)}
        for _ in range(given.rounds):
            for name, took in visit(chromium, blank, page).items():
                taken[name].append(took)
        size = page.stat().st_size / 1e6
    rows = []
    for name, seconds in taken.items():
        ratio = statistics.median(seconds) / statistics.median(taken["blank page"])
        rows.append([name, f"{1000 * statistics.median(seconds):.0f}", f"{ratio:.2f}"])
    text = table((f"{given.images:,} images, {size:.1f} MB", "median ms", "ratio"), rows)
    report(text, {"images": given.images, "megabytes": size, "seconds": taken}, given.json)


def draw(file: Path, images: int) -> None:
    """Write a report of drawn pictures."""
    rng, chance = random.Random(0), np.random.default_rng(0)
    pictures = [demo.draw_picture(rng, masked=at % 2 == 1) for at in range(50)]
    page = PredictionReport()
    for at in range(images):
        heatmap = chance.normal(size=(8, 8)).astype(np.float32)
        probability = float(chance.beta(0.3, 0.3))
        score = Score(f"photo{at}.jpg", probability, width=400, height=300, heatmap=heatmap)
        page.watch(pictures[at % 50], score)
        list(page.count([score]))
    write_page(page.page("default"), file)


def visit(chromium: Browser, blank: Path, page: Path) -> dict[str, float]:
    """Return the seconds that opening both pages and each action took."""
    found = {}
    for name, file in (("blank page", blank), ("first page", page)):
        tab = chromium.new_page()
        started = time.perf_counter()
        tab.goto(file.as_uri())
        tab.wait_for_selector("li")
        found[name] = time.perf_counter() - started
        for act, (selector, action) in ACTS.items() if name == "first page" else ():
            found[act] = tab.eval_on_selector(
                selector,
                f"e => {{ const t = performance.now(); ({action})(e); "
                "return (performance.now() - t) / 1000 }",
            )
        tab.close()
    return found


if __name__ == "__main__":
    main()
