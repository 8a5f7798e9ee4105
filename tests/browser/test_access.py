"""The keyboard, screen readers and both themes."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from attnprobe import Encoder, View, load_encoder, view
from tests.browser.conftest import PAIR, Open
from tests.browser.reading import labels, shown, token
from tests.families import FAMILIES, build

FOCUS = """() => {
    const element = document.activeElement;
    return element.dataset.at !== undefined ? `${element.closest("ol").id} ${element.dataset.at}`
        : element.name || element.id || element.getAttribute("aria-label") || element.textContent;
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, table, ol, section, dialog")].filter((element) =>
    !element.getAttribute("aria-label") && !element.getAttribute("aria-labelledby") && !element.textContent.trim()
    && !element.closest("label")).map((element) => element.outerHTML)"""


def test_tab_reaches_every_group_once(page: Page) -> None:
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUS))
        if stops[-1] == "select layer 0, head 0":
            break
    order = ["help", "theme", "layer", "head", "all-heads", "no-heads", "words", "special", "scale", "threshold"]
    order += ["svg", "png", "queries 0", "keys 0", "As text", "layer 0, head 0", "layer", "head"]
    assert [stop for stop in stops if stop in order] == order
    assert len(stops) < 45


def test_focus_is_visible(page: Page) -> None:
    style = "getComputedStyle(document.activeElement)"
    shown_on = {"layer": "getComputedStyle(document.activeElement.nextElementSibling)"}
    for _ in range(12):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.name")
        where = shown_on["layer"] if name and name != "threshold" else style
        assert page.evaluate(f"{where}.outlineStyle") != "none", page.evaluate(FOCUS)


def test_arrows_move_among_tokens(page: Page) -> None:
    token(page, "queries", 0).focus()
    steps = [("ArrowDown", "queries 1"), ("ArrowDown", "queries 2"), ("ArrowRight", "keys 2"), ("ArrowUp", "keys 1")]
    last = len(labels(page, "keys")) - 1
    steps += [("End", f"keys {last}"), ("ArrowDown", f"keys {last}"), ("ArrowLeft", f"queries {last}")]
    steps += [("Home", "queries 0"), ("ArrowUp", "queries 0"), ("ArrowDown", "queries 1")]
    for key, where in steps:
        page.keyboard.press(key)
        assert page.evaluate(FOCUS) == where
        expect(page.locator("#tokens .focused")).to_have_count(1)
    expect(page.locator("#top")).to_contain_text(f"“{labels(page, 'queries')[1]}” looks at")
    page.keyboard.press("Enter")
    expect(token(page, "queries", 1)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(token(page, "queries", 1)).to_have_attribute("aria-pressed", "false")


def test_arrows_and_space_choose_layers_and_heads(page: Page) -> None:
    page.locator("input[name=layer]").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#what")).to_contain_text("Layer 1, head 0")
    page.locator("input[name=head]").first.focus()
    for key in ("ArrowRight", "ArrowRight", "Space"):
        page.keyboard.press(key)
    expect(page.locator("#what")).to_contain_text("Layer 1, heads 0, 2")
    assert shown(page).shape[0] == 2


def test_arrows_and_enter_choose_a_heat_map_and_a_row(page: Page) -> None:
    page.locator("#grid button").first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#what")).to_contain_text("Layer 2, head 2")
    page.locator("#stats th button").nth(2).focus()
    page.keyboard.press("Enter")
    page.locator("#stats tbody button[tabindex='0']").focus()
    for key in ("ArrowDown", "Enter"):
        page.keyboard.press(key)
    name = page.locator("#stats tbody tr").nth(1).locator("button").get_attribute("aria-label")
    expect(page.locator("#what")).to_contain_text(str(name).removeprefix("select layer").strip().split(",")[1].strip())


def test_help_opens_and_closes(page: Page) -> None:
    """Escape closes the dialog first; the kept tokens go with the next."""
    token(page, "queries", 1).click()
    page.get_by_role("button", name="Keyboard").click()
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(token(page, "queries", 1)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(token(page, "queries", 1)).to_have_attribute("aria-pressed", "false")


def test_landmarks_and_names(page: Page) -> None:
    for role in ("banner", "main", "contentinfo", "status"):
        expect(page.get_by_role(role)).to_have_count(1)
    for name in ("Head view", "Model view", "Statistics of each head"):
        expect(page.get_by_role("region", name=name)).to_have_count(1)
    expect(page.get_by_role("radio", name="layer 3")).to_have_count(1)
    expect(page.get_by_role("checkbox", name="head 11")).to_have_count(1)
    expect(page.get_by_role("list", name=re.compile("^queries"))).to_have_count(1)
    expect(page.get_by_role("group", name="Special tokens")).to_have_count(1)
    assert page.evaluate(NAMELESS) == []


def test_text_alternative(page: Page) -> None:
    page.get_by_text("As text").click()
    weights = shown(page)[0]
    rows = page.locator("#text-table tbody tr")
    expect(rows).to_have_count(len(weights))
    names = labels(page, "keys")
    for at in (0, 4):
        best = [key for key in np.argsort(-weights[at], kind="stable")[:3] if weights[at, key] >= 0.02]
        digits = [f"{names[key]} {weights[at, key]:.{3 if weights[at, key] < 0.1 else 2}f}" for key in best]
        expect(rows.nth(at).locator("td")).to_have_text(" · ".join(digits))


def luminance(rgb: str) -> float:
    """Relative luminance (WCAG 2)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", rgb)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_follows_the_system_and_the_button(open_page: Open, sentence: View, scheme: str) -> None:
    page = open_page(sentence, scheme)
    other = {"light": "dark", "dark": "light"}[scheme]
    for theme, leads_to in ((scheme, other), (other, scheme)):
        expect(page.locator("#theme")).to_have_text(f"{leads_to.title()} theme")
        colours = page.evaluate("['paper', 'ink', 'quiet'].map((name) => colour(`var(--${name})`))")
        assert (luminance(colours[0]) > 0.5) == (theme == "light")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colours[0]
        assert min(contrast(colours[0], text) for text in colours[1:]) >= 4.5
        heads = page.evaluate("[...Array(COLOURS).keys()].map((head) => colour(`var(--head-${head})`))")
        assert len(set(heads)) == 12
        assert min(contrast(colours[0], head) for head in heads) >= 4.5
        page.locator("#theme").click()


