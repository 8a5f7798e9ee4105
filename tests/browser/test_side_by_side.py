"""Two pages in one file: each is whole, neither reaches the network, and they stack where there is no room."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, expect

from attnprobe import Encoder, View, view
from tests.browser.conftest import TEXT

OTHER = "A cat </script> & <b>sat</b>."


@pytest.fixture(scope="module")
def two_texts(minilm: Encoder) -> View:
    return view(TEXT, minilm, against=OTHER)


@pytest.fixture
def open_both(tab: tuple[Page, list[str]], tmp_path: Path) -> Iterator[Callable[..., tuple[Page, list[FrameLocator]]]]:
    """Opens a file of two pages; afterwards, nothing else must have been asked for, and no error reported."""
    page, faults = tab
    path = tmp_path / "page.html"

    def open_both(made: View, width: int = 1400) -> tuple[Page, list[FrameLocator]]:
        made.save(path)
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(path.as_uri())
        frames = [page.frame_locator("iframe").nth(at) for at in range(2)]
        for frame in frames:
            expect(frame.locator("#what")).to_contain_text("Layer")
        return page, frames

    faults.clear()
    yield open_both
    assert faults == [f"request {path.as_uri()}"]


def box(locator: Locator) -> dict[str, float]:
    found = locator.bounding_box()
    assert found is not None
    return dict(found)  # type: ignore[arg-type]


def test_both_pages_are_whole(open_both: Callable[..., tuple[Page, list[FrameLocator]]], two_texts: View) -> None:
    page, frames = open_both(two_texts)
    headings = page.locator("section > h1")
    assert headings.all_text_contents() == [f"all-MiniLM-L6-v2: {text}" for text in (TEXT, OTHER)]
    for frame, text in zip(frames, (TEXT, OTHER), strict=True):
        expect(frame.locator("h1")).to_have_text(text)
        expect(frame.locator("#grid canvas")).to_have_count(72)
        frame.get_by_role("button", name="layer 2, head 9", exact=True).click()
        expect(frame.locator("#what")).to_contain_text("Layer 2, head 9")
    assert (
        page.locator("iframe").evaluate_all("frames => frames.map((frame) => frame.sandbox.value)")
        == ["allow-scripts allow-downloads"] * 2
    )
    assert page.locator("b").count() == 0


def chosen(frame: FrameLocator) -> list[str]:
    return frame.locator("#queries button[aria-pressed=true]").evaluate_all("all => all.map((one) => one.dataset.at)")


def test_what_one_page_shows_the_other_shows(
    open_both: Callable[..., tuple[Page, list[FrameLocator]]], minilm: Encoder
) -> None:
    """Tokens are found by what they are, and one that the other text lacks is not chosen there."""
    _, (left, right) = open_both(view("A cat sat.", minilm, against="A dog ran off.", show="0.0", query="A"))
    left.get_by_role("button", name="layer 2, head 9", exact=True).click()
    expect(right.locator("#what")).to_contain_text("Layer 2, head 9")
    right.locator("#queries button").nth(5).click()
    expect(left.locator("#queries button").nth(4)).to_have_attribute("aria-pressed", "true")
    assert (chosen(left), chosen(right)) == (["4"], ["5"])
    left.locator("#queries button").nth(3).click()
    expect(right.locator("#queries button[aria-pressed=true]")).to_have_count(0)
    assert chosen(left) == ["3"]


def test_the_headings_follow_the_theme(
    open_both: Callable[..., tuple[Page, list[FrameLocator]]], two_texts: View
) -> None:
    page, (left, right) = open_both(two_texts)
    page.emulate_media(color_scheme="light")
    background = page.locator("section").first
    bright = background.evaluate("(section) => getComputedStyle(section).backgroundColor")
    for frame, theme in ((left, "dark"), (right, "light")):
        name = f"{theme.capitalize()} theme"
        frame.get_by_role("button", name=name).click()
        expect(page.locator("html")).to_have_css("color-scheme", theme)
        seen = background.evaluate("(section) => getComputedStyle(section).backgroundColor")
        assert (seen == bright) == (theme == "light")


@pytest.mark.parametrize(("width", "beside"), [(1400, True), (900, True), (899, False), (390, False)])
def test_pages_stand_beside_each_other_where_there_is_room(
    open_both: Callable[..., tuple[Page, list[FrameLocator]]], two_texts: View, width: int, beside: bool
) -> None:
    page, _ = open_both(two_texts, width)
    left, right = (box(page.locator("section").nth(at)) for at in range(2))
    assert (left["y"] == right["y"]) == beside
    assert (left["x"] == right["x"]) != beside
    assert left["width"] == pytest.approx(width / 2 if beside else width, abs=16)
    assert left["height"] > 600


def test_two_models(
    open_both: Callable[..., tuple[Page, list[FrameLocator]]], minilm: Encoder, encoder_of: Callable[[str], Encoder]
) -> None:
    other = encoder_of("bert")
    page, frames = open_both(view("A cat sat.", minilm, against_model=other))
    names = [encoder.location.short_name for encoder in (minilm, other)]
    assert page.locator("section > h1").all_text_contents() == [f"{name}: A cat sat." for name in names]
    counts = [encoder.layers * encoder.heads for encoder in (minilm, other)]
    for frame, count in zip(frames, counts, strict=True):
        expect(frame.locator("#grid canvas")).to_have_count(count)
