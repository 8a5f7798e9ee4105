"""The state of the page in its address: a finding is a link."""

import re

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from attnprobe import Encoder, View, view
from attnprobe.measure.weights import keep_weights
from tests.browser.conftest import TEXT, Open
from tests.browser.reading import choose, labels, shown, token

PRESSED = "#tokens [aria-pressed=true]"


def follow(page: Page, text: str) -> None:
    """Follows a link to the same page; what it does is over afterwards."""
    page.evaluate("(text) => new Promise((done) => ((onhashchange = done), (location.hash = text)))", text)


def test_a_finding_is_a_link(page: Page, minilm: Encoder) -> None:
    page.get_by_role("button", name="layer 4, head 9", exact=True).click()
    choose(page, "head", 3)
    choose(page, "special", "renormalise")
    choose(page, "words", "words")
    page.locator("input[name=threshold]").fill("30")
    token(page, "queries", 3).click()
    page.locator("#theme").click()
    expect(page).to_have_url(
        re.compile(r"#layer=4&head=3,9&query=6&key=&level=words&special=renormalise&pair=all&from=0.09&.*theme=dark$")
    )
    before = [shown(page), labels(page, "keys"), page.locator("#what").text_content()]
    page.reload()
    expect(page.locator(PRESSED)).to_have_text(re.compile("cross"))
    np.testing.assert_array_equal(shown(page), before[0])
    assert [labels(page, "keys"), page.locator("#what").text_content()] == before[1:]
    found = keep_weights(TEXT, minilm, level="word").weights[4, [3, 9]][:, 1:-1, 1:-1].astype(float)
    np.testing.assert_allclose(shown(page), found / found.sum(-1, keepdims=True), atol=1e-3)
    assert page.evaluate("document.documentElement.style.colorScheme") == "dark"
    for name, value in (("words]:checked", "words"), ("special]:checked", "renormalise"), ("threshold]", "30")):
        expect(page.locator(f"input[name={name}")).to_have_value(value)


def test_the_address_is_true_at_once(page: Page) -> None:
    """A reload right after a choice keeps it."""
    head = page.get_by_role("button", name="layer 4, head 9", exact=True)
    address = "(button) => new Promise((done) => (button.click(), setTimeout(() => done(location.hash))))"
    assert head.evaluate(address).startswith("#layer=4&head=9&")


def test_back_and_forward(page: Page) -> None:
    what = page.locator("#what")
    for layer, head in ((2, 9), (3, 1)):
        page.get_by_role("button", name=f"layer {layer}, head {head}", exact=True).click()
        expect(page).to_have_url(re.compile(f"#layer={layer}&head={head}&"))
    page.go_back()
    expect(what).to_contain_text("Layer 2, head 9")
    page.go_back()
    expect(what).to_contain_text("Layer 0, head 0")
    page.go_forward()
    expect(what).to_contain_text("Layer 2, head 9")
    expect(page.locator("#grid [aria-pressed=true]")).to_have_attribute("aria-label", "layer 2, head 9")


@pytest.mark.parametrize(
    "text",
    [
        "section-2",
        "tokens",
        "layer=6&head=12,-1&query=99&key=1.5&level=letters&special=&pair=ab&from=2&scale=log&theme=url(x)",
        "layer=<img src=x onerror=alert(1)>&query=%3Cscript%3E&%E0%A4%A",
        "layer=constructor&head=__proto__&level=toString&__proto__=1&from=1e-3&special=hide%00",
        "head=" + "0," * 5000,
    ],
    ids=["foreign", "an element", "out of range", "markup", "names of objects", "long"],
)
def test_what_makes_no_sense_changes_nothing(page: Page, text: str) -> None:
    before = page.evaluate("stateText()")
    follow(page, text)
    expect(page.locator("#what")).to_contain_text("Layer 0, head 0")
    assert page.evaluate("stateText()") == before
    assert page.locator("img").count() == 0