@pytest.mark.parametrize("width", [1280, 800, 400])
def test_nothing_sticks_out(open_page: Open, sentence: View, width: int) -> None:
    page = open_page(sentence, width=width, height=600)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture
def twelve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    sizes = {"num_hidden_layers": 12, "num_attention_heads": 12, "hidden_size": 48}
    family = FAMILIES["xlm-roberta"]
    monkeypatch.setitem(FAMILIES, "twelve", replace(family, config={**family.config, **sizes}))
    return load_encoder(build("twelve", tmp_path / "twelve"))


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).bounding_box()
    assert found
    return {**found, "bottom": found["y"] + found["height"]}


def test_layout_by_width(open_page: Open, twelve: Encoder) -> None:
    made = view(PAIR[0], twelve, pair=PAIR[1], query="cat", key="slept")
    page = open_page(made, width=1280, height=800)
    expect(page.locator("#ranking button")).to_have_count(144)
    assert box(page, "#tokens")["y"] < 270  # below a title of two lines, which has the role of the head
    assert box(page, "#grid")["bottom"] <= 800
    row = box(page, "#queries li >> nth=0")["height"]
    page = open_page(made, width=1920, height=1080)
    expect(page.locator("#ranking button")).to_have_count(144)
    assert box(page, "#queries li >> nth=0")["height"] > 1.15 * row
    assert box(page, "#grid")["bottom"] <= 1080
    page = open_page(made, width=390, height=844)
    for at in range(len(labels(page, "keys"))):
        label = page.locator("#keys .label").nth(at)
        assert label.evaluate("(label) => label.scrollWidth <= label.clientWidth"), label.text_content()


def test_a_key_lists_the_keys(page: Page) -> None:
    page.locator("body").press("?")
    expect(page.locator("#keys-help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys-help")).to_be_hidden()
