"""Makes the pictures of README.md and docs/: `python docs/screenshots.py`, with the dev extra and Chromium."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from attnprobe import heatmap, view
from attnprobe.render.figure import save_figure

TEXT = "The animal didn't cross the street because it was too tired."
HERE = Path(__file__).parent / "images"


def main() -> None:
    """Writes docs/images/view-head.png, view-model.png and heatmap.png."""
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
        browser.close()


if __name__ == "__main__":
    main()
