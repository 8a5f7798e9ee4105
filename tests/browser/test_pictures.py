"""What is saved is what is shown."""

import base64
import io
import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from attnprobe import View
from tests.browser.conftest import Open
from tests.browser.reading import choose, labels, lines, shown, token

SVG = "{http://www.w3.org/2000/svg}"


def saved(page: Page, button: str) -> bytes:
    with page.expect_download() as download:
        page.locator(button).click()
    return Path(download.value.path()).read_bytes()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_svg(open_page: Open, sentence: View, scheme: str) -> None:
    page = open_page(sentence, scheme)
    choose(page, "head", 4)
    shown(page)
    root = ElementTree.fromstring(saved(page, "#svg"))
    assert len(root.findall(f".//{SVG}path")) == lines(page)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    settings = "weights ≥ 0.020 · pieces · special tokens shown · colour by √weight"
    names = ["all-MiniLM-L6-v2, layer 0head 0head 4", settings]
    assert texts == [*names, *labels(page, "queries"), *labels(page, "keys")]
    assert root.findtext(f"{SVG}desc") == f"all-MiniLM-L6-v2 · layer.head 0.0, 0.4 · {settings}"
    assert root.findtext(f"{SVG}metadata") == sentence.signature
    assert root.find(f"{SVG}rect").get("fill") == page.evaluate("getComputedStyle(document.body).backgroundColor")
    strokes = {path.get("stroke") for path in root.iter(f"{SVG}path")}
    assert strokes == {page.evaluate(f"colour('var(--head-{head})')") for head in (0, 4)}
    code = ElementTree.tostring(root, encoding="unicode")
    assert not re.search(r"var\(|href|style=|NaN|undefined", code)


def test_svg_of_a_token(page: Page) -> None:
    every = lines(page)
    token(page, "queries", 2).click()
    root = ElementTree.fromstring(saved(page, "#svg"))
    assert len(root.findall(f".//{SVG}path")) == (shown(page)[0, 2] >= 0.02).sum() < every
    assert [text.text for text in root.iter(f"{SVG}text") if text.get("font-weight") == "700"] == ["animal"]


def test_svg_is_named_after_its_heads(page: Page) -> None:
    choose(page, "layer", 3)
    choose(page, "head", 5)
    expect(page.locator("#what")).to_contain_text("Layer 3, heads 0, 5")
    with page.expect_download() as download:
        page.locator("#svg").click()
    assert download.value.suggested_filename == "attention-layer3-head0-5.svg"


def test_pictures_say_what_they_show(page: Page, sentence: View) -> None:
    choose(page, "special", "renormalise")
    choose(page, "words", "words")
    choose(page, "scale", "linear")
    token(page, "queries", 2).click()
    token(page, "keys", 4).click()
    expect(page.locator("#ranked")).to_contain_text("→")
    root = ElementTree.fromstring(saved(page, "#svg"))
    settings = "weights ≥ 0.020 · words · special tokens hidden and rows renormalised · colour by weight"
    kept = f"query “{labels(page, 'queries')[2]}” · key “{labels(page, 'keys')[4]}”"
    words = f"all-MiniLM-L6-v2 · layer.head 0.0 · {settings} · {kept}"
    assert root.findtext(f"{SVG}desc") == words
    assert [text.text for text in root.iter(f"{SVG}text")][1:3] == [settings, kept]
    with Image.open(io.BytesIO(saved(page, "#png"))) as image:
        image.load()  # which checks each chunk
        assert image.text == {"Description": words, "Signature": sentence.signature, "Software": "attnprobe"}


def test_png(page: Page) -> None:
    data = saved(page, "#png")
    svg = ElementTree.fromstring(saved(page, "#svg"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (2 * int(svg.get("width", 0)), 2 * int(svg.get("height", 0)))
    code = """async (data) => {
        const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes]));
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        canvas.drawImage(bitmap, 0, 0);
        return new Set(new Uint32Array(canvas.getImageData(600, 100, 200, 200).data.buffer)).size;
    }"""
    assert page.evaluate(code, base64.b64encode(data).decode()) > 20  # lines over paper, not an empty sheet
