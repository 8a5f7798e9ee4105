"""Token scores are those of plain loops over the model's own attention; the shaded text reads as the text does."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import attnprobe
from attnprobe import Encoder
from attnprobe.analyses.scores import CONTRIBUTED, SCORES
from attnprobe.analyses.token_scores import COLUMNS, TOKENS, Scoring
from attnprobe.attention import blocks
from attnprobe.errors import ModelError, UsageError
from attnprobe.models import encoder
from attnprobe.render.shaded_figure import draw_tokens, write_png, write_svg
from attnprobe.render.shaded_page import make_shaded_page
from attnprobe.render.shading import Shading
from attnprobe.render.token_scores import tokens_view
from attnprobe.values.runs import join_tokens
from attnprobe.values.tokens import Role, Tokens
from tests.eager import eager_layers
from tests.exact import EXACT, float64
from tests.plain import Plain
from tests.rows import noise
from tests.test_flow import FAMILIES, rolled_by_layer

S = "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
TEXT, PAIR = "She wasn't told (unhappily) of it.", "Nobody had told her?"
ALL = [name for name, score in SCORES.items() if name not in CONTRIBUTED and not score.says_why]
HARD = "[CLS] <b>[/INST]</b> :smile: 🐈‍⬛ 👍🏽 天上有月。 $x_1$ \x1b[31m &amp;\nand a second line"


def merged(weights: np.ndarray, words: Sequence[int]) -> np.ndarray:
    """(word, word) of one head: sums over the pieces of keys, means over those of queries."""
    sizes = Counter(words)
    by_word = np.zeros((len(sizes), len(sizes)))
    for query, row in enumerate(weights.tolist()):
        for key, weight in enumerate(row):
            by_word[words[query], words[key]] += weight / sizes[words[query]]
    return by_word


def scores_by_loops(
    layers: Sequence[np.ndarray],
    roles: Sequence[Role],
    *,
    chosen: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    queries: str = "all",
    words: Sequence[int] | None = None,
) -> dict[str, list[float]]:
    """Every score of weights (head, query, key) by layer; ``roles`` are those of tokens."""
    maps = [
        weights[head] if words is None else merged(weights[head], words)
        for weights in (layers[layer] for layer in chosen or range(len(layers)))
        for head in heads or range(len(weights))
    ]
    units = roles if words is None else [roles[list(words).index(word)] for word in range(max(words) + 1)]
    asking = [at for at, role in enumerate(units) if queries == "all" or role == Role.CONTENT]
    cls = [at for at, role in enumerate(units) if role == Role.CLS]
    found: dict[str, list[float]] = {name: [] for name in ALL}
    for token in range(len(units)):
        found["received"].append(
            sum(float(a[query, token]) for a in maps for query in asking) / len(maps) / len(asking)
        )
        given = [float(a[query, token]) for a in maps for query in cls]
        found["from_cls"].append(sum(given) / len(given) if given else math.nan)
        rows = [[float(weight) for weight in a[token]] for a in maps]
        found["entropy"].append(-sum(w * math.log(w) for row in rows for w in row if w > 0) / len(maps))
    last = rolled_by_layer(layers, heads=heads)[-1]
    first_cls = [at for at, role in enumerate(roles) if role == Role.CLS][:1] or range(len(roles))
    rolled = [sum(last[query][key] for query in first_cls) / len(first_cls) for key in range(len(roles))]
    number = range(len(roles)) if words is None else words
    found["rollout"] = [
        sum(r for r, word in zip(rolled, number, strict=True) if word == at) for at in range(len(units))
    ]
    return found


def frame_of(text: str, encoder: Encoder, **options: Any) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attnprobe.tokens(text, encoder, ALL, **options)


def assert_scores(frame: pd.DataFrame, expected: dict[str, list[float]], tolerance: float) -> None:
    for name, values in expected.items():
        size = 1 + np.abs(np.nan_to_num(values))
        np.testing.assert_allclose(frame[name] / size, values / size, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_eager_attention(
    family: str,
    encoder_of: Callable[[str], Encoder],
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
) -> None:
    plain, exact = plain_of(family), exact_of(family)
    with float64():
        layers = [layer.weights for layer in eager_layers(plain.model, plain.inputs(plain.encode([TEXT])))]
        [tokens] = exact.tokenize(TEXT)
        expected = scores_by_loops(layers, tokens.roles)
        assert_scores(frame_of(TEXT, exact), expected, EXACT)
    assert_scores(frame_of(TEXT, encoder_of(family)), expected, noise(encoder_of(family), len(tokens)))


@pytest.mark.parametrize("family", ["bert", "t5", "modernbert", "gpt_oss"])
def test_options(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers, heads, queries and words, in small blocks."""
    plain, exact = plain_of(family), exact_of(family)
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", 128)
    with float64():
        layers = [layer.weights for layer in eager_layers(plain.model, plain.inputs(plain.encode([PAIR])))]
        [tokens] = exact.tokenize(PAIR)
        for options, chosen in (
            ({"layers": [1], "heads": [0]}, {"chosen": [1], "heads": [0]}),
            ({"queries": "content"}, {"queries": "content"}),
            ({"level": "word", "queries": "content"}, {"words": tokens.words, "queries": "content"}),
        ):
            assert_scores(frame_of(PAIR, exact, **options), scores_by_loops(layers, tokens.roles, **chosen), EXACT)


