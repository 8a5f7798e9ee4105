"""The page as a file: what it holds, packed and escaped, with no browser at hand."""

import base64
import json
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from attnprobe import METRICS, Encoder, TruncationWarning, head_stats, view
from attnprobe.errors import OutputError, UsageError
from attnprobe.measure.weights import keep_weights
from attnprobe.render import atlas_page
from attnprobe.render.page import PARTS, SCRIPTS, as_json, make_page, pack
from attnprobe.render.steps import pack_halves
from tests.atlases import fabricated

TEXT = "The animal didn't cross the street."


def data_of(html: str) -> dict:
    return json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)[0])


def test_parts_are_packaged() -> None:
    names = {part.name for part in PARTS.iterdir()}
    of_atlas = {f"atlas/{part.name}" for part in (PARTS / "atlas").iterdir()}
    parts = {"atlas/atlas.html", *atlas_page.STYLES, *(f"{name}.js" for name in atlas_page.SCRIPTS)}
    assert of_atlas == {name for name in parts if "/" in name}
    assert parts - of_atlas < names
    around = {f"side_by_side.{suffix}" for suffix in ("html", "css", "js")}
    others = {"base.css", "tokens.css", "shaded.html", "shaded.css", "atlas"}
    assert names == {"page.html", "page.css", *(f"{name}.js" for name in SCRIPTS), *around, *others}
    inlined = {name for name in names | of_atlas if name.endswith((".css", ".js"))}
    assert not any("</script" in (PARTS / name).read_text(encoding="utf-8") for name in inlined)


@pytest.mark.parametrize("scripts", [SCRIPTS, atlas_page.SCRIPTS], ids=["view", "atlas"])
def test_scripts_share_a_scope_without_a_name_twice(scripts: tuple[str, ...]) -> None:
    """The browser would take the later of two functions for both."""
    script = "\n".join((PARTS / f"{name}.js").read_text(encoding="utf-8") for name in scripts)
    names = re.findall(r"^(?:async )?(?:function|const|let) (\w+)", script, re.MULTILINE)
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert len(names) > 100


def test_an_atlas_page_holds_its_data_as_they_are() -> None:
    data = fabricated(1, 2, against=True)
    data["model"]["name"] = "<b>'my model'</b>"
    stream = BytesIO()
    atlas_page.write_html(SimpleNamespace(atlas=SimpleNamespace(data=data)), stream)
    made = stream.getvalue().decode()
    assert data_of(made) == data
    assert made.count("street") == 1
    assert "<b>" not in made


def test_packed_weights_come_back() -> None:
    weights = np.random.default_rng(0).dirichlet(np.ones(50) / 10, 50).astype(np.float32)
    weights[0, :2] = 1 + 1e-6, -1e-9  # as float32 may have it
    low, high = np.frombuffer(zlib.decompress(base64.b64decode(pack(weights))), np.uint8).reshape(2, -1).astype(float)
    np.testing.assert_allclose((low + 256 * high).reshape(50, 50) / 65535, weights.clip(0, 1), rtol=0, atol=7.7e-6)


@pytest.mark.parametrize("value", ["</script>", "<!--<script>", "&lt;", "\u2028\u2029", "\u202e👍🏽", '"\\'])
def test_json_has_no_character_of_html(value: str) -> None:
    assert json.loads(as_json([value])) == [value]
    assert as_json([value]).isascii()
    assert not set(as_json([value])) & set("<>&")


def test_data(minilm: Encoder) -> None:
    made = view(TEXT, minilm, pair="It slept.", layers=[4, 0], heads="2,3")
    data, found = data_of(made.html), keep_weights(TEXT, minilm, pair="It slept.", layers=[4, 0], heads="2,3")
    assert (data["layers"], data["heads"], data["pair"]) == (list(found.layers), [2, 3], True)
    assert data["pieces"]["labels"] == found.key_tokens.strings
    assert data["pieces"]["segments"] == list(found.key_tokens.segments)
    assert data["words"]["of"] == list(found.pieces.words or ())
    assert data["words"]["labels"] == list(found.pieces.by_word().strings)
    assert data["signature"] == made.signature
    assert len(re.findall(r'id="weights-\d-\d"', made.html)) == 4
    assert f"<h1>{TEXT.replace(chr(39), '&#x27;')} / It slept.</h1>" in made.html


def test_statistics_are_those_of_heads(minilm: Encoder) -> None:
    found = np.array(data_of(view(TEXT, minilm, layers=[5, 1], heads=[3, 0]).html)["stats"], dtype=float)
    stats = head_stats(TEXT, minilm, layers=[5, 1], heads=[3, 0]).drop(columns=["layer", "head"])
    np.testing.assert_array_equal(found.reshape(4, -1), stats)


