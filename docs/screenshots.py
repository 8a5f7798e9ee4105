"""Makes the pictures of README.md and docs/: `python docs/screenshots.py`, with the dev extra and Chromium."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from attnprobe import atlas, heatmap, view
from attnprobe.render.figure import save_figure

TEXT = "The animal didn't cross the street because it was too tired."
HERE = Path(__file__).parent / "images"
EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    """Writes heatmap.png, view-head.png, view-model.png, atlas.png and atlas-phone.png into docs/images."""
    HERE.mkdir(exist_ok=True)
    with (HERE / "heatmap.png").open("wb") as file:
        save_figure(heatmap(TEXT, layers=3, heads=1, colours="white"), file, "png")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        view(TEXT).save(path)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1160, "height": 720}, device_scale_factor=1.05)
        page.goto(path.as_uri())
        page.get_by_role("button", name="layer 3, head 1", exact=True).click()
        page.locator("#queries button[data-at='10']").click()  # it
        page.wait_for_selector("#grid[data-drawn='1']")
        page.screenshot(path=HERE / "view-head.png")
        page.emulate_media(color_scheme="dark")
        page.wait_for_selector("#grid[data-drawn='2']")
        box = page.locator("#model-view").bounding_box()
        assert box
        clip = {"x": box["x"] - 16, "y": box["y"] - 12, "width": box["width"] + 32, "height": box["height"] + 24}
        page.screenshot(path=HERE / "view-model.png", clip=clip)
        draw_atlas(browser, Path(folder) / "atlas.html")
        browser.close()


def draw_atlas(browser: Browser, path: Path) -> None:
    """Draws the page of an atlas with a head chosen: its first screen, and that of a phone in the dark."""
    atlas(EXAMPLES / "sentences.txt", treebank=EXAMPLES / "treebank.conllu", importance="zero").save(path)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{path.as_uri()}#head=0.2")
    page.wait_for_selector("#heads tbody td")
    page.screenshot(path=HERE / "atlas.png")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(500)  # until the map fits
    page.screenshot(path=HERE / "atlas-phone.png")


if __name__ == "__main__":
    main()
