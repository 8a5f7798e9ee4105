"""The model view and the table of statistics."""

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from attnprobe import METRICS, Encoder, head_stats, patterns
from attnprobe.measure.weights import keep_weights
from tests.browser.conftest import TEXT
from tests.browser.reading import ALPHA, choose, drawn, shown


@pytest.fixture(scope="module")
def stats(minilm: Encoder) -> pd.DataFrame:
    return head_stats(TEXT, minilm)


def test_heat_maps_show_the_weights(page: Page, minilm: Encoder) -> None:
    weights = keep_weights(TEXT, minilm).weights
    for layer, head in ((0, 2), (4, 9)):
        np.testing.assert_allclose(drawn(page, layer, head), 255 * np.sqrt(weights[layer, head]), atol=1)
    choose(page, "special", "hide")
    expect(page.locator("#grid canvas").last).to_have_attribute("width", str(weights.shape[-1] - 2))
    np.testing.assert_allclose(drawn(page, 0, 2), 255 * np.sqrt(weights[0, 2][1:-1, 1:-1]), atol=1)


def test_a_long_text_keeps_its_strongest_weights(page: Page) -> None:
    code = """() => {
        const canvas = document.createElement("canvas");
        const weights = Float32Array.from({ length: 200 * 300 }, (_, at) => (at === 137 * 300 + 211 ? 1 : 0));
        paint(canvas, weights, 200, 300, "rgb(1, 2, 3)");
        return [canvas.height, canvas.width, (%s)(canvas)];
    }"""
    height, width, data = page.evaluate(code % ALPHA)
    pixels = np.reshape(data, (height, width, 4))[..., 3]
    assert (height, width) == (96, 96)
    assert np.argwhere(pixels).tolist() == [[137 * 96 // 200, 211 * 96 // 300]]


def test_a_heat_map_selects_its_head(page: Page) -> None:
    page.get_by_role("button", name="layer 2, head 9", exact=True).click()
    expect(page.locator("#what")).to_contain_text("Layer 2, head 9")
    expect(page.locator("#grid [aria-pressed=true]")).to_have_attribute("aria-label", "layer 2, head 9")
    expect(page.locator("input[name=layer][value='2']")).to_be_checked()
    expect(page.locator("input[name=head]:checked")).to_have_attribute("value", "9")
    assert shown(page).shape[0] == 1


def test_the_role_of_a_head_stands_beside_it(page: Page, minilm: Encoder) -> None:
    """In the label of its map, and in the title of the head view, of up to three heads."""
    roles = patterns([TEXT], minilm).roles()
    maps = page.locator("#grid button")
    for layer, head in ((0, 2), (1, 8), (3, 4)):
        expect(maps.nth(12 * layer + head)).to_have_attribute(
            "title", f"layer {layer}, head {head} ({roles[layer][head]})"
        )
    assert (roles[0][2], roles[1][8]) == ("previous token", "next token")
    maps.nth(2).click()
    expect(page.locator("#what")).to_contain_text("Layer 0, head 2 (previous token): ")
    page.locator("input[name=head][value='3']").check(force=True)
    expect(page.locator("#what")).to_contain_text(f"Layer 0, heads 2, 3 (previous token, {roles[0][3]}): ")
    page.get_by_role("button", name="all", exact=True).click()
    expect(page.locator("#what")).to_contain_text("10, 11: ")


def table(page: Page) -> pd.DataFrame:
    names = [text.replace(" ", "_") for text in page.locator("#stats th").all_text_contents()]
    cells = page.locator("#stats tbody td").all_text_contents()
    return pd.DataFrame(np.reshape([float(cell or "nan") for cell in cells], (-1, len(names))), columns=names)


def test_table_holds_the_statistics(page: Page, stats: pd.DataFrame) -> None:
    found = table(page)
    empty = [name for name in METRICS if stats[name].isna().all()]
    assert empty == ["cross_share", "outside_share"]
    assert list(found.columns) == [name for name in stats.columns if name not in empty]
    np.testing.assert_allclose(found, stats[found.columns], rtol=0, atol=5.1e-3)
    np.testing.assert_allclose(found["entropy"], stats["entropy"], rtol=0, atol=5.1e-4)
    expect(page.locator("#stats-note")).to_have_text(f"Without meaning here: {', '.join(empty)}.")


@pytest.mark.parametrize("name", ["previous_share", "entropy"])
def test_table_sorts_both_ways(page: Page, stats: pd.DataFrame, name: str) -> None:
    header = page.locator("#stats th", has=page.get_by_role("button", name=name.replace("_", " "), exact=True))
    for order in ("descending", "ascending"):
        header.get_by_role("button").click()
        expect(header).to_have_attribute("aria-sort", order)
        expect(page.locator("#stats th[aria-sort]")).to_have_count(1)
        right = stats.sort_values(name, ascending=order == "ascending", kind="stable")
        np.testing.assert_array_equal(table(page)[["layer", "head"]], right[["layer", "head"]])
    page.locator("#stats th button").first.click()
    np.testing.assert_array_equal(table(page)[["layer", "head"]], stats[["layer", "head"]])


def test_missing_statistics_come_last_either_way(page: Page) -> None:
    page.evaluate("rows[5].values[2] = null; sortBy(2)")
    for _ in range(2):
        assert page.evaluate("Number([...find('stats', HTMLTableElement).tBodies[0].rows].at(-1).dataset.row)") == 5
        page.evaluate("sortBy(2)")


def test_a_row_selects_its_head(page: Page, stats: pd.DataFrame) -> None:
    page.get_by_role("button", name="previous share").click()
    page.locator("#stats tbody tr").first.locator("td").nth(5).click()
    best = stats.loc[stats["previous_share"].idxmax()]
    expect(page.locator("#what")).to_contain_text(f"Layer {best['layer']:.0f}, head {best['head']:.0f}")
    expect(page.locator("#stats tr.on")).to_have_count(1)