def test_pair(exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]) -> None:
    plain, exact = plain_of("bert"), exact_of("bert")
    with float64():
        layers = [layer.weights for layer in eager_layers(plain.model, plain.inputs(plain.encode(["A dog.", PAIR])))]
        [tokens] = exact.tokenize("A dog.", PAIR)
        assert_scores(frame_of("A dog.", exact, pair=PAIR), scores_by_loops(layers, tokens.roles), EXACT)


def test_known_values(minilm: Encoder) -> None:
    """Text S of the notes: what [CLS] and [SEP] receive, layer by layer."""
    for layer, share in {0: 0.206, 3: 0.469, 5: 0.315}.items():
        received = attnprobe.tokens(S, minilm, "received", layers=layer)["received"]
        assert received.iloc[[0, 25]].sum() == pytest.approx(share, abs=5e-4)
        assert received.sum() == pytest.approx(1, abs=1e-5)


def test_dropped_tokens_change_no_number(minilm: Encoder) -> None:
    kept, dropped = attnprobe.tokens(S, minilm), TOKENS(S, minilm, special="drop")
    frame = dropped.to_table().to_frame()
    pd.testing.assert_frame_equal(frame, kept.iloc[1:25].reset_index(drop=True))
    left = kept["received"].iloc[[0, 25]].sum()
    [remark] = dropped.remarks
    assert remark.startswith(f"left out: [CLS] [SEP], with {left:.3f} of received, ")
    assert "|special:drop|" in dropped.sign()
    assert "|special:kept|" in kept.attrs["signature"]


def test_what_falls_outside_is_said(encoder_of: Callable[[str], Encoder]) -> None:
    found = TOKENS(TEXT, encoder_of("gpt_oss"))
    total = found.scores["received"].sum()
    assert total < 0.99
    assert f"{1 - total:.3f} falls on no token of the text: received adds up to {total:.3f}" in found.remarks[0]
    [remark] = TOKENS(TEXT, encoder_of("gpt_oss"), scores="rollout").remarks
    assert f"without the {1 - total:.3f} of attention that falls on no token of the text" in remark


def test_without_classification_token(encoder_of: Callable[[str], Encoder]) -> None:
    found = TOKENS(TEXT, encoder_of("t5"), scores=ALL, layers=0)
    assert np.isnan(found.scores["from_cls"]).all()
    assert any("from_cls is empty" in remark for remark in found.remarks)
    assert any("of the mean of all tokens" in remark and "all layers" in remark for remark in found.remarks)


def test_pools_are_refused_by_name(encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(ModelError, match="attends to pools of several tokens"):
        attnprobe.tokens(TEXT, encoder_of("funnel"))
    unpooled = attnprobe.tokens(TEXT, encoder_of("funnel"), layers=0)
    assert unpooled["received"].sum() == pytest.approx(1, abs=1e-4)


def test_choice_and_order_of_scores(minilm: Encoder) -> None:
    frame = attnprobe.tokens("The cat sat.", minilm, ["entropy"], sort="received", top=2)
    assert list(frame) == ["position", "token", "entropy", "received"]
    assert list(frame["received"]) == sorted(attnprobe.tokens("The cat sat.", minilm)["received"])[:-3:-1]
    assert list(attnprobe.tokens("The cat sat.", minilm)) == [*COLUMNS][:5]
    with pytest.raises(UsageError, match="no score 'recieved'; did you mean 'received'"):
        Scoring(scores=["recieved"])


def test_signature_names_what_is_averaged(minilm: Encoder) -> None:
    signature = attnprobe.tokens("a cat", minilm, layers="0-2,5", heads=3, queries="content").attrs["signature"]
    assert "|queries:content|" in signature
    assert "|layers:0-2,5|heads:3|" in signature


def test_compiled_loops_and_heads_side_by_side(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    by_torch = TOKENS(S, minilm)
    for name in ("LONG", "SPREAD"):
        monkeypatch.setattr(encoder, name, 8)
    compiled = TOKENS(S, minilm)
    assert minilm.for_length(26).spread
    for name, values in by_torch.scores.items():
        np.testing.assert_allclose(compiled.scores[name], values, rtol=0, atol=noise(minilm, 26))


# The text as it reads


def reading(tokens: Tokens, *texts: str) -> str:
    return "".join(run.text for run in join_tokens(tokens, texts))


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "t5", "byt5", "modernbert", "gpt2", "clip"])
@pytest.mark.parametrize(
    "text", [TEXT, "天上有月，水中也有月。", "A cat 🐈‍⬛, a thumb 👍🏽 twice 👍🏽👍🏽!", "é déjà vu\n\nin lines"]
)
def test_text_reads_as_it_was_given(family: str, text: str, encoder_of: Callable[[str], Encoder]) -> None:
    [tokens] = encoder_of(family).tokenize(text)
    content = tokens.take(tokens.positions(Role.CONTENT))
    runs = join_tokens(content, [text])
    assert sorted(at for run in runs for at in run.tokens) == list(range(len(content)))
    read = "".join(run.text for run in runs)
    spaceless = re.sub(r"[\s▁ĠĊ␊]|<U\+200D>", "", read)
    if tokens.words is not None and "[UNK]" not in read:
        assert spaceless == re.sub(r"[\s\u200d]", "", text)


