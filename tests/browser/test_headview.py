"""Tokens, lines, heads and layers: what is drawn is what was captured."""

import json

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from attnprobe import Encoder, View, view
from attnprobe.measure.weights import keep_weights
from attnprobe.values.tokens import Role
from tests.browser.conftest import PAIR, TEXT, Open
from tests.browser.reading import choose, labels, lines, shown, token, written


@pytest.fixture(scope="module")
def weights(minilm: Encoder) -> np.ndarray:
    """(layer, head, query, key)"""
    return keep_weights(TEXT, minilm).weights


def test_every_weight_in_the_page_is_the_captured_one(page: Page, weights: np.ndarray) -> None:
    code = "async ([layer, head]) => JSON.stringify([...await pieceWeights(layer, head)])"
    found = [[json.loads(page.evaluate(code, [layer, head])) for head in range(12)] for layer in range(6)]
    np.testing.assert_allclose(np.reshape(found, weights.shape), weights, rtol=0, atol=1e-5)


def test_it_opens_with_the_first_head(page: Page, weights: np.ndarray) -> None:
    assert labels(page, "queries") == labels(page, "keys")
    assert labels(page, "keys")[:4] == ["[CLS]", "the", "animal", "didn"]
    assert lines(page) == (weights[0, 0] >= 0.02).sum()
    expect(page.locator("#what")).to_have_text(f"Layer 0, head 0 (broad): {lines(page)} weights of 0.020 or more.")


def test_hover_shows_a_query_alone(page: Page, weights: np.ndarray) -> None:
    token(page, "queries", 3).hover()
    row = weights[0, 0, 3]
    expect(page.locator("#lines path")).to_have_count(int((row >= 0.02).sum()))
    np.testing.assert_allclose(written(page, "keys"), np.where(row < 0.005, 0, row), atol=5.1e-3)
    strongest = labels(page, "keys")[row.argmax()]
    expect(page.locator("#top")).to_contain_text(f"Head 0 “didn” looks at “{strongest}” {row.max():.2f}")
    assert not any(written(page, "queries"))
    page.locator("h1").hover()
    expect(page.locator("#lines path")).to_have_count(int((weights[0, 0] >= 0.02).sum()))
    assert not any(written(page, "keys"))


def test_hover_shows_a_key_alone(page: Page, weights: np.ndarray) -> None:
    token(page, "keys", 2).hover()
    column = weights[0, 0, :, 2]
    expect(page.locator("#lines path")).to_have_count(int((column >= 0.02).sum()))
    np.testing.assert_allclose(written(page, "queries"), np.where(column < 0.005, 0, column), atol=5.1e-3)
    expect(page.locator("#top")).to_contain_text("“animal” is looked at by")


def test_click_pins_until_the_next_click_or_escape(page: Page, weights: np.ndarray) -> None:
    count, every = int((weights[0, 0, 5] >= 0.02).sum()), int((weights[0, 0] >= 0.02).sum())
    paths = page.locator("#lines path")
    for release in (lambda: token(page, "queries", 5).click(), lambda: page.keyboard.press("Escape")):
        token(page, "queries", 5).click()
        expect(token(page, "queries", 5)).to_have_attribute("aria-pressed", "true")
        token(page, "queries", 1).hover()
        expect(paths).to_have_count(count)
        release()
        page.locator("h1").hover()
        expect(paths).to_have_count(every)
        expect(page.locator("#tokens [aria-pressed=true]")).to_have_count(0)


def test_several_heads_each_in_its_colour(page: Page, weights: np.ndarray) -> None:
    choose(page, "head", 4)
    np.testing.assert_allclose(shown(page), weights[0, [0, 4]], atol=1e-5)
    counts = [int((weights[0, head] >= 0.02).sum()) for head in (0, 4)]
    expect(page.locator("#lines path")).to_have_count(sum(counts))
    strokes = page.locator("#lines path").evaluate_all("(all) => all.map((path) => getComputedStyle(path).stroke)")
    assert sorted(strokes.count(stroke) for stroke in set(strokes)) == sorted(counts)
    token(page, "queries", 1).hover()
    expect(page.locator("#top p")).to_have_count(2)
    page.locator("#all-heads").click()
    np.testing.assert_allclose(shown(page), weights[0], atol=1e-5)
    page.locator("#no-heads").click()
    expect(page.locator("#lines path")).to_have_count(0)
    expect(page.locator("#what")).to_contain_text("heads none")


def test_opacity_and_width_grow_with_the_weight(page: Page, weights: np.ndarray) -> None:
    drawn = page.locator("#lines path")
    opacity, width = (
        drawn.evaluate_all(f"(all) => all.map((path) => Number(path.getAttribute('{name}')))")
        for name in ("stroke-opacity", "stroke-width")
    )
    visible = np.sort(weights[0, 0][weights[0, 0] >= 0.02])
    np.testing.assert_allclose(opacity, np.sqrt(visible), atol=1e-3)
    np.testing.assert_allclose(width, 0.6 + 3.4 * visible, atol=1e-2)
    choose(page, "scale", "linear")
    expect(page.locator("#legend path").first).to_have_attribute("stroke-opacity", "0.050")
    opacity = drawn.evaluate_all("(all) => all.map((path) => Number(path.getAttribute('stroke-opacity')))")
    np.testing.assert_allclose(opacity, visible, atol=1e-3)


