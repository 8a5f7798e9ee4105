"""What a page shows, as numbers."""

import json

import numpy as np
from playwright.sync_api import Locator, Page, expect

ALPHA = """(canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
}"""


def shown(page: Page) -> np.ndarray:
    """The weights of the heads that are on: (head, query, key) as listed."""
    page.evaluate("showHeads('heads')")  # after what is under way
    data = page.evaluate("JSON.stringify([scene.weights.map((its) => [...its]), scene.queries, scene.keys])")
    weights, queries, keys = json.loads(data)
    return np.reshape(weights, (-1, len(queries), len(keys)))


def token(page: Page, side: str, at: int) -> Locator:
    return page.locator(f"#{side} button").nth(at)


def labels(page: Page, side: str) -> list[str]:
    return page.locator(f"#{side} .label").all_text_contents()


def lines(page: Page) -> int:
    return page.locator("#lines path").count()


def written(page: Page, side: str) -> list[float]:
    """The weights written beside the tokens of a side, one head being on; 0 where none is."""
    return [float(text or 0) for text in page.locator(f"#{side} .values").all_text_contents()]


def choose(page: Page, name: str, value: object) -> None:
    page.locator(f"#controls input[name={name}][value='{value}']").check(force=True)


def drawn(page: Page, layer: int, head: int) -> np.ndarray:
    """The opacity of a heat map's pixels, 0 to 255."""
    expect(page.locator("#grid[data-drawn]")).to_have_count(1)
    canvas = page.locator("#grid canvas").nth(12 * layer + head)
    height = canvas.evaluate("(canvas) => canvas.height")
    return np.reshape(canvas.evaluate(ALPHA), (height, -1, 4))[..., 3]