def test_texts_are_parted(minilm: Encoder) -> None:
    [tokens] = minilm.tokenize("Cats sat!", "Did they\nsit?")
    assert reading(tokens, "Cats sat!", "Did they\nsit?") == "[CLS] Cats sat! [SEP] Did they\nsit? [SEP]"
    content = tokens.take(tokens.positions(Role.CONTENT))
    assert reading(content, "Cats sat!", "Did they\nsit?") == "Cats sat! / Did they\nsit?"
    [cut] = minilm.tokenize("one two three four", max_length=4)
    assert reading(cut, "one two three four") == "[CLS] one two [SEP] …"


# Looking at it


def printed(found: Any, width: int = 80, **console: Any) -> str:
    stream = io.StringIO()
    options = {"markup": False, "emoji": False, "highlight": False, "width": width, **console}
    Console(file=stream, **options).print(tokens_view(found, width))
    return stream.getvalue()


def test_terminal_shades_the_text(minilm: Encoder) -> None:
    found = TOKENS("The cat\nsat [/INST] :smile:", minilm, special="drop")
    shaded = printed(found, force_terminal=True, color_system="256")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shaded)
    assert [line.rstrip() for line in plain.splitlines()[2:4]] == ["The cat", "sat [/INST] :smile:"]
    grounds = re.findall(r"\x1b\[38;5;(?:16|231);48;5;(\d+)m(\w+)", shaded)
    amounts = dict(zip(("The", "cat", "sat"), found.scores["received"], strict=False))
    by_amount = sorted(amounts, key=lambda word: amounts[word])
    assert [word for _, word in grounds[:3]] == ["The", "cat", "sat"]
    assert len({ground for ground, word in grounds if word in (by_amount[0], by_amount[-1])}) == 2
    assert max(map(len, plain.splitlines())) <= 80


def test_terminal_without_colours_has_the_table_alone(minilm: Encoder) -> None:
    found = TOKENS("The cat sat.", minilm)
    for options in ({"no_color": True, "force_terminal": True}, {"color_system": None}):
        lines = re.sub(r"\x1b\[[0-9;]*m", "", printed(found, **options)).splitlines()
        assert lines[0] == "all-MiniLM-L6-v2, 6 tokens, shaded by received"
        assert lines[2].split() == ["position", "token", "received", "from_cls", "entropy"]
        assert lines[4].split()[:2] == ["0", "[CLS]"]
        assert "█" in lines[4]


def test_lowest_and_highest_score_end_the_scale(minilm: Encoder) -> None:
    found = TOKENS(S, minilm, scores="entropy")
    shading, values = Shading.of(found), found.scores["entropy"]
    assert (shading.low, shading.high) == (values.min(), values.max())
    amounts = [amount for _, amount in shading.runs if amount is not None]
    expected = np.sqrt((values - values.min()) / (values.max() - values.min()))
    np.testing.assert_allclose(amounts, expected)


def test_page_holds_tokens_as_data(minilm: Encoder) -> None:
    page = make_shaded_page(TOKENS(HARD, minilm))
    assert "default-src 'none'; style-src 'sha256-" in page
    assert not re.search(r"<script|https?://|\bon\w+=|<b>|\x1b", page)
    assert "&lt;b&gt;" in page or "&lt;" in page
    assert page.count("<tr>") == 1 + len(TOKENS(HARD, minilm).tokens)


def test_figure_wraps_and_is_the_same_each_time(minilm: Encoder) -> None:
    pytest.importorskip("matplotlib")
    found = TOKENS("The heads " * 8 + "天上有月，水中也有月。" * 4, minilm, special="drop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure, streams = draw_tokens(found), [io.BytesIO(), io.BytesIO()]
        for stream in streams:
            write_svg(found, stream)
        write_png(found, png := io.BytesIO())
    [axes] = figure.axes
    shown = "".join(text.get_text() for text in axes.texts)
    assert "Theheads" in shown.replace(" ", "")
    assert "天上有月" in shown
    lines = {round(text.get_position()[1]) for text in axes.texts}
    assert len(lines) > 1 + 2  # a title and a scale, and a text of several lines: how many is the fonts' affair
    assert max(text.get_position()[0] for text in axes.texts) < 504
    assert streams[0].getvalue() == streams[1].getvalue()
    assert found.sign().encode()[:40] in streams[0].getvalue()
    assert png.getvalue().startswith(b"\x89PNG")
