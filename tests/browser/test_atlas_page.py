"""The page of an atlas as a whole: the keyboard, themes, widths, its size, and what must never happen."""

import itertools
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, expect

from attnprobe.render.atlas_page import make_atlas_page
from tests.atlases import RELATIONS, fabricated
from tests.browser.atlas_reading import column, rows_of, saved
from tests.browser.conftest import Open
from tests.browser.test_access import NAMELESS, contrast
from tests.browser.test_safety import assert_policy_holds

ATLAS = fabricated()
COMPARED = fabricated(against=True)
HOSTILE = "=1+1<script>alert(1)</script>\"'&${alert(1)}\u202e\u2028\n]]>"


def test_names_of_any_kind_are_shown_and_do_nothing(open_atlas: Open) -> None:
    data = json.loads(json.dumps(fabricated(2, 3, against=True)).replace("previous token", "PREVIOUS"))
    data["model"]["name"] = data["against"]["model"]["name"] = data["signature"] = HOSTILE
    data["relations"][0]["relation"] = data["against"]["remarks"][0] = data["remarks"][0] = HOSTILE
    data["sections"][0]["sources"] = [HOSTILE]
    data["texts"][0]["tokens"][1] = HOSTILE
    data["measures"][0] |= {"title": HOSTILE, "meaning": HOSTILE, "unit": HOSTILE, "command": HOSTILE}
    for head in data["heads"]:
        head["role"] = head["pattern"] = head["findings"][0]["text"] = HOSTILE
        head["relations"][0]["relation"] = HOSTILE
        head["values"][f"relations.{HOSTILE}"] = [0.5, None, None]
    data["measures"].append({**data["measures"][5], "name": f"relations.{HOSTILE}", "title": HOSTILE})
    data["roles"].append({"name": HOSTILE, "short": HOSTILE, "meaning": HOSTILE})
    page = open_atlas(data)
    rows_of(page)
    assert column(page, 1)[0] == HOSTILE
    page.locator("#table-group").select_option("relations")
    expect(page.locator("#heads thead th")).to_have_count(3 + len(RELATIONS) + 1)
    page.locator("#heads thead button").last.click()
    page.evaluate("(colour) => change({ colour })", f"relations.{HOSTILE}")
    expect(page.locator("#heads thead th").last).to_have_attribute("aria-sort", "descending")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == page.evaluate("document.scripts.length") <= 4
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 1
    for box in ("#grid-buttons", "#map-buttons"):
        ElementTree.fromstring(saved(page, box, 0))


