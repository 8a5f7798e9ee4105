"""The mathematics: textbook against torch, blocks against textbook, both against a real model's own layers."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as torch_attention
from transformers import BertModel

from attnprobe import Encoder
from attnprobe.attention import blocks, textbook
from attnprobe.attention.blocks import Block, attention_in_blocks, row_blocks, tiles
from tests.exact import EXACT, doubled, float64

pytestmark = pytest.mark.numeric

SENTENCES = [
    "The animal didn't cross the street because it was too tired.",
    "我昨天去了超市,买了苹果、香蕉和橙子,它们都很新鲜",
    "Les élèves étaient à l'école 🙂 [SEP] déjà.",
]


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = EXACT) -> None:
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance)


@given(
    n=st.integers(1, 12),
    m=st.integers(1, 12),
    d=st.integers(1, 8),
    masked=st.booleans(),
    biased=st.booleans(),
    scale=st.none() | st.floats(0.01, 3),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60, deadline=None)
def test_textbook_equals_torch(
    n: int, m: int, d: int, masked: bool, biased: bool, scale: float | None, seed: int
) -> None:
    torch.manual_seed(seed)
    Q, K, V = (torch.randn(2, 3, *shape, dtype=torch.float64) for shape in ((n, d), (m, d), (m, d + 1)))
    allowed = torch.rand(2, 1, n, m) > 0.5 if masked else None
    if allowed is not None:
        allowed[..., 0] = True
    bias = torch.randn(1, 3, n, m, dtype=torch.float64) if biased else None
    output, weights = textbook.scaled_dot_product_attention(Q, K, V, allowed, bias, scale)
    mask = (
        None
        if bias is None and allowed is None
        else torch.zeros(2, 3, n, m, dtype=torch.float64)
        if bias is None
        else bias.expand(2, -1, -1, -1)
    )
    if allowed is not None:
        mask = mask.masked_fill(~allowed, -math.inf)
    close(output, torch_attention(Q, K, V, mask, scale=scale))
    close(weights.sum(-1), torch.ones(2, 3, n, dtype=torch.float64))
    if allowed is not None:
        assert (weights[~allowed.expand_as(weights)] == 0).all()


@pytest.mark.parametrize("masked", [False, True])
def test_multi_head_equals_torch(masked: bool) -> None:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(12, 3, batch_first=True).double().eval()
    nn.init.normal_(layer.in_proj_bias)
    nn.init.normal_(layer.out_proj.bias)
    X, padding = torch.randn(2, 7, 12, dtype=torch.float64), torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 5:] = masked
    (W_Q, W_K, W_V), (b_Q, b_K, b_V) = (W.T for W in layer.in_proj_weight.chunk(3)), layer.in_proj_bias.chunk(3)
    with torch.no_grad():
        output, weights = textbook.multi_head_attention(
            X, X, X, W_Q, W_K, W_V, layer.out_proj.weight.T, 3, b_Q, b_K, b_V, layer.out_proj.bias,
            allowed=~padding[:, None, None, :],
        )  # fmt: skip
        expected, expected_weights = layer(X, X, X, key_padding_mask=padding, average_attn_weights=False)
    close(output, expected)
    close(weights, expected_weights)


def test_split_and_concat_are_inverse() -> None:
    X = torch.randn(2, 5, 12)
    heads = textbook.split_heads(X, 4)
    assert heads.shape == (2, 4, 5, 3)
    assert torch.equal(heads[:, 1], X[..., 3:6])
    assert torch.equal(textbook.concat_heads(heads), X)
    with pytest.raises(ValueError, match="12 and 5"):
        textbook.split_heads(X, 5)


class Assembled:
    """Puts blocks together again, and notes how large they were."""

    def __init__(self, texts: int, heads: int, queries: int, keys: int, dtype: torch.dtype) -> None:
        self.weights = torch.zeros(texts, heads, queries, keys, dtype=dtype)
        self.tiles: list[tuple[slice, slice | None, slice]] = []

    def __call__(self, block: Block) -> None:
        self.weights[block.texts, block.heads or slice(None), block.rows, block.keys] = block.weights
        self.tiles.append((block.texts, block.heads, block.rows))


@st.composite
def block_cases(draw: st.DrawFn) -> dict:
    torch.manual_seed(draw(st.integers(0, 10**6)))
    t, n, kv_heads, groups = (
        draw(st.integers(1, 4)),
        draw(st.integers(1, 23)),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 3)),
    )
    allowed = None
    window = draw(st.none() | st.integers(0, 5))
    if window is not None:
        allowed = (torch.arange(n)[:, None] - torch.arange(n)).abs() <= window
    return {
        "query": torch.randn(t, kv_heads * groups, n, 4, dtype=torch.float64),
        "key": torch.randn(t, kv_heads, n, 4, dtype=torch.float64),
        "value": torch.randn(t, kv_heads, n, 3, dtype=torch.float64),
        "scale": draw(st.sampled_from([0.5, 1.0])),
        "bias": torch.randn(draw(st.sampled_from([1, t])), kv_heads * groups, n, n, dtype=torch.float64)
        if draw(st.booleans())
        else None,
        "allowed": allowed,
        "sinks": torch.randn(kv_heads * groups, dtype=torch.float64) if draw(st.booleans()) else None,
        "softcap": draw(st.sampled_from([None, 1.5])),
        "starts": sorted({0, *draw(st.lists(st.integers(0, n - 1)))}) if draw(st.booleans()) else None,
    }


@given(case=block_cases(), elements=st.sampled_from([1, 40, 10**6]))
@settings(max_examples=80, deadline=None)
def test_blocks_equal_textbook(case: dict, elements: int) -> None:
    texts, heads, n, _ = case["query"].shape
    seen = Assembled(texts, heads, n, n, torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_ELEMENTS", elements)
        output = attention_in_blocks(**case, observe=seen)
    repeat = heads // case["key"].shape[1]
    K, V = case["key"].repeat_interleave(repeat, 1), case["value"].repeat_interleave(repeat, 1)
    weights = expected_weights(case, K)
    close(output.transpose(1, 2), weights @ V)
    close(seen.weights, weights)
    assert covered(seen.tiles, texts, heads, n) == list(itertools.product(range(texts), range(heads), range(n)))
    if case["starts"]:
        assert {rows.start for *_, rows in seen.tiles} <= set(case["starts"])


def covered(parts: list[tuple[slice, slice, slice]], texts: int, heads: int, queries: int) -> list[tuple[int, ...]]:
    """Every (text, head, query) of the tiles, in order."""
    each = (itertools.product(range(texts)[t], range(heads)[h], range(queries)[q]) for t, h, q in parts)
    return sorted(itertools.chain(*each))


def expected_weights(case: dict, key: torch.Tensor) -> torch.Tensor:
    """The textbook's weights; a soft cap bounds the scores first, a sink is one more key that is left out again."""
    scores = textbook.attention_scores(case["query"], key, case["scale"])
    if case["softcap"]:
        scores = case["softcap"] * torch.tanh(scores / case["softcap"])
    if case["bias"] is not None:
        scores = scores + case["bias"]
    if case["allowed"] is not None:
        scores = textbook.mask_scores(scores, case["allowed"])
    if case["sinks"] is None:
        return textbook.softmax(scores)
    sinks = case["sinks"][:, None, None].expand(*scores.shape[:3], 1)
    return textbook.softmax(torch.cat([scores, sinks], -1))[..., :-1]


