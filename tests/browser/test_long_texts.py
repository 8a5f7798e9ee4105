"""Long texts make pages of a bearable size that stay quick."""

import inspect

import numpy as np
import pytest
from playwright.sync_api import expect

from attnprobe import Encoder, TruncationWarning, View, view
from attnprobe.measure.weights import keep_weights
from tests.browser.conftest import Open
from tests.browser.reading import shown

# Real prose that every Python has.
PROSE = " ".join(inspect.getdoc(found) or "" for found in (str, bytes, int, dict, list, set, type, inspect, np.ndarray))


def cut(minilm: Encoder, length: int, *, steps: bool = True) -> View:
    with pytest.warns(TruncationWarning, match=f"only the first {length} were read"):
        return view(PROSE, minilm, max_length=length, show="0.0", steps=steps)


def test_128_tokens_make_at_most_8_mb_and_3_without_steps(minilm: Encoder) -> None:
    assert 3_000_000 < len(cut(minilm, 128).html.encode()) <= 8_000_000
    assert 1_000_000 < len(cut(minilm, 128, steps=False).html.encode()) <= 3_000_000


def test_512_tokens(open_page: Open, minilm: Encoder) -> None:
    made = cut(minilm, 512, steps=False)
    assert 15_000_000 < len(made.html.encode()) <= 30_000_000
    page = open_page(made)
    expect(page.locator(".note").first).to_contain_text("only the first 512 were read")
    with pytest.warns(TruncationWarning):
        weights = keep_weights(PROSE, minilm, max_length=512, layers=5).weights[0]
    page.locator("#all-heads").click()
    page.locator("input[name=layer][value='5']").check(force=True)
    page.get_by_label("show weights ≥").fill("0")
    expect(page.locator("#what")).to_contain_text("Layer 5, heads 0, 1, 2")
    expect(page.locator("#what")).to_contain_text("strongest drawn")
    paths = page.locator("#lines path")
    expect(paths).to_have_count(2000)
    opacity = paths.evaluate_all("(all) => all.map((path) => Number(path.getAttribute('stroke-opacity')))")
    strongest = np.sort(weights.ravel())[-2000:]
    np.testing.assert_allclose(opacity, np.sqrt(strongest), atol=1e-3)
    page.locator("#no-heads").click()
    page.locator("input[name=head][value='7']").check(force=True)
    np.testing.assert_allclose(shown(page)[0], weights[7], atol=1e-5)
