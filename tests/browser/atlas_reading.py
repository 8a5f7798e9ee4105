"""What the page of an atlas shows in its table, and what it saves."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.atlases import fabricated


def rows_of(page: Page) -> Locator:
    """The rows of heads, once they are drawn."""
    rows = page.locator("#heads tbody tr")
    expect(rows.first).to_be_attached()
    return rows


def column(page: Page, at: int) -> list[str]:
    """What is written in a column, of the heads that are shown."""
    return page.locator(f"#heads tbody tr:not([hidden]) > :nth-child({at + 1})").all_text_contents()


def number(text: str) -> float | None:
    return float(text.replace("−", "-")) if text else None


def saved(page: Page, box: str, at: int) -> bytes:
    """The file that a button saves, by its number in its box."""
    with page.expect_download() as download:
        page.locator(f"{box} button").nth(at).click()
    return Path(download.value.path()).read_bytes()


def sparse() -> dict[str, Any]:
    """An atlas in which some heads have no entropy, and one no role."""
    data = fabricated(3, 4)
    for head in data["heads"][::3]:
        del head["values"]["statistics.entropy"]
    data["heads"][5]["role"] = None
    return data
