"""A query and keys chosen: the heads ranked by the weight between them, and the model view coloured by it."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from attnprobe import Encoder, view, weights
from attnprobe.measure.weights import keep_weights
from tests.browser.conftest import TEXT, Open
from tests.browser.reading import choose, drawn, labels, shown, token

IT, ANIMAL, STREET = 10, 2, 8


def ranking(page: Page) -> dict[str, float]:
    """The ranked heads, strongest first, by layer.head."""
    return {name: float(weight) for name, weight in map(str.split, page.locator("#ranking button").all_text_contents())}


def between(minilm: Encoder, queries: list[int], keys: list[int], level: str = "token") -> np.ndarray:
    """The weight that queries give to keys, by layer and head: summed over keys, averaged over queries."""
    table = weights(TEXT, minilm, level=level)
    among = table[table["query"].isin(queries) & table["key"].isin(keys)]
    sums = among.groupby(["layer", "head"], sort=True)["weight"].sum() / len(queries)
    return sums.to_numpy(float).reshape(6, 12)


def test_heads_are_ranked_by_a_weight(page: Page, minilm: Encoder) -> None:
    expect(page.locator("#ranking button")).to_have_count(0)
    token(page, "queries", IT).click()
    expect(page.locator("#ranked")).to_contain_text("Click a query and a key")
    token(page, "keys", ANIMAL).click()
    expect(page.locator("#ranked")).to_have_text("“it” → “animal”, strongest head first:")
    expected = between(minilm, [IT], [ANIMAL])
    found = ranking(page)
    assert len(found) == 72
    assert list(found.values()) == sorted(found.values(), reverse=True)
    for name, weight in found.items():
        layer, head = map(int, name.split("."))
        assert weight == pytest.approx(expected[layer, head], abs=5.1e-3)
    best = np.unravel_index(expected.argmax(), expected.shape)
    page.locator("#ranking button").first.click()
    expect(page.locator("#what")).to_contain_text(f"Layer {best[0]}, head {best[1]}")
    expect(page.locator("#ranking [aria-pressed=true]")).to_have_text(next(iter(found)) + f" {expected.max():.2f}")


def test_the_model_view_is_coloured_by_it(page: Page, minilm: Encoder) -> None:
    expect(page.locator("#grid[data-drawn='1']")).to_have_count(1)
    token(page, "queries", IT).click()
    token(page, "keys", ANIMAL).click()
    token(page, "keys", STREET).click(modifiers=["Shift"])
    expect(page.locator("#ranked")).to_have_text("“it” → “animal” + “street”, strongest head first:")
    expected = between(minilm, [IT], [ANIMAL, STREET])
    for layer, head in ((3, 1), (0, 2)):
        assert drawn(page, layer, head)[0, 0] == pytest.approx(255 * np.sqrt(expected[layer, head]), abs=1.1)
    expect(page.locator("#grid button").nth(12 * 3 + 1)).to_have_attribute(
        "title", f"layer 3, head 1 (mixed): {expected[3, 1]:.2f}"
    )
    choose(page, "scale", "linear")
    expect(page.locator("#scale-note")).to_have_text("weight")
    assert drawn(page, 3, 1)[0, 0] == pytest.approx(255 * expected[3, 1], abs=1.1)
    page.keyboard.press("Escape")
    expect(page.locator("#ranking button")).to_have_count(0)
    np.testing.assert_allclose(drawn(page, 0, 2), 255 * keep_weights(TEXT, minilm).weights[0, 2], atol=1)


def test_words_add_up_over_keys_and_average_over_queries(page: Page, minilm: Encoder) -> None:
    pieces = keep_weights(TEXT, minilm).pieces
    word = labels(page, "queries").index("un")
    number = (pieces.words or ())[word]
    choose(page, "words", "words")
    shown(page)
    token(page, "queries", labels(page, "queries").index("unremarkably")).click()
    token(page, "keys", labels(page, "keys").index("unremarkably")).click()
    positions = [at for at, other in enumerate(pieces.words or ()) if other == number]
    for value, expected in (
        ("words", between(minilm, [number], [number], level="word")),
        ("pieces", between(minilm, positions, positions)),
    ):
        choose(page, "words", value)
        expect(page.locator("#ranking button").first).to_contain_text(f"{expected.max():.2f}")
        found = ranking(page)
        assert [found[f"{layer}.{head}"] for layer in range(6) for head in range(12)] == pytest.approx(
            expected.ravel().tolist(), abs=5.1e-3
        )


def test_chosen_in_python(open_page: Open, minilm: Encoder) -> None:
    page = open_page(view(TEXT, minilm, query="it", key=["animal", "street"], scale="linear"))
    expect(page.locator("#ranked")).to_have_text("“it” → “animal” + “street”, strongest head first:")
    expected = between(minilm, [IT], [ANIMAL, STREET])
    layer, head = np.unravel_index(expected.argmax(), expected.shape)
    expect(page.locator("#what")).to_contain_text(f"Layer {layer}, head {head}")
    assert next(iter(ranking(page))) == f"{layer}.{head}"
    expect(page.locator("#top")).to_contain_text(f"“it” looks at “animal” + “street” {expected.max():.2f}")
    expect(page.locator("input[name=scale]:checked")).to_have_value("linear")


def test_keyboard_adds_a_key(page: Page) -> None:
    token(page, "queries", IT).focus()
    page.keyboard.press("Enter")
    token(page, "keys", ANIMAL).focus()
    page.keyboard.press("Enter")
    token(page, "keys", STREET).focus()
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#ranked")).to_contain_text("“it” → “animal” + “street”")


def test_pieces_of_chinese_and_what_cls_stands_for(open_page: Open, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("xlm-roberta")
    page = open_page(view("我昨天去了超市,买了苹果 it was", encoder, query="苹果"))
    strings = keep_weights("我昨天去了超市,买了苹果 it was", encoder).pieces.strings
    assert "▁it" in labels(page, "keys")
    chinese = [label for string, label in zip(strings, labels(page, "keys"), strict=True) if "果" in string]
    assert chinese
    assert not any(label.startswith("▁") for label in chinese)
    expect(page.locator("#stats-note")).to_contain_text("cls stands for <s>. sep stands for </s>.")
    expect(page.locator("#tokens [aria-pressed=true]")).not_to_have_count(0)


@pytest.mark.parametrize("address", ["", "#layer=5&head=11&query=10&key=2"])
def test_a_ranking_goes_with_its_tokens(open_page: Open, minilm: Encoder, address: str) -> None:
    """However the page was opened: by options or by its address, the model view follows every choice."""
    page = open_page(view(TEXT, minilm, query=None if address else "it", key=None if address else ["animal"]))
    start = page.url
    for release in (lambda: page.keyboard.press("Escape"), lambda: token(page, "keys", ANIMAL).click()):
        page.goto("about:blank")  # another address of the same file would not load it again
        page.goto(start + address)
        expect(page.locator("#ranked")).to_have_text("“it” → “animal”, strongest head first:")
        release()
        expect(page.locator("#ranking button")).to_have_count(0)
        expect(page.locator("#ranked")).to_contain_text("Click a query and a key")
        assert drawn(page, 0, 2).size > 1
