"""The card of a head, its examples and the map of heads show what the atlas holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from attnprobe.render.atlas_page import make_atlas_page
from tests.atlases import fabricated
from tests.browser.atlas_reading import saved
from tests.browser.conftest import Open

ATLAS = fabricated()
HEADS = ((0, 0), (3, 1), (5, 11))


def head_of(atlas: dict[str, Any], layer: int, head: int) -> dict[str, Any]:
    return next(found for found in atlas["heads"] if (found["layer"], found["head"]) == (layer, head))


def choose(page: Page, layer: int, head: int) -> None:
    page.evaluate("([layer, head]) => change({ head: headAt(layer, head) })", [layer, head])


def chosen(page: Page) -> str:
    return page.evaluate("state.head && keyOf(state.head)")


def rows(page: Page) -> dict[str, list[list[str]]]:
    """The cells of each measure's row: the title of each, its text, and the small text under it."""
    return page.locator("#card-numbers tbody [data-measure]").evaluate_all(
        """(buttons) => Object.fromEntries(buttons.map((button) => [button.dataset.measure,
            [...button.closest("tr").querySelectorAll("td")].map((cell) => [cell.title,
                cell.firstElementChild?.textContent ?? cell.textContent,
                cell.querySelector("small")?.textContent ?? ""])]))"""
    )


def plain(text: str) -> str:
    return text.replace("−", "-").replace("\u00a0", " ")


@pytest.mark.parametrize("against", [False, True])
def test_numbers_intervals_and_ranks(open_atlas: Open, against: bool) -> None:
    atlas = fabricated(against=against)
    page = open_atlas(atlas)
    for place in HEADS:
        choose(page, *place)
        mine = head_of(atlas, *place)["values"]
        shown = rows(page)
        assert list(shown) == [measure["name"] for measure in atlas["measures"]]
        for name, cells in shown.items():
            value, low, high = mine[name]
            title, text, ends = cells[0]
            assert float(title) == value
            digits = len(text.partition(".")[2])
            assert plain(text) == f"{value:.{digits}f}"
            assert plain(ends) == ("" if low is None else f"{low:.{digits}f} to {high:.{digits}f}")
            if against:
                other = head_of(atlas["against"], *place)["values"][name][0]
                assert [float(title) for title, *_ in cells[1:3]] == [other, value - other]
            everyone = sorted((head["values"][name][0] for head in atlas["heads"]), reverse=True)
            assert cells[-1][0] == f"{cells[-1][1]} of 72, highest first"
            assert cells[-1][1][:-2] == str(everyone.index(value) + 1)
    if against:
        page.evaluate("change({ shown: 'change' })")
        changes = {
            name: sorted(
                (
                    ours["values"][name][0] - theirs["values"][name][0]
                    for ours, theirs in zip(atlas["heads"], atlas["against"]["heads"], strict=True)
                ),
                reverse=True,
            )
            for name in shown
        }
        assert all(
            int(cells[-1][1][:-2]) == changes[name].index(float(cells[2][0])) + 1 for name, cells in rows(page).items()
        )


@pytest.mark.parametrize("shown", ["this", "other"])
def test_a_head_that_is_off_is_marked(open_atlas: Open, shown: str) -> None:
    atlas = fabricated(2, 3, against=True)
    told = "this head is off (zero): its weights are computed, and go nowhere"
    off = (atlas if shown == "this" else atlas["against"])["heads"][1]
    off |= {"off": "zero", "findings": [{"kind": "off", "key": "zero", "strength": 1, "text": told}, *off["findings"]]}
    (atlas if shown == "this" else atlas["against"])["signature"] += "|off:0:1(zero)"
    page = open_atlas(atlas)
    expect(page.get_by_text("Heads that are off are struck through in the grid")).to_be_visible()
    page.evaluate("(shown) => change({ shown })", shown)
    marked = page.locator("#grid button").evaluate_all(
        """(cells) => cells.map((cell) => [getComputedStyle(cell).textDecorationLine === "line-through",
            cell.getAttribute("aria-label").includes("this head is off")])"""
    )
    assert marked == [[at == 1, at == 1] for at in range(6)]
    assert page.locator("#grid button").nth(1).inner_text() == "off"
    expect(page.locator("#legend li", has_text="off 1")).to_contain_text("switched off")
    chip = page.locator("#roles label", has=page.locator("[value=off]"))
    expect(chip).to_have_text("off 1")
    chip.click()
    assert page.locator("#grid button.out").count() == 5
    chip.click()
    picture = saved(page, "#grid-buttons", 0).decode()
    assert picture.count("line-through") == picture.count("; off: struck through") == 1
    name = "made-up with heads 0:1(zero) off"
    assert {"this": f"{name}: heads by layer", "other": f", {name} ("}[shown] in picture
    choose(page, 0, 1)
    expect(page.locator("#card .findings li").first).to_have_text(told)