@pytest.mark.parametrize("steps", [False, True])
def test_the_model_runs_once_and_once_for_steps(steps: bool, minilm: Encoder) -> None:
    runs: list[object] = []
    handle = minilm.model.register_forward_hook(lambda *call: runs.append(call))
    view(TEXT, minilm, steps=steps)
    handle.remove()
    assert len(runs) == 1 + steps


@pytest.mark.parametrize("factor", [1e-30, 1e-8, 1.0, 1e5, 1e30])
def test_packed_numbers_come_back_whatever_their_size(factor: float) -> None:
    """No float16 overflows or loses its digits, though alone it would from 65,504 on and below 6e-5."""
    numbers = (factor * np.random.default_rng(0).normal(size=(20, 8))).astype(np.float32)
    packed, exponent = pack_halves(numbers)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8).reshape(2, -1)
    halves = np.ascontiguousarray(planes.T).view("<f2").astype(float).reshape(numbers.shape)
    np.testing.assert_allclose(halves * 2.0**exponent, numbers, rtol=2**-11, atol=2**-39 * abs(numbers).max())
    assert pack_halves(np.zeros((2, 2), np.float32))[1] == -15


def test_what_heads_share_is_packed_once(encoder_of: Callable[[str], Encoder]) -> None:
    """x by all heads of a layer, k and v in groups of heads, T5's bias by all layers."""
    steps = data_of(view(TEXT, encoder_of("t5")).html)["steps"]
    heads = [head for layer in steps["layers"] for head in layer["heads"]]
    assert (len({head["x"] for head in heads}), len({head["q"] for head in heads})) == (3, 12)
    assert len({head["terms"]["position_bias"] for head in heads}) == 4
    [first, second, *_] = data_of(view(TEXT, encoder_of("eurobert")).html)["steps"]["layers"][0]["heads"]
    assert (first["k"], first["v"]) == (second["k"], second["v"])
    assert first["q"] != second["q"]


def test_too_many_steps_are_left_out(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    made = data_of(view(TEXT, minilm, layers="0-1").html)["steps"]
    monkeypatch.setattr("attnprobe.analyses.steps.MOST_NUMBERS", 5_000)
    cut = view(TEXT, minilm, layers="0-1").html
    assert len(made["layers"]) == 2
    assert 'id="numbers-' not in cut
    expected = r"this text needs [\d,]+ numbers for them, and 5,000 are the most: -l or --max-length makes them fewer"
    assert re.fullmatch(expected, data_of(cut)["steps"]["missing"])


def test_an_unknown_language(minilm: Encoder) -> None:
    with pytest.raises(UsageError, match="lang"):
        view(TEXT, minilm, lang="fr")


def test_the_same_text_gives_the_same_page(minilm: Encoder) -> None:
    assert view(TEXT, minilm) == view(TEXT, minilm)


def test_the_signature_is_that_of_the_statistics(minilm: Encoder) -> None:
    made = view(TEXT, minilm, max_length=64)
    assert made.signature == head_stats(TEXT, minilm, max_length=64).attrs["signature"]
    assert f'<meta name="attnprobe:signature" content="{made.signature}">' in made.html


def test_a_cut_text_is_said_once_and_in_the_page(minilm: Encoder) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = view(TEXT, minilm, max_length=6)
    assert [warning.category for warning in caught] == [TruncationWarning]
    assert "The text has 11 tokens; only the first 6 were read." in made.html


def test_unknown_tokens_are_said(minilm: Encoder) -> None:
    assert "Tokens unknown to the model&#x27;s vocabulary: " in view("我昨天去了超市", minilm).html


def test_a_tokenizer_without_words(minilm: Encoder) -> None:
    found = keep_weights(TEXT, minilm)
    found = replace(found, pieces=replace(found.pieces, words=None, word_texts=()))
    assert data_of(make_page(TEXT, found, np.zeros((6, 12, len(METRICS))), "sign"))["words"] is None


def test_a_page_that_would_be_too_large_is_refused(minilm: Encoder) -> None:
    with pytest.raises(UsageError, match=r"3,528 weights.*limit is 3,527"):
        view("these are six short words", minilm, most=3_527)


def test_save(minilm: Encoder, tmp_path: Path) -> None:
    made = view(TEXT, minilm)
    made.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == made.html
    with pytest.raises(OutputError, match="exists already"):
        made.save(tmp_path / "page.html")
    made.save(tmp_path / "page.html", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
