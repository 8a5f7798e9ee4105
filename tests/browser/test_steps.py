"""The pane of steps shows the numbers of a trace, to the rounding of float16, in the words of either language."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from attnprobe import Encoder, Trace, View, trace, view
from tests.browser.conftest import PAIR, TEXT, Open
from tests.browser.reading import choose, labels, shown, token

HALF = 2.0**-11  # what a float16 may move by, relative to itself
SHORT = "She wasn't told, was she?"
COLUMNS = ("dot", "scaled", "position_bias", "softcap", "score", "weight", "value_norm", "output_norm")


def ready(page: Page, query: int) -> Page:
    expect(page.locator("#steps-query")).to_have_value(str(query))
    expect(page.locator("#walk li")).to_have_count(9)
    return page


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("∞", "inf"))


def table(page: Page) -> dict[str, np.ndarray]:
    """The columns of numbers by key, in the order of keys."""
    more = page.locator("#walk button[data-key=more]")
    if more.count() and page.evaluate("!walked.all"):
        more.click()
    rows = page.locator("#walk .keys tbody tr")
    expect(rows).to_have_count(len(page.evaluate("page.pieces.labels")))
    code = "(all) => all.map((row) => [...row.cells].slice(1).map((cell) => [cell.dataset.column, cell.textContent]))"
    order = [int(at) for at in rows.locator("button").evaluate_all("(all) => all.map((its) => its.dataset.key)")]
    cells = rows.evaluate_all(code)
    found = {name: np.array([number(row[at][1]) for row in cells]) for at, (name, _) in enumerate(cells[0])}
    return {name: values[np.argsort(order)] for name, values in found.items()}


def walk(page: Page, layer: int, head: int, query: int) -> dict[str, Any]:
    """The numbers behind the pane, unrounded."""
    code = """async (place) => JSON.stringify(await walkOf(...place),
        (key, value) => value === -Infinity ? "masked" : ArrayBuffer.isView(value) ? [...value] : value)"""
    return json.loads(page.evaluate(code, [layer, head, query]))


def tolerances(its: Trace) -> dict[str, Any]:
    """How far float16 moves the numbers: a product by twice that, a weight by half as much as scores."""
    dot = 2.1 * HALF * np.abs(its.k.astype(float)) @ np.abs(its.q.astype(float))
    terms = {name: HALF * np.abs(term) for name, term in its.terms.items()}
    terms |= {"softcap": 2 * dot * its.scale} if "softcap" in terms else {}
    score = dot * its.scale + sum(terms.values())
    weight = min(score.max() / 2, 1)
    value = weight * np.linalg.norm(its.v, axis=1) + HALF * its.value_norm
    output = (
        0 if its.output_norm is None else (weight + 2 * HALF * its.weight) * its.output_norm / its.weight.clip(1e-9)
    )
    found = {"dot": dot, "scaled": dot * its.scale, "score": score, "weight": weight, "value_norm": value}
    return {**found, **terms, "output_norm": output}


def check(page: Page, its: Trace) -> None:
    """The pane's table and the numbers behind it are the trace's."""
    shown, unrounded, allowed = table(page), walk(page, its.layer, its.head, its.query), tolerances(its)
    expected = {**its.terms, **{name: getattr(its, name) for name in COLUMNS if getattr(its, name, None) is not None}}
    names = set(expected) - (set() if its.terms or np.isinf(its.score).any() else {"score"})
    assert set(shown) == names
    for name in names:
        exact = np.array([-np.inf if x == "masked" else x for x in {**unrounded, **unrounded["terms"]}[name]])
        seen = np.isfinite(expected[name])
        assert np.array_equal(np.isfinite(exact), seen)
        moved = np.abs(exact[seen] - expected[name][seen])
        assert (moved <= np.broadcast_to(allowed[name], seen.shape)[seen] + 1e-6).all(), name
        np.testing.assert_allclose(shown[name], exact, rtol=1e-4, atol=5.1e-4)
    for name in ("q", "x"):
        if getattr(its, name) is not None:
            np.testing.assert_allclose(unrounded[name], getattr(its, name), rtol=2 * HALF, atol=1e-6)
    size = np.abs(its.v).sum(0) * allowed["weight"] + HALF * its.weight @ np.abs(its.v)
    assert (np.abs(unrounded["output"] - its.output) <= size + 1e-6).all()
    if its.projected is not None:
        assert unrounded["projected"][its.head] == pytest.approx(np.linalg.norm(its.projected), rel=2 * HALF)


def said(page: Page, step: str) -> str:
    return page.locator(f"#walk [data-step={step}]").inner_text()


def test_a_clicked_token_is_walked_through(page: Page, minilm: Encoder) -> None:
    choose(page, "layer", 3)
    page.locator("#no-heads").click()
    choose(page, "head", 5)
    token(page, "queries", 5).click()
    ready(page, 5)
    its = trace(TEXT, minilm, layer=3, head=5, query=5)
    check(page, its)
    best = int(its.weight.argmax())
    expect(page.locator("#steps-key")).to_have_value(str(best))
    names = labels(page, "keys")
    expect(page.locator("#steps-summary")).to_have_text(
        f"Layer 3, head 5: “{names[5]}” gives “{names[best]}” the weight {its.weight[best]:.3f}."
    )
    [dot] = re.findall(r"q·k = (\S+)", said(page, "dot"))
    assert number(dot) == pytest.approx(its.dot[best], abs=tolerances(its)["dot"][best] + 5.1e-4)
    assert "z: columns 160 to 191 of 384" in said(page, "place")
    expect(page.locator("#walk [data-step=maps] svg rect")).to_have_count(64)
    expect(page.locator("#walk [data-step=input] svg rect")).to_have_count(384)


FAMILIES = ["modernbert", "mpnet", "t5", "t5gemma", "openai_privacy_filter", "xglm", "neomme"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_of_attention(family: str, open_page: Open, encoder_of: Callable[[str], Encoder]) -> None:
    """Rotations, biases, soft caps, shared keys, sinks, causal masks of hooked models, and gates before W_O."""
    encoder = encoder_of(family)
    page = open_page(view(SHORT, encoder))
    page.locator("#steps-query").select_option("3")
    for layer, head in ((0, 1), (encoder.layers - 1, encoder.heads - 1)):
        choose(page, "layer", layer)
        page.locator("#no-heads").click()
        choose(page, "head", head)
        ready(page, 3)
        its = trace(SHORT, encoder, layer=layer, head=head, query=3)
        expect(page.locator("#steps-summary")).to_contain_text(f"Layer {layer}, head {head}:")
        check(page, its)
        words = {"position_bias": "A bias is added", "softcap": "A soft cap"}
        for name, sentence in words.items():
            assert (sentence in said(page, "terms")) == (name in its.terms)
        assert ("get −∞" in said(page, "terms")) == bool(np.isinf(its.score).any())
        assert ("rotated by its position" in said(page, "maps")) == ("rotated by its position" in its.made_by["q"])
        assert ("learned sink" in said(page, "softmax")) == (its.sink is not None)
        assert ("which is not shown" in said(page, "output")) == (its.projected is None)


@pytest.mark.parametrize("family", ["deberta", "xlnet"])
def test_a_family_that_trace_refuses(family: str, open_page: Open, encoder_of: Callable[[str], Encoder]) -> None:
    page = open_page(view(SHORT, encoder_of(family)))
    expect(page.locator("#steps-summary")).to_have_text(
        re.compile(rf"^The steps are left out: {family} has .* position terms, which trace does not separate yet\.$")
    )
    expect(page.locator("#steps-choice")).to_be_hidden()
    expect(page.locator("#walk li")).to_have_count(0)


def test_without_steps(open_page: Open, minilm: Encoder) -> None:
    made = view(SHORT, minilm, steps=False)
    assert 'id="numbers-' not in made.html
    page = open_page(made)
    expect(page.locator("#steps")).to_be_hidden()
    expect(page.locator("#to-steps")).to_be_hidden()


def test_chinese(open_page: Open, minilm: Encoder) -> None:
    page = ready(open_page(view(SHORT, minilm, lang="zh", query=1)), 1)
    expect(page.locator("#steps")).to_have_attribute("lang", "zh-Hans")
    names = ["输入", "查询与键", "点积", "缩放", "位置项与掩码", "softmax", "加权和", "多头拼接", "输出映射"]
    expect(page.locator("#walk h3")).to_have_text(names)
    for sentence in page.locator("#walk .said").all_text_contents():
        assert re.search(r"[\u4e00-\u9fff]{3}", sentence)
        assert sentence.endswith("。")
    expect(page.locator("#to-steps")).to_have_text("计算步骤 ↓")
    assert ": " not in page.locator("#walk").evaluate("(all) => all.textContent")
    expect(page.locator("#walk [data-step=input] .formula")).to_have_text(re.compile("^x：384 维"))
    expect(page.locator("#walk [data-step=dot] .formula")).to_contain_text("维（从 0 数起）贡献最大：")
    expect(page.locator("#walk .said").nth(3)).to_have_text("点积除以 √d（这里 d = 32），使分数的大小不随维数 d 增长。")
    under = page.locator("#walk [data-step=scaled] .under span")
    assert under.all_text_contents() == labels(page, "keys")
    page.get_by_role("button", name="English").click()
    expect(page.locator("#walk h3").first).to_have_text("Input")
    expect(page.locator("#steps")).to_have_attribute("lang", "en")


def test_keys_are_chosen_in_the_table_and_by_a_click(page: Page) -> None:
    token(page, "queries", 3).click()
    ready(page, 3)
    page.locator("#walk .keys button[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    second = page.locator("#walk .keys tbody button").nth(1)
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(second).to_be_focused()
    chosen = page.locator("#steps-key").input_value()
    assert chosen == second.get_attribute("data-key")
    token(page, "keys", 6).click()
    expect(page.locator("#steps-key")).to_have_value("6")
    expect(page.locator("#steps-query")).to_have_value("3")
    page.locator("#steps-query").select_option("4")
    expect(token(page, "queries", 4)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Steps ↓").click()
    expect(page.locator("#steps-query")).to_be_focused()
    page.get_by_text("Numbers by dimension").click()
    expect(page.locator("#walk details tbody tr")).to_have_count(32)
    token(page, "keys", 7).click()
    expect(page.locator("#steps-key")).to_have_value("7")
    expect(page.locator("#walk details")).to_have_attribute("open", "")


def test_words_are_walked_by_their_first_piece(page: Page) -> None:
    choose(page, "words", "words")
    at = labels(page, "queries").index("unremarkably")
    token(page, "queries", at).click()
    first = page.evaluate("page.words.of").index(page.evaluate("scene.queries")[at])
    ready(page, first)
    token(page, "keys", labels(page, "keys").index("animal")).click()
    expect(page.locator("#steps-differences")).to_have_text(
        "The head view takes several pieces together; the steps take one query, “un”, and one key, “animal”: "
        "the first of those kept, unless you choose another."
    )
    token(page, "queries", 1).click()
    ready(page, 1)
    expect(page.locator("#steps-differences")).to_be_empty()


def test_the_steps_say_how_they_differ_from_the_head_view(page: Page) -> None:
    said = page.locator("#steps-differences")
    token(page, "queries", 3).click()
    token(page, "keys", 6).click()
    ready(page, 3)
    expect(page.locator("#steps-key")).to_have_value("6")
    expect(said).to_be_empty()
    weight = page.locator("#walk .keys .on [data-column=weight]").text_content()
    own = "Weights here are the model's own, before special tokens are hidden"
    for special, sentence in (("hide", f"{own}."), ("renormalise", f"{own} and rows renormalised."), ("show", "")):
        choose(page, "special", special)
        expect(said).to_have_text(sentence)
        expect(page.locator("#walk .keys .on [data-column=weight]")).to_have_text(str(weight))
    token(page, "keys", 8).click(modifiers=["Shift"])
    expect(said).to_contain_text("one query, “didn”, and one key, “cross”: the first of those kept")
    choose(page, "special", "renormalise")
    page.get_by_role("button", name="中文").click()
    expect(said).to_have_text(re.compile("^这里的权重是模型自身的权重，.*重新归一化。注意力头视图.*也可以另选。$"))


def test_a_pair_and_chosen_heads(open_page: Open, minilm: Encoder) -> None:
    page = open_page(view(PAIR[0], minilm, pair=PAIR[1], layers="2,4", heads="7,3"))
    choose(page, "layer", 1)
    choose(page, "head", 1)
    choose(page, "pair", "ab")
    shown(page)
    token(page, "queries", 2).click()
    query = page.evaluate("scene.queries")[2]
    ready(page, query)
    page.locator("#steps-head").select_option("1")
    expect(page.locator("#steps-summary")).to_contain_text("Layer 4, head 7:")
    found = walk(page, 1, 1, query)
    its = trace(PAIR[0], minilm, pair=PAIR[1], layer=4, head=7, query=query)
    np.testing.assert_allclose(found["weight"], its.weight, rtol=0, atol=tolerances(its)["weight"])
    expect(page.locator("#walk .boxes .mine")).to_have_text("7")


@pytest.mark.parametrize("width", [390, 1920])
def test_nothing_sticks_out_of_the_pane(open_page: Open, sentence: View, width: int) -> None:
    page = ready(open_page(sentence, width=width), 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_tokens_are_data_in_the_pane(page: Page) -> None:
    page.evaluate(
        "page.pieces.labels[2] = '<img src=x onerror=alert(1)>'; walked.drawn = ''; changeSteps({ query: 2, key: 2 })"
    )
    expect(page.locator("#steps-summary")).to_contain_text("“<img src=x onerror=alert(1)>” gives")
    assert page.locator("img").count() == 0