def test_a_part_of_an_address_is_enough(page: Page) -> None:
    follow(page, "layer=5&query=2,3")
    expect(page.locator("#what")).to_contain_text("Layer 5, head 0")
    expect(page.locator(PRESSED)).to_have_text([re.compile("animal"), re.compile("didn")])


def test_numbers_in_an_address_are_those_of_the_model(open_page: Open, minilm: Encoder) -> None:
    page = open_page(view(TEXT, minilm, layers=[2, 5], heads="3,7", show="2.3"))
    follow(page, "layer=5&head=7")
    expect(page.locator("#what")).to_contain_text("Layer 5, head 7")
    follow(page, "layer=1&head=0")
    expect(page.locator("#what")).to_contain_text("Layer 2, head 3")


def test_kept_tokens_survive_pieces_and_words(page: Page, minilm: Encoder) -> None:
    at = labels(page, "queries").index("##rem")
    token(page, "queries", at).click()
    choose(page, "words", "words")
    expect(page.locator(PRESSED)).to_have_text(re.compile("unremarkably"))
    choose(page, "words", "pieces")
    expect(page.locator(PRESSED)).to_have_text(re.compile("##rem"))
    choose(page, "words", "words")
    token(page, "queries", labels(page, "queries").index("unremarkably")).click()
    token(page, "keys", labels(page, "keys").index("unremarkably")).click()
    choose(page, "words", "pieces")
    pieces = keep_weights(TEXT, minilm).pieces
    count = list(pieces.words or ()).count((pieces.words or ())[at])
    expect(page.locator(f"#keys {PRESSED.split()[1]}")).to_have_count(count)


def test_several_tokens_add_up_as_keys_and_average_as_queries(page: Page, minilm: Encoder) -> None:
    weights = keep_weights(TEXT, minilm).weights[0, 0]
    for side, how in (("queries", weights[[2, 5]].mean(0)), ("keys", weights[:, [2, 5]].sum(1))):
        token(page, side, 2).click()
        token(page, side, 5).click(modifiers=["Shift"])
        other = {"queries": "keys", "keys": "queries"}[side]
        numbers = [float(text or 0) for text in page.locator(f"#{other} .values").all_text_contents()]
        np.testing.assert_allclose(numbers, np.where(how < 0.005, 0, how), atol=5.1e-3)
        page.keyboard.press("Escape")
        expect(page.locator(PRESSED)).to_have_count(0)


def test_a_page_in_a_frame_tells_and_follows_the_page_around_it(browser: Browser, sentence: View) -> None:
    page = browser.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.set_content(sentence._repr_html_())
    page.evaluate("window.told = []; addEventListener('message', ({ data }) => window.told.push(data.shows))")
    frame = page.frame_locator("iframe")
    frame.get_by_role("button", name="layer 2, head 9", exact=True).click()
    page.wait_for_function("window.told.length === 1")
    assert page.evaluate("window.told[0]").startswith("layer=2&head=9&query=&key=&level=pieces&special=show&")
    page.evaluate("frames[0].postMessage({ show: 'layer=4&head=1,3&query=2' }, '*')")
    expect(frame.locator("#what")).to_contain_text("Layer 4, heads 1, 3")
    other = "layer=1&query=0,3&query-token=%E2%96%81Animal&query-token=dog&key=2&key-token=animal&key-token=street"
    page.evaluate(f"frames[0].postMessage({{ show: '{other}' }}, '*')")
    expect(frame.locator("#what")).to_contain_text("Layer 1, head 0")
    expect(frame.locator(PRESSED)).to_have_text([re.compile("animal"), re.compile("animal"), re.compile("street")])
    for strange in ("7", "null", "{ show: 7 }", "'layer=1'", "{ show: 'layer=99' }"):
        page.evaluate(f"frames[0].postMessage({strange}, '*')")
    expect(frame.locator("#what")).to_contain_text("Layer 0, head 0")
    page.wait_for_timeout(300)
    assert page.evaluate("window.told.length") == 1  # what it was told, it does not tell
    assert wrong == []
    page.close()
