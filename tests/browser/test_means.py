"""A page of means says so wherever it would name a layer or a head, and works as any other."""

import re

import pytest
from playwright.sync_api import expect

from attnprobe import Encoder, view
from tests.browser.conftest import TEXT, Open

NAMES = {"heads": "layer 3, mean of heads", "layers": "mean of layers, head 3", "all": "mean of layers, mean of heads"}
PLACES = {"heads": "3.mean", "layers": "mean.3", "all": "mean.mean"}


@pytest.mark.parametrize("mean", NAMES)
def test_page_of_means(mean: str, minilm: Encoder, open_page: Open) -> None:
    page = open_page(view(TEXT, minilm, mean=mean, query="animal", key="street"))
    name = NAMES[mean]
    page.locator("#grid").get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#what")).to_contain_text(name[:1].upper() + name[1:])
    ranked = page.locator("#ranking button")
    expect(ranked).to_have_count({"heads": 6, "layers": 12, "all": 1}[mean])
    expect(page.locator("#ranking")).to_contain_text(PLACES[mean])
    expect(page.locator("#stats tbody tr.on")).to_have_count(1)
    expect(page.locator("#stats tbody tr.on")).to_contain_text("mean")
    expect(page.locator("#steps-summary")).to_contain_text("these weights are means, which no head computes")
    page.get_by_role("radio", name="words").check(force=True)
    layer, head = PLACES[mean].split(".")
    expect(page).to_have_url(re.compile(f"#layer={layer}&head={head}&.*level=words"))
    page.reload()
    expect(page.locator("#what")).to_contain_text(name[:1].upper() + name[1:])
