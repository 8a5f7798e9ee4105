"""How large the page of an atlas is, and how soon one sees something: `python benchmarks/atlas_page.py`.

The atlases are made up, with as many measures as a real one has and two examples of 24 tokens for each head. Times are
medians of fresh tabs: the grid on the screen, all of the page drawn, and then a click that sorts the table.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from attnprobe.render.atlas_page import make_atlas_page

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.atlases import fabricated

SIZES = ((6, 12), (12, 12), (24, 16))
GROUPS, MEASURES, TOKENS = ("statistics", "norms", "patterns"), 17, 24
# Notes when the first frame with the grid is on the screen, and when the first with the table is.
WATCH = """
for (const [name, selector] of Object.entries({ grid: "#grid tbody td", table: "#heads tbody td" })) {
    new MutationObserver((_, observer) => {
        if (!document.querySelector(selector)) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => (window[`${name}At`] = performance.now())));
    }).observe(document, { subtree: true, childList: true });
}
"""
SORT = """() => {
    const start = performance.now();
    document.querySelectorAll("#heads thead button")[5].click();
    const later = (then) => requestAnimationFrame(() => setTimeout(then));
    return new Promise((done) => later(() => later(() => done(performance.now() - start))));
}"""


def atlas(layers: int, heads: int) -> dict[str, Any]:
    """Makes up an atlas as large as a real one."""
    data = fabricated(layers, heads)
    names = [f"{group}.more_{at}" for group in GROUPS for at in range(MEASURES)]
    data["measures"] += [{**data["measures"][0], "name": name, "title": name.partition(".")[2]} for name in names]
    tokens = [f"token{at}" for at in range(TOKENS)]
    text = {"tokens": tokens, "special": [False] * TOKENS, "n_tokens": TOKENS}
    data["texts"] = [{"id": str(at), **text} for at in range(layers * heads)]
    weights = [[round(1 / (3 + query + key), 4) for key in range(TOKENS)] for query in range(TOKENS)]
    for at, head in enumerate(data["heads"]):
        head["values"] |= {name: [(at % 97) / 97, (at % 97) / 98, (at % 97) / 96] for name in names}
        head["examples"] = [{**example, "text": at, "weights": weights} for example in head["examples"]]
    return data


def times(browser: Browser, path: Path, rounds: int = 5) -> list[float]:
    """Measures a page: milliseconds to the grid, to the table, and of a sort."""
    found = []
    for _ in range(rounds):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(path.as_uri())
        page.wait_for_function("window.gridAt && window.tableAt")
        found.append([*page.evaluate("[gridAt, tableAt]"), page.evaluate(SORT)])
        page.close()
    return [median(column) for column in zip(*found, strict=True)]


def main() -> None:
    """Prints a row for each size."""
    print("| heads | page, MB | grid, s | whole page, s | sort, s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for layers, heads in SIZES:
            path = Path(folder) / "atlas.html"
            path.write_text(make_atlas_page(atlas(layers, heads)), encoding="utf-8")
            seconds = " | ".join(f"{milliseconds / 1000:.2f}" for milliseconds in times(browser, path))
            print(f"| {layers * heads} | {path.stat().st_size / 1e6:.1f} | {seconds} |", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