def test_layer_picker(page: Page, weights: np.ndarray) -> None:
    choose(page, "layer", 4)
    np.testing.assert_allclose(shown(page)[0], weights[4, 0], atol=1e-5)
    expect(page.locator("#what")).to_contain_text("Layer 4, head 0")


def test_threshold(page: Page, weights: np.ndarray) -> None:
    slider = page.get_by_label("show weights ≥")
    for position in (37, 17, 14, 0, 100):
        slider.fill(str(position))
        square = (position / 100) ** 2
        least = round(square, 3 if square < 0.1 else 2)  # as written beside the slider
        count = int(((weights[0, 0] >= least) & (np.rint(weights[0, 0] * 65535) > 0)).sum())
        expect(page.locator("#lines path")).to_have_count(count)
        expect(page.locator("#least")).to_have_text(f"{least:.{3 if least < 0.1 else 2}f}")
    expect(slider).to_have_attribute("aria-valuetext", "1.00")


def expected(minilm: Encoder, special: str, words: bool) -> np.ndarray:
    """(layer, head, query, key) by numpy, from weights captured at this level. Rows with less than 1 % left are 0."""
    found = keep_weights(TEXT, minilm, level="word" if words else "token")
    kept = [at for at, role in enumerate(found.key_tokens.roles) if special == "show" or role == Role.CONTENT]
    weights = found.weights.astype(float)[:, :, kept][..., kept]
    if special != "renormalise":
        return weights
    left = weights.sum(-1, keepdims=True)
    return np.where(left < 0.01, 0, weights / left)


@pytest.mark.parametrize("words", [False, True])
def test_special_tokens_and_words(page: Page, minilm: Encoder, words: bool) -> None:
    choose(page, "words", "words" if words else "pieces")
    page.locator("#all-heads").click()
    for special, tolerance in (("show", 5e-5), ("hide", 5e-5), ("renormalise", 1e-3)):
        choose(page, "special", special)
        weights = expected(minilm, special, words)
        for layer in (0, 4):
            choose(page, "layer", layer)
            np.testing.assert_allclose(shown(page), weights[layer], atol=tolerance)
        assert ("[CLS]" in labels(page, "keys")) == (special == "show")
        assert ("unremarkably" in labels(page, "queries")) == words
    choose(page, "layer", 0)
    sums = shown(page).sum(-1)
    np.testing.assert_allclose(sums[sums > 0], 1, atol=1e-6)
    expect(page.locator("#what")).to_contain_text(f"less than 1 % for these tokens: {(sums == 0).sum()}.")
    assert (sums == 0).any()


def test_directions_of_a_pair(open_page: Open, minilm: Encoder) -> None:
    page = open_page(view(PAIR[0], minilm, pair=PAIR[1], show="0.0"))
    found = keep_weights(PAIR[0], minilm, pair=PAIR[1])
    segments = np.array(found.key_tokens.segments)
    for value, queries, keys in (("ab", 1, 2), ("ba", 2, 1)):
        choose(page, "pair", value)
        part = found.weights[0, 0][segments == queries][:, segments == keys]
        np.testing.assert_allclose(shown(page)[0], part, atol=1e-5)
        of_keys = np.array(found.key_tokens.strings)[segments == keys]
        assert labels(page, "keys") == list(of_keys)
    choose(page, "special", "renormalise")
    among = found.weights[0, 0][segments == 2][:, segments > 0]
    part = found.weights[0, 0][segments == 2][:, segments == 1] / among.sum(-1, keepdims=True)
    np.testing.assert_allclose(shown(page)[0], part, atol=1e-4)
    choose(page, "pair", "all")
    assert len(labels(page, "keys")) == (segments > 0).sum()


def test_a_single_text_has_no_directions(page: Page) -> None:
    expect(page.locator("#pair")).to_be_hidden()
    expect(page.locator("#units")).to_be_visible()


def test_chosen_layers_and_heads_keep_their_numbers(open_page: Open, minilm: Encoder) -> None:
    page = open_page(view(TEXT, minilm, layers=[2, 5], heads="3,7", show="2.3"))
    expect(page.locator("#what")).to_contain_text("Layer 2, head 3")
    choose(page, "layer", 1)
    choose(page, "head", 1)
    expect(page.locator("#what")).to_contain_text("Layer 5, heads 3, 7")
    np.testing.assert_allclose(shown(page), keep_weights(TEXT, minilm).weights[5, [3, 7]], atol=1e-5)


def test_a_token_of_lists_that_are_about_to_change_is_the_one_that_was_seen(page: Page) -> None:
    """What is clicked before words are decoded is a piece, and what is pointed at goes with its list."""
    code = """() => {
        change({ choice: { ...state.choice, words: true } }, "choice");
        point({ side: "key", at: 15 });
        lists.query.querySelectorAll("button")[10].click();
    }"""
    page.evaluate(code)
    expect(page.locator("#tokens [aria-pressed=true]")).to_have_text("8it")
    assert page.evaluate("state.pointed") is None


def test_quick_changes_end_in_the_last(page: Page, sentence: View, weights: np.ndarray) -> None:
    page.evaluate(
        "change({choice: {...state.choice, special: 'hide'}}, 'choice'); change({layer: 3}, 'heads'); select(5, 7)"
    )
    expect(page.locator("#what")).to_contain_text("Layer 5, head 7")
    np.testing.assert_allclose(shown(page)[0], weights[5, 7][1:-1, 1:-1], atol=1e-5)
    assert len(labels(page, "keys")) == weights.shape[-1] - 2