def test_without_telling_heads_the_card_calls_none_telling(open_atlas: Open) -> None:
    page = open_atlas({**fabricated(1, 2), "telling": []})
    expect(page.locator("#card .hint").first).to_contain_text("here is the first one")
    expect(page.locator("#card-title")).to_contain_text("0.0")


def test_a_bar_runs_from_the_lowest_to_the_highest_head(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    choose(page, 3, 1)
    bar = page.locator("#card tr").filter(has=page.locator("[data-measure='statistics.entropy']")).locator(".among svg")
    values = np.array([head["values"]["statistics.entropy"] for head in ATLAS["heads"]])
    own = values[3 * 12 + 1].clip(values[:, 0].min(), values[:, 0].max())
    value, low, high = 2 + 96 * (own - values[:, 0].min()) / np.ptp(values[:, 0])
    assert bar.locator(".own").get_attribute("d") == f"M{value:.2f} 1V15"
    assert (bar.locator(".others").get_attribute("d") or "").count("M") == 72
    start, width = (float(bar.locator("rect").get_attribute(name) or 0) for name in ("x", "width"))
    np.testing.assert_allclose([start, start + width], [low, high], atol=1e-6)


def test_words_of_the_card(open_atlas: Open) -> None:
    atlas, head = ATLAS, head_of(ATLAS, 3, 1)
    page = open_atlas(atlas)
    choose(page, 3, 1)
    expect(page.locator("#card-title")).to_have_text("3.1 layer 3, head 1")
    findings = page.locator(".findings li").all_text_contents()
    assert findings == [finding["text"].replace(" %", "\u00a0%") for finding in head["findings"]]
    expect(page.locator("[data-measure='norms.sep_share']")).to_have_text("sep share")
    meanings = {role["name"]: role["meaning"] for role in atlas["roles"]}
    expect(page.locator("#card-words")).to_contain_text(f"Role {head['role']}: {meanings[head['role']]}.")
    expect(page.locator("#card-words")).to_contain_text("Pattern heterogeneous: no rule of a pattern is met.")
    cells = page.locator("#card .plain tbody tr").first.locator("td").all_text_contents()
    assert cells == ["nsubj", "dep->head", "75.0", "40.0 (−1)", "+35.0", "30"]


def test_heads_are_chosen_from_the_card(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    assert chosen(page) == "0.0"
    page.get_by_role("button", name="Next head").click()
    page.keyboard.press("n")
    assert chosen(page) == "0.2"
    page.locator("#card-numbers summary").first.focus()  # which the next head replaces
    for _ in range(3):
        page.keyboard.press("p")
    assert chosen(page) == "5.11"
    near = head_of(ATLAS, 5, 11)["nearest"][1]
    button = page.locator(".nearest button").nth(1)
    expect(button).to_have_text(f"{near['layer']}.{near['head']} {near['distance']:.3f}")
    button.click()
    assert chosen(page) == f"{near['layer']}.{near['head']}"
    expect(page.locator("#card")).to_be_focused()
    page.locator("#card [data-measure='statistics.offset']").click()
    assert page.evaluate("state.colour") == "statistics.offset"
    expect(page.locator("#card [data-measure][aria-pressed=true]")).to_have_text("offset")
    page.keyboard.press("Escape")
    expect(page.locator("#card-words")).to_contain_text("Choose a head")
    expect(page.locator("#card-title")).to_contain_text("0.0")


def test_groups_stay_open_from_head_to_head(open_atlas: Open) -> None:
    """Also where the next head is chosen before the browser tells that a group was opened."""
    page = open_atlas(ATLAS)
    page.evaluate(
        """() => {
            document.querySelector("#card-numbers details:not([open])").open = true;
            change({ head: headAt(2, 2) });
        }"""
    )
    assert page.locator("#card-numbers details[open]").count() == 2
    page.locator("#card-numbers summary").first.click()
    choose(page, 3, 3)
    assert page.locator("#card-numbers details").evaluate_all("all => all.map(({ open }) => open)")[:3] == [
        False,
        True,
        False,
    ]


def token(page: Page, side: str, at: int) -> Locator:
    return page.locator(f"#{side} button").nth(at)


def test_lines_are_the_weights(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    choose(page, 3, 1)
    head = head_of(ATLAS, 3, 1)
    paths = page.locator("#lines path")
    for example in head["examples"]:
        weights = np.array(example["weights"])
        text = ATLAS["texts"][example["text"]]
        page.locator("#example input").nth(head["examples"].index(example)).check(force=True)
        assert page.locator("#keys .label").all_text_contents() == text["tokens"]
        assert page.locator("#queries .special").count() == sum(text["special"])
        expect(paths).to_have_count(int((weights >= 0.02).sum()))
        widths = paths.evaluate_all("(all) => all.map((path) => Number(path.getAttribute('stroke-width')))")
        strong = np.sort(weights[weights >= 0.02])
        np.testing.assert_allclose(widths, 0.6 + 3.4 * strong, atol=1e-2)
    expect(page.locator("#example-why")).to_contain_text("Drawn at random")
    expect(page.locator("#example-why")).to_contain_text(f"Of its {text['n_tokens']} tokens, the 10 in a row")
    assert page.locator("#lines img, #example img, #example b").count() == 0
    token(page, "queries", 3).hover()
    expect(paths).to_have_count(int((weights[3] >= 0.02).sum()))
    written = [float(value or 0) for value in page.locator("#keys .values").all_text_contents()]
    np.testing.assert_allclose(written, np.where(weights[3] < 0.005, 0, weights[3]), atol=5.1e-3)
    strongest = f"“un” looks at “{text['tokens'][weights[3].argmax()]}” {weights[3].max():.2f}"
    expect(page.locator("#example-said")).to_contain_text(strongest)
    page.locator("h1").hover()
    token(page, "queries", 0).focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(token(page, "keys", 2)).to_be_focused()
    expect(paths).to_have_count(int((weights[:, 2] >= 0.02).sum()))
    page.locator("#example summary").click()
    expect(page.locator("#example table tbody tr")).to_have_count(10)
    expect(page.locator("#example table tbody th").nth(8)).to_have_text("</script>")


def circle(page: Page, layer: int, head: int) -> Locator:
    return page.locator(f"#map [data-key='{layer}.{head}']")


def test_the_map_chooses_heads(open_atlas: Open) -> None:
    page = open_atlas(ATLAS)
    places = np.array([head["place"] for head in ATLAS["heads"]])
    drawn = np.array(
        page.locator("#map [data-key]").evaluate_all(
            "(all) => all.map((dot) => [dot.cx.baseVal.value, dot.cy.baseVal.value])"
        )
    )
    scale = np.ptp(drawn, axis=0) / np.ptp(places, axis=0)
    assert scale[0] == pytest.approx(scale[1], rel=1e-2)  # near is alike in each direction
    np.testing.assert_allclose((drawn - drawn[0]) / scale[0], (places - places[0]) * [1, -1], atol=0.02)
    choose(page, 2, 5)
    assert page.locator("#map [data-key][tabindex='0']").count() == 1
    expect(circle(page, 2, 5)).to_have_attribute("aria-pressed", "true")
    fills = page.locator("#map [data-key]").evaluate_all("(all) => all.map((dot) => dot.getAttribute('fill'))")
    assert fills == page.evaluate("atlas.heads.map(colourOf)")
    assert "2.5" in page.locator("#map text").all_text_contents()
    circle(page, 4, 4).click()
    assert chosen(page) == "4.4"
    circle(page, 4, 4).focus()
    page.keyboard.press("ArrowRight")
    reached = page.evaluate("document.activeElement.dataset.key")
    at = ATLAS["heads"].index(head_of(ATLAS, *map(int, reached.split("."))))
    assert drawn[at][0] > drawn[4 * 12 + 4][0]
    page.keyboard.press("Enter")
    assert chosen(page) == reached
    page.evaluate("change({ roles: new Set(['broad']) })")
    faded = page.locator("#map [data-key][opacity='0.15']").count()
    assert faded == sum(head["role"] != "broad" for head in ATLAS["heads"] if head is not ATLAS["heads"][at])


def test_the_map_waits_for_no_observer(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "atlas.html"
    path.write_text(make_atlas_page(ATLAS), encoding="utf-8")
    page = browser.new_page()
    page.add_init_script("window.ResizeObserver = class { observe() {} }")
    page.goto(path.as_uri())
    assert page.evaluate("new Set(points.map(({ x }) => x)).size") == len(ATLAS["heads"])
    assert page.evaluate("mapPicture.clientWidth === mapBox.clientWidth")
    page.close()


def test_a_phone_and_an_atlas_without_places_or_examples(open_atlas: Open) -> None:
    atlas = fabricated(sections=("texts",), against=True)
    for head in atlas["heads"]:
        head |= {"place": None, "examples": [], "nearest": [], "role": None, "pattern": None, "findings": []}
    page = open_atlas(atlas, width=360)
    expect(page.locator("#map-note")).to_contain_text("No map")
    expect(page.locator("#example")).to_be_hidden()
    expect(page.locator("#card-words")).to_contain_text("Nothing stands out.")
    page = open_atlas(fabricated(against=True), width=360)
    page.evaluate("change({ shown: 'change' })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("mapPicture.getBoundingClientRect().width") <= 340