@given(queries=st.integers(1, 300), size=st.integers(1, 40), data=st.data())
def test_row_blocks_are_as_large_as_allowed(queries: int, size: int, data: st.DataObject) -> None:
    starts = data.draw(st.none() | st.sets(st.integers(0, queries - 1)).map(lambda some: sorted({0, *some})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_ELEMENTS", size * 7)
        rows = row_blocks(queries, 7, starts)
    assert [at for each in rows for at in range(each.start, each.stop)] == list(range(queries))
    for each in rows:
        inner = [cut for cut in (starts or range(queries)) if each.start < cut < each.stop]
        assert each.stop - each.start <= size or not inner


@given(
    texts=st.integers(1, 9), heads=st.integers(1, 12), queries=st.integers(1, 300), keys=st.integers(1, 300),
    elements=st.integers(1, 90000),
)  # fmt: skip
@settings(deadline=None)
def test_tiles_cover_everything_once_and_stay_small(
    texts: int, heads: int, queries: int, keys: int, elements: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_ELEMENTS", elements)
        parts = list(tiles(heads, queries, keys, texts=texts))
    assert covered(parts, texts, heads, queries) == list(itertools.product(range(texts), range(heads), range(queries)))
    for part in parts:
        sizes = [its.stop - its.start for its in part]
        assert math.prod(sizes) * keys <= elements or sizes == [1, 1, 1]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_recomputes_every_layer_of_the_real_model(minilm: Encoder, sentence: str) -> None:
    """From each layer's input and its W_Q, W_K, W_V, W_O: the weights captured, and the output of its attention."""
    model = BertModel.from_pretrained(minilm.location.folder, attn_implementation="eager").double()
    tokens = minilm.tokenize(sentence)
    captured = [Assembled(1, minilm.heads, len(tokens[0]), len(tokens[0]), torch.float64) for _ in range(minilm.layers)]
    with float64():
        doubled(minilm).observe(tokens, lambda layer, text: captured[layer])
    with torch.no_grad():
        result = model(torch.tensor([tokens[0].inputs["input_ids"]]), output_hidden_states=True, output_attentions=True)
        for layer, module in enumerate(model.encoder.layer):
            X, own, out = result.hidden_states[layer], module.attention.self, module.attention.output
            output, weights = textbook.multi_head_attention(
                X, X, X,
                own.query.weight.T, own.key.weight.T, own.value.weight.T, out.dense.weight.T, minilm.heads,
                own.query.bias, own.key.bias, own.value.bias, out.dense.bias,
            )  # fmt: skip
            close(weights, captured[layer].weights, EXACT)
            close(captured[layer].weights, result.attentions[layer], EXACT)
            after = out.LayerNorm(output + X)
            close(after, module.attention(X)[0], EXACT)


def test_texts_of_one_length_are_observed_together(minilm: Encoder) -> None:
    """Groups are slices of the texts as they are given; blocks count their texts from the group's first."""
    texts = [minilm.tokenize(text)[0] for text in ("a b c", "d e f", "a b", "g h i")]
    groups = minilm.groups(texts)
    assert groups == [slice(0, 2), slice(2, 3), slice(3, 4)]
    seen: dict[int, list[slice]] = {}

    def observe(layer: int, group: int) -> Callable[[Block], None] | None:
        return (lambda block: seen.setdefault(group, []).append(block.texts)) if layer == 0 else None

    minilm.observe(texts, observe, groups)
    assert seen == {0: [slice(0, 2)], 1: [slice(0, 1)], 2: [slice(0, 1)]}
