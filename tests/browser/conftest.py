"""One browser for all tests; a page that asks for anything from outside or reports an error fails its test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from attnprobe import Encoder, View, view
from attnprobe.render.atlas_page import make_atlas_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
TEXT = "The animal didn't cross the street because it was unremarkably tired."
PAIR = ("Where did the cat sleep?", "The cat slept on the unremarkable mat.")
Open = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        message = f"no browser: install one of {', '.join(NAMES)}"
        pytest.fail(message) if os.environ.get("ATTNPROBE_REQUIRE_BROWSER") == "1" else pytest.skip(message)
    expect.set_options(timeout=10_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def sentence(minilm: Encoder) -> View:
    return view(TEXT, minilm, show="0.0")


@pytest.fixture(scope="package")
def tab(browser: Browser) -> tuple[Page, list[str]]:
    """A tab that is used again and again, and what happened in it that should not."""
    page, faults = browser.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(f"error {error}"))
    page.on("console", lambda message: faults.append(f"console {message.text}"))
    page.on("dialog", lambda dialog: faults.append(f"dialog {dialog.message}"))
    page.on("request", lambda request: faults.append(f"request {request.url}"))
    return page, faults


def load(page: Page, path: Path, scheme: Any = "light", width: int = 1280, height: int = 800, at: str = "") -> Page:
    """Loads a file in a tab, at an address within it."""
    page.mouse.move(0, 0)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    page.goto("about:blank")  # another address of the same file would not load it again
    page.goto(f"{path.as_uri()}#{at}" if at else path.as_uri())
    return page


def foreign(faults: list[str], path: Path) -> list[str]:
    """What happened that should not: errors, and requests but for the file and pictures on their way to a PNG."""
    own = (f"request {path.as_uri()}", "request about:blank", "request data:image/svg+xml,")
    return [fault for fault in faults if not fault.startswith(own)]


@pytest.fixture
def open_page(tab: tuple[Page, list[str]], tmp_path: Path) -> Iterator[Open]:
    """Opens a view from a file; afterwards, nothing must have been asked for but that file, and no error reported."""
    page, faults = tab
    path = tmp_path / "page.html"

    def open_page(made: View, scheme: str = "light", **how: Any) -> Page:
        made.save(path, overwrite=True)
        load(page, path, scheme, **how)
        expect(page.locator("#what")).to_contain_text("layer", ignore_case=True)
        return page

    faults.clear()
    yield open_page
    assert foreign(faults, path) == []


@pytest.fixture
def open_atlas(tab: tuple[Page, list[str]], tmp_path: Path) -> Iterator[Open]:
    """Opens the page of an atlas's data; what must not happen is as with a view."""
    page, faults = tab
    path = tmp_path / "atlas.html"

    def open_atlas(data: dict[str, Any], scheme: str = "light", **how: Any) -> Page:
        path.write_text(make_atlas_page(data), encoding="utf-8")
        return load(page, path, scheme, **how)

    faults.clear()
    yield open_atlas
    assert foreign(faults, path) == []


@pytest.fixture
def page(open_page: Open, sentence: View) -> Page:
    return open_page(sentence)
