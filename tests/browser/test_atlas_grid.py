"""The grid of an atlas: its colours, filters, keys and address, and what holds the page together."""

import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from attnprobe.render.atlas_page import make_atlas_page
from attnprobe.render.page import View
from tests.atlases import fabricated
from tests.browser.conftest import Open
from tests.browser.test_access import contrast, luminance

CELLS = """() => [...document.querySelectorAll("#grid button")].map((cell) => {
    const { color, backgroundColor } = getComputedStyle(cell);
    return [cell.textContent, backgroundColor, color, cell.className];
})"""
ON = "#grid [aria-pressed=true]"


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    """Two atlases, one head of which lacks a role and a value, and some of which have equal roles."""
    made = fabricated(4, 5, against=True)
    made["heads"][7]["role"] = None
    del made["heads"][7]["values"]["statistics.entropy"]
    for head, other in zip(made["heads"][:5], made["against"]["heads"], strict=False):
        other["role"] = head["role"]
    return made


def cells(page: Page) -> list[list[str]]:
    found: list[list[str]] = page.evaluate(CELLS)
    return found


def colour_by(page: Page, name: str) -> None:
    page.locator("#colour").select_option(name)


def written(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A number as the page writes it."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    is_none = float(text) == 0
    return ("+" * (sign and not is_none and value > 0)) + (text.lstrip("-") if is_none else text.replace("-", "−"))


def values(heads: list[dict[str, Any]], name: str) -> list[float | None]:
    return [head["values"].get(name, [None])[0] for head in heads]


def test_roles_have_their_names_and_the_colours_of_the_legend(open_atlas: Open, data: dict[str, Any]) -> None:
    page = open_atlas(data)
    shorts = {role["name"]: role["short"] for role in data["roles"]}
    names = [head["role"] for head in data["heads"]]
    seen = cells(page)
    assert [text for text, *_ in seen] == ["–" if name is None else shorts[name] for name in names]
    entries = page.locator("#legend li")
    legend = {
        entry.locator("b").inner_text(): (
            entry.inner_text(),
            entry.locator(".swatch").evaluate("(its) => getComputedStyle(its).backgroundColor"),
        )
        for entry in entries.all()
    }
    assert set(legend) == {name or "no role" for name in names}
    for name, (_, ground, _, kind) in zip(names, seen, strict=True):
        assert kind == ("empty" if name is None else "")
        if name is not None:
            assert ground == legend[name][1]
        assert f" {names.count(name)}" in legend[name or "no role"][0]
    assert len({ground for _, ground in legend.values()}) == len(legend)


def test_the_higher_a_value_the_darker_its_cell(open_atlas: Open, data: dict[str, Any]) -> None:
    page = open_atlas(data)
    colour_by(page, "statistics.entropy")
    known = values(data["heads"], "statistics.entropy")
    seen = cells(page)
    assert [text for text, *_ in seen] == [written(value) for value in known]
    ordered = sorted((value, luminance(ground)) for value, (_, ground, *_) in zip(known, seen, strict=True) if value)
    assert all(later <= one + 0.01 for (_, one), (_, later) in pairwise(ordered))
    assert ordered[0][1] > 0.7 > 0.2 > ordered[-1][1]
    expect(page.locator("#legend line")).to_have_count(19)
    expect(page.locator("#legend")).to_contain_text("1 head without a value")
    expect(page.locator("#legend code")).to_have_text("attnprobe statistics.entropy")
    expect(page.locator("#colour-meaning")).to_contain_text("what statistics.entropy means (nats)")
    assert page.evaluate("getComputedStyle(document.querySelector('#grid .empty')).backgroundImage") != "none"


def is_reddish(rgb: str) -> bool:
    red, _, blue = map(int, re.findall(r"\d+", rgb)[:3])
    return red > blue


def test_changes_lie_around_none(open_atlas: Open, data: dict[str, Any]) -> None:
    page = open_atlas(data, at="colour=relations.obj")
    mine, other = (values(of["heads"], "relations.obj") for of in (data, data["against"]))
    for name, expected in (("this", mine), ("other", other)):
        page.get_by_role("radio", name=name).check(force=True)
        assert [text for text, *_ in cells(page)] == [written(value) for value in expected]
    page.get_by_role("radio", name="change").check(force=True)
    changes = [one - two for one, two in zip(mine, other, strict=True) if one is not None and two is not None]
    seen = cells(page)
    assert [text for text, *_ in seen] == [written(value, sign=True) for value in changes]
    for value, (_, ground, *_) in zip(changes, seen, strict=True):
        if abs(value) > 0.05:
            assert is_reddish(ground) == (value > 0)
    ends = page.locator("#legend .ends span").all_text_contents()
    most = max(map(abs, changes))
    assert ends == [written(-most), "0.00", written(most, sign=True)]


def test_unchanged_roles_are_blank(open_atlas: Open, data: dict[str, Any]) -> None:
    page = open_atlas(data, at="shown=change")
    same = [one["role"] == two["role"] for one, two in zip(data["heads"], data["against"]["heads"], strict=True)]
    assert [text == "=" for text, *_ in cells(page)] == same
    assert all(same[:5])
    expect(page.locator("#legend")).to_contain_text(f"unchanged {sum(same)}")
    at = same.index(False)
    was = data["against"]["heads"][at]["role"]
    expect(page.locator("#grid button").nth(at)).to_have_attribute("title", re.compile(f"was {was}"))


@pytest.mark.parametrize("shown", ["this", "other", "change"])
def test_filters_and_legend_count_the_same_heads(open_atlas: Open, data: dict[str, Any], shown: str) -> None:
    page = open_atlas(data, at=f"shown={shown}")
    heads, others = ([head["role"] or "no role" for head in of["heads"]] for of in (data, data["against"]))
    roles = others if shown == "other" else heads
    chips = {
        text.rpartition(" ")[0]: text.rpartition(" ")[2] for text in page.locator("#roles label").all_inner_texts()
    }
    assert {name: int(count) for name, count in chips.items() if count != "0"} == Counter(roles)
    legend = " ".join(page.locator("#legend li").all_inner_texts())
    for role, count in Counter(roles).items():
        changed = sum(one == role != other for one, other in zip(heads, others, strict=True))
        more = f" in this atlas, {changed or 'none'} changed" if shown == "change" else " ·" * (role != "no role")
        assert f"{role} {count}{more}" in legend
    atlas = "the other atlas" if shown == "other" else "this atlas"
    expect(page.locator("#roles input").first).to_have_attribute("aria-label", re.compile(f"heads? in {atlas}$"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_is_readable_on_every_colour(open_atlas: Open, data: dict[str, Any], scheme: str) -> None:
    page = open_atlas(data, scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.evaluate("listeners.splice(0, Infinity, showGrid)")  # the others would take their time
    code = f"""() => [
        ...["this", "change"].flatMap((shown) =>
            colourings.flatMap((colour) => (change({{ shown, colour }}), ({CELLS})()))),
        ...(change({{ roles: new Set(["broad"]) }}), ({CELLS})()),
    ]"""
    pairs = {(ink, paper if ground == "rgba(0, 0, 0, 0)" else ground) for _, ground, ink, _ in page.evaluate(code)}
    assert len(pairs) > 100
    assert {pair: contrast(*pair) for pair in pairs if contrast(*pair) < 4.5} == {}


def test_keys_move_in_the_grid_and_choose(open_atlas: Open, data: dict[str, Any]) -> None:
    page = open_atlas(data)
    expect(page.locator(ON)).to_have_attribute("aria-label", re.compile("^layer 0, head 0: "))
    stop = page.locator("#grid [tabindex='0']")
    expect(stop).to_have_count(1)
    stop.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "End", "ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    head = data["heads"][2 * 5 + 1]
    chosen = page.locator(ON)
    finding = head["findings"][0]["text"].replace(" %", "\u00a0%")
    expect(chosen).to_have_attribute("aria-label", f"layer 2, head 1: {head['role']}; {finding}")
    expect(chosen).to_be_focused()
    said = page.locator("#said[role=status]")
    expect(said).to_contain_text(f"layer 2, head 1: {head['role']}")
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.closest('#grid')")
    page.keyboard.press("Escape")
    expect(chosen).to_have_count(0)
    expect(said).to_have_text("no head is chosen")


def test_a_screen_reader_has_a_table_with_headers(open_atlas: Open, data: dict[str, Any]) -> None:
    page = open_atlas(data)
    grid = page.get_by_role("table", name="Heads by layer")
    expect(grid.get_by_role("columnheader", name="head 4")).to_have_count(1)
    expect(grid.get_by_role("rowheader", name="layer 3")).to_have_count(1)
    expect(grid.get_by_role("button", name="layer 1, head 2: no role")).to_have_count(1)
    expect(page.get_by_role("group", name="Only heads of these roles").get_by_role("checkbox").first).to_have_attribute(
        "aria-label", re.compile(r"^previous token: \d+ heads? in this atlas$")
    )


def test_filters_leave_the_heads_of_some_roles(open_atlas: Open, data: dict[str, Any]) -> None:
    page = open_atlas(data)
    roles = [head["role"] for head in data["heads"]]
    for name in ("separator", "broad"):
        page.get_by_role("checkbox", name=name).check(force=True)
    kept = [role in ("separator", "broad") for role in roles]
    assert ["out" not in kind for *_, kind in cells(page)] == kept
    expect(page.get_by_role("checkbox", name=re.compile("^broad"))).to_have_attribute(
        "aria-label", re.compile(f": {roles.count('broad')} ")
    )
    page.locator("#all-roles").click()
    assert not any("out" in kind for *_, kind in cells(page))


def test_a_finding_is_a_link(open_atlas: Open, data: dict[str, Any]) -> None:
    page = open_atlas(data)
    colour_by(page, "trees.uuas")
    page.get_by_role("radio", name="other").check(force=True)
    page.get_by_role("checkbox", name="same word").check(force=True)
    page.locator("#grid button").nth(13).click()
    page.locator("#theme").click()
    expect(page).to_have_url(
        re.compile(r"#colour=trees.uuas&shown=other&head=2.3&roles=same\+word&group=statistics&sort=layer&theme=dark$")
    )
    before = cells(page)
    page.reload()
    assert cells(page) == before
    expect(page.locator(ON)).to_have_attribute("aria-label", re.compile("^layer 2, head 3"))
    page.go_back()
    expect(page.locator("#theme")).to_have_text("Dark theme")
    page.go_back()
    expect(page.locator(ON)).to_have_attribute("aria-label", re.compile("^layer 0, head 0"))
    page.go_forward()
    expect(page.locator(ON)).to_have_attribute("aria-label", re.compile("^layer 2, head 3"))


@pytest.mark.parametrize(
    "at",
    [
        "colour=toString&shown=both&head=9.9&roles=__proto__&group=toString&sort=-constructor&theme=url(x)",
        "table-view",
        "%E0%A4%A",
    ],
)
def test_an_address_that_makes_no_sense_changes_nothing(open_atlas: Open, data: dict[str, Any], at: str) -> None:
    page = open_atlas(data, at=at)
    assert page.evaluate("stateText()") == "colour=role&shown=this&head=0.0&group=statistics&sort=layer"


@pytest.mark.parametrize(("width", "beside", "least"), [(360, False, 24), (900, False, 36), (901, True, 36)])
def test_the_grid_scrolls_within_itself(open_atlas: Open, width: int, beside: bool, least: int) -> None:
    page = open_atlas(fabricated(2, 24), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    grid, card = (page.locator(name).bounding_box() for name in ("#grid-view", "#card"))
    assert grid is not None
    assert card is not None
    assert (card["x"] > grid["x"]) == beside
    last = page.locator("#grid button").nth(23)
    last.scroll_into_view_if_needed()
    box = last.bounding_box()
    assert box is not None
    assert box["width"] >= least
    assert box["x"] + box["width"] <= width


def test_the_page_says_what_it_was_made_from(open_atlas: Open) -> None:
    made = fabricated(1, 2, sections=("texts", "treebank"))
    page = open_atlas(made)
    expect(page.locator("header")).to_contain_text("1 layer × 2 heads, counted from 0")
    expect(page.locator("header")).to_contain_text(
        "40 texts with 900 tokens · 40 sentences of a treebank with 900 tokens"
    )
    expect(page.locator(".note")).to_have_text("Contributions cannot be measured: no values of layer 0 are found.")
    expect(page.locator("footer")).to_contain_text("Attention says where a head looks, not what the model does with it")
    expect(page.locator("footer code").first).to_contain_text("attnprobe atlas texts.txt --conllu treebank.txt")
    made["sections"][0]["sample"] = True
    page = open_atlas(made)
    expect(page.locator(".note").first).to_contain_text("the built-in sample")
    expect(page.locator("footer code").first).to_contain_text("attnprobe atlas --conllu treebank.txt")


def test_frame_of_a_notebook(browser: Browser, data: dict[str, Any]) -> None:
    """A frame without an address of its own shows the page all the same."""
    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.set_content(View(make_atlas_page(data), data["signature"])._repr_html_())
    frame = page.frame_locator("iframe")
    frame.locator("#grid button").nth(6).click()
    frame.locator("#theme").click()
    expect(frame.locator(ON)).to_have_attribute("aria-label", re.compile("^layer 1, head 1"))
    assert wrong == []
    page.close()