def test_policy_holds(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "atlas.html"
    path.write_text(make_atlas_page(COMPARED), encoding="utf-8")
    assert_policy_holds(browser, path)


STOP = """() => {
    const element = document.activeElement;
    const style = getComputedStyle(element.matches(".options input") ? element.nextElementSibling : element);
    const name = element.getAttribute("aria-label") || element.textContent.trim() || element.title
        || [...(element.labels ?? [])].map((label) => label.textContent).join("");
    const isSeen = style.outlineStyle !== "none" || style.stroke === colour("var(--accent)");
    return [element.outerHTML.slice(0, 120), element === document.body, Boolean(name.trim()), isSeen];
}"""


def test_every_tab_stop_has_a_name_and_is_seen(open_atlas: Open) -> None:
    page = open_atlas(COMPARED)
    rows_of(page)
    stops = []
    while len(stops) < 120:
        page.keyboard.press("Tab")
        stop, is_over, *good = page.evaluate(STOP)
        if is_over:
            break
        assert good == [True, True], stop
        stops.append(stop)
    assert 15 < len(stops) < 70
    assert page.evaluate(NAMELESS) == []


COLOURS = """() => {
    const style = (element) => getComputedStyle(element);
    const isClear = (element) => /, 0\\)$/.test(style(element).backgroundColor);
    const under = (element) => (isClear(element) ? under(element.parentElement) : element);
    const found = document.querySelectorAll("h2, h3, p, #heads td, #heads .on button, .plain td");
    return [...found].map((element) => [style(element).color, style(under(element)).backgroundColor]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read(open_atlas: Open, scheme: str) -> None:
    page = open_atlas(COMPARED, scheme)
    rows_of(page)
    pairs = page.evaluate(COLOURS)
    plain = [pair for pair in map(tuple, pairs) if all(colour.startswith("rgb") for colour in pair)]
    assert min(contrast(*pair) for pair in set(plain)) >= 4.5


WIDTH = "document.documentElement.scrollWidth"


def test_the_document_does_not_scroll_sideways(open_atlas: Open) -> None:
    page = open_atlas(COMPARED)
    rows_of(page)
    for width in (1280, 900, 360):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_function("(width) => innerWidth === width", arg=width)
        assert page.evaluate(WIDTH) <= width
    page.locator("#map").evaluate("map => map.setAttribute('width', 2000)")  # as before it is drawn for a new width
    assert page.evaluate(WIDTH) <= 360


SEEN = """(selector) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility()).map((one) => {
    const { left, right, width, height } = one.getBoundingClientRect();
    const box = one.closest(".wide").getBoundingClientRect();
    return [one.textContent.replace(/\\s+/g, " "), left >= box.left && right <= box.right, width, height];
})"""


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_shows_twelve_heads_numbers_and_changes(open_atlas: Open, width: int) -> None:
    page = open_atlas(COMPARED, width=width)
    rows_of(page)
    heads = page.evaluate(SEEN, "#grid button")
    assert len(heads) == 72
    assert all(is_seen and min(size) >= 24 for _, is_seen, *size in heads)
    assert [name for name, is_seen, *_ in page.evaluate(SEEN, "#heads thead th") if is_seen][:3] == [
        "head",
        "role",
        "entropy",
    ]
    changes = [(name, is_seen) for name, is_seen, *_ in page.evaluate(SEEN, "#changes > :last-child th")]
    assert changes == [(name, True) for name in ("head", "measure", "change", "in spreads")]
    page.locator("#heads thead button").nth(1).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#heads thead button").nth(3)).to_be_focused()


def test_what_is_wider_than_its_place_fades_until_its_end(open_atlas: Open) -> None:
    page = open_atlas(fabricated(2, 16), width=360)
    box = page.locator(".wide:has(> #grid)")
    expect(box).to_have_css("mask-image", re.compile("gradient"))
    box.evaluate("box => box.scrollLeft = box.scrollWidth")
    expect(box).to_have_css("mask-image", "none")
    page.set_viewport_size({"width": 340, "height": 700})
    expect(box).to_have_css("mask-image", re.compile("gradient"))
    page.set_viewport_size({"width": 900, "height": 700})
    expect(box).to_have_css("mask-image", "none")


def test_lines_do_not_break_within_a_flag(open_atlas: Open) -> None:
    page = open_atlas({**ATLAS, "remarks": ["read with --max-tokens 5"]})
    flags = page.locator(".flag").all_text_contents()
    assert {"--explain", "--max-tokens"} <= {*flags}
    assert {flag.evaluate("one => getComputedStyle(one).whiteSpace") for flag in page.locator(".flag").all()} == {
        "nowrap"
    }
    assert "attnprobe patterns --explain has" in page.locator("#colour-meaning").inner_text()


GROUNDS = (
    """(selector) => [...document.querySelectorAll(selector)].map((one) => getComputedStyle(one).backgroundColor)"""
)


FRAMES = """[...document.querySelectorAll("button:not(#grid button, #tokens button), .options span")]
    .filter((one) => one.checkVisibility()).map((one) => getComputedStyle(one).borderTopWidth)"""
PLACES = """(all) => all.map((one) => one.getBoundingClientRect()).map(({ top, bottom }) => [top, bottom])"""


def test_high_contrast(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "atlas.html"
    path.write_text(make_atlas_page(COMPARED), encoding="utf-8")
    page = browser.new_page(forced_colors="active")
    page.goto(f"{path.as_uri()}#roles=broad")
    rows_of(page)
    assert len(set(page.evaluate(GROUNDS, "#legend .swatch"))) == page.locator("#legend .swatch").count()
    on, off = (page.evaluate(GROUNDS, f"#roles {which} + span")[0] for which in (":checked", ":not(:checked)"))
    assert on != off
    page.close()


def test_paper_has_all_but_the_table_of_all_heads(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "atlas.html"
    path.write_text(make_atlas_page(COMPARED), encoding="utf-8")
    page = browser.new_page(viewport={"width": 700, "height": 500})
    page.goto(f"{path.as_uri()}#roles=broad&colour=statistics.entropy&theme=dark")
    rows_of(page)
    [dark, *_] = page.evaluate(GROUNDS, "#grid button:not(.out)")
    page.emulate_media(media="print")
    for name in ("#grid", "#legend", "#telling", "#card", "#map", "#changes", "#relations", "#trees", "#coreference"):
        expect(page.locator(name)).to_be_visible()
    for control in page.locator("select, .buttons, #all-roles, #table-view").all():
        expect(control).to_be_hidden()
    assert {style for style in page.evaluate(FRAMES) if style != "0px"} == set()
    shown = [text.split(" ")[0] for text in page.locator("#controls label:visible").all_inner_texts()]
    assert shown == ["this", "broad"]
    expect(page.locator("#colour-meaning")).to_contain_text("entropy")
    assert all(
        page.locator(".views .wide").evaluate_all("all => all.map((box) => box.clientHeight >= box.scrollHeight)")
    )
    tops = page.locator(".views > :not([hidden])").evaluate_all(PLACES)
    assert all(bottom <= top for (_, bottom), (top, _) in itertools.pairwise(sorted(tops)))
    expect(page.locator("#grid button:not(.out)").first).not_to_have_css("background-color", dark)
    assert page.evaluate("isDark()") is False
    page.close()


def test_changes_are_in_sight(open_atlas: Open) -> None:
    page = open_atlas(COMPARED)
    box = page.locator("#changes").bounding_box()
    assert box is not None
    assert box["y"] < 800
    page.set_viewport_size({"width": 390, "height": 700})
    page.get_by_role("button", name="Changes").click()
    expect(page.locator("#changes-title")).to_be_in_viewport()
    expect(page.locator("#changes")).to_be_focused()


def test_what_is_held_out_stands_beside_the_card(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    card, held = (page.locator(name).bounding_box() for name in ("#card", "#baselines"))
    assert card is not None
    assert held is not None
    assert held["x"] + held["width"] < card["x"]
    expect(page.locator("#baselines h3")).to_have_count(3)
    page = open_atlas(fabricated(2, 3, sections=("texts",)))
    expect(page.locator("#baselines")).to_be_hidden()


def test_a_key_lists_the_keys(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    page.locator("#colour").focus()
    page.keyboard.press("?")
    expect(page.locator("#keys-help")).to_be_hidden()
    page.locator("#grid [tabindex='0']").focus()
    page.keyboard.press("?")
    expect(page.locator("#keys-help")).to_be_visible()
    expect(page.locator("#keys-help dt").filter(has_text="?")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#keys-help")).to_be_hidden()
    assert page.evaluate("state.head !== null")


def test_size_of_a_large_atlas() -> None:
    """144 heads with 45 measures, two examples of 32 tokens each, no weight of them 0."""
    data = fabricated(12, 12, against=True)
    tokens = [f"token{at}" for at in range(32)]
    data["texts"] = [{"id": str(at), "tokens": tokens, "special": [False] * 32, "n_tokens": 40} for at in range(200)]
    weights = [[0.1234] * 32] * 32
    for at, head in enumerate(data["heads"]):
        head["values"] |= {f"statistics.{more}": [1 / 3, 1 / 7, 2 / 3] for more in range(30)}
        head["examples"] = [{**head["examples"][0], "text": at + one, "weights": weights} for one in range(2)]
    assert len(make_atlas_page(data).encode()) <= 5_000_000
