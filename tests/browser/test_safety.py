"""Tokens are data, and the page reaches nothing outside itself."""

import base64
import hashlib
import html
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from attnprobe import Encoder, View, view
from attnprobe.measure.weights import keep_weights
from attnprobe.values.text import visible
from tests.browser.conftest import Open
from tests.browser.reading import labels, shown

HOSTILE = (
    "<script>alert(1)</script> \"quotes' </script> <!-- & &amp; <img src=x onerror=alert(1)> "
    "\u202eRTL שלום مرحبا 👍🏽 e\u0301 \u200b [/INST] [bold] ${alert(1)} $title \u2028 \\u003c ]]>"
)


def test_hostile_tokens_are_shown_and_do_nothing(open_page: Open, minilm: Encoder) -> None:
    found = keep_weights(HOSTILE, minilm)
    page = open_page(view(HOSTILE, minilm))
    assert labels(page, "keys") == [visible(string) for string in found.key_tokens.strings]
    page.locator("input[name=words][value=words]").check(force=True)
    shown(page)
    assert labels(page, "keys") == [visible(string) for string in found.pieces.by_word().strings]
    expect(page.locator("h1")).to_contain_text("<script>alert(1)</script> \"quotes'")
    assert page.locator("img").count() == 0
    blocks = found.weights.shape[0] * found.weights.shape[1] + len(page.evaluate("page.steps.exponents"))
    assert page.locator("script").count() == 2 + blocks
    page.locator("#queries button").nth(3).hover()
    page.get_by_text("As text").click()
    expect(page.locator("#text-table tbody tr").first).to_be_visible()


def test_a_piece_of_a_vocabulary_that_is_markup_itself(page: Page) -> None:
    page.evaluate("scene.units.labels[2] = '<img src=x onerror=alert(1)></script>'; fillLists(); drawLines()")
    assert labels(page, "queries")[2] == "<img src=x onerror=alert(1)></script>"
    assert page.locator("img").count() == 0


def test_policy_names_the_parts_of_the_page_and_nothing_else(sentence: View) -> None:
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', sentence.html)
    style, script = (re.search(rf"<{name}>(.*?)</{name}>", sentence.html, re.DOTALL) for name in ("style", "script"))
    assert style is not None
    assert script is not None
    hashes = [base64.b64encode(hashlib.sha256(part[1].encode()).digest()).decode() for part in (style, script)]
    assert dict(part.split(" ", 1) for part in policy.split("; ")) == {
        "default-src": "'none'",
        "style-src": f"'sha256-{hashes[0]}'",
        "script-src": f"'sha256-{hashes[1]}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert "http:" not in sentence.html.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in sentence.html


ATTEMPTS = [
    "document.head.append(Object.assign(document.createElement('script'), {textContent: 'window.broken = 1'}))",
    "document.body.append(Object.assign(document.createElement('img'), {src: 'https://example.invalid/x.png'}))",
    "document.body.insertAdjacentHTML('beforeend', '<p onclick=\"broken = 1\">'), document.body.lastChild.click()",
    "fetch('https://example.invalid/').catch(() => 0)",
    "document.head.append(Object.assign(document.createElement('style'), {textContent: 'p {color: red}'}))",
]


def assert_policy_holds(browser: Browser, path: Path) -> None:
    """Each attempt is refused, breaks nothing, and asks for nothing."""
    page = browser.new_page()
    page.goto(path.as_uri())
    answers: list[str] = []
    page.on("response", lambda response: answers.append(response.url))
    page.on("requestfailed", lambda request: answers.append(str(request.failure)))
    page.evaluate("document.addEventListener('securitypolicyviolation', () => (window.refused = true))")
    for attempt in ATTEMPTS:
        page.evaluate("window.refused = window.broken = null")
        page.evaluate(f"() => {{ {attempt}; }}")
        page.wait_for_function("window.refused")
        page.wait_for_timeout(100)
        assert page.evaluate("[window.refused, window.broken]") == [True, None], attempt
    assert set(answers) <= {"csp"}
    page.close()


def test_policy_holds(browser: Browser, sentence: View, tmp_path: Path) -> None:
    sentence.save(tmp_path / "page.html")
    assert_policy_holds(browser, tmp_path / "page.html")


def test_frame_of_a_notebook(browser: Browser, sentence: View) -> None:
    page = browser.new_page(accept_downloads=True)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.set_content(f"<p id=outside>notebook</p>{sentence._repr_html_()}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("#what")).to_contain_text("Layer 0, head 0")
    frame.get_by_role("button", name="layer 2, head 9", exact=True).click()
    expect(frame.locator("#what")).to_contain_text("Layer 2, head 9")
    assert page.locator("iframe").get_attribute("sandbox") == "allow-scripts allow-downloads"
    inner = page.frames[1]
    assert inner.evaluate("() => { try { return parent.document.title } catch (error) { return error.name } }") == (
        "SecurityError"
    )
    for name, suffix in (("#svg", "svg"), ("#png", "png")):
        with page.expect_download() as download:
            frame.locator(name).click()
        assert download.value.suggested_filename.endswith(f".{suffix}")
    assert wrong == []
    page.close()


def test_frame_holds_the_page_as_data(sentence: View) -> None:
    [inner] = re.findall(r'srcdoc="([^"]*)"', sentence._repr_html_())
    assert html.unescape(inner) == sentence.html
