"""The shares that patterns and roles are read from, held to eager attention; the rules at their thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from attnprobe import Encoder, patterns
from attnprobe.analyses.patterns import COLUMNS, explain
from attnprobe.analyses.roles import table_with_roles
from attnprobe.analyses.rules import PATTERNS, ROLES, Thresholds, beyond_even, pattern_of, role_of
from attnprobe.analyses.shares import SHARES
from attnprobe.attention.blocks import Block
from attnprobe.measure.heads import head_table
from attnprobe.measure.weights import keep_weights
from attnprobe.metrics import load_metrics
from attnprobe.metrics.kinds import CellMetric, Cells
from attnprobe.metrics.reduce import Reducer
from attnprobe.values.tokens import Role, Tokens
from tests.exact import EXACT, doubled, float64
from tests.plain import Plain
from tests.test_families import texts_of

PROBED = (
    "The researchers quietly probed unremarkable attention heads, and the heads they probed attended to punctuation."
)
QUESTION, ANSWER = "Where do the heads look?", "They look at the tokens before them."
FAMILIES = [
    *("bert", "roberta", "distilbert", "electra", "albert", "deberta-v2", "mpnet", "xlnet", "esm"),
    *("t5", "bart", "longt5_tglobal", "pegasus_x", "cpmant", "byt5"),
    *("modernbert", "gemma3_text", "longformer", "openai_privacy_filter", "mistral"),  # local layers
    *("eurobert", "qwen3", "gpt2", "llama", "gpt_oss"),  # grouped queries, no added tokens, sinks
    "funnel",  # pooled layers
]
WITHOUT_ADDED = ["gpt2", "qwen3", "gpt_oss"]


def shares_of(
    a: np.ndarray, added: Sequence[bool], segments: Sequence[int], ids: Sequence[Any]
) -> dict[str, np.ndarray]:
    """(head,) the shares of a layer's weights on a text; ``ids`` are None where the vocabulary lacks a token."""
    n, is_added, places = len(ids), np.array(added), np.arange(len(ids))
    of_text = np.multiply.outer(segments, segments) > 0
    own = of_text & np.equal.outer(segments, segments)
    known = np.array([number is not None for number in ids]) & ~is_added
    others = (
        np.array([[one == other for other in ids] for one in ids])
        & np.outer(known, known)
        & (places[:, None] != places)
    )
    asking, none = others.any(1), np.full(len(a), np.nan)
    is_pair = 2 in segments

    def mean(cells: np.ndarray) -> np.ndarray:
        """The mean over queries of the weights on these cells."""
        found: np.ndarray = (a * cells).sum(-1).mean(-1)
        return found

    return {
        "vertical": mean(is_added if any(added) else places == 0),
        "diagonal": mean((abs(places[:, None] - places) <= 1) & ~is_added),
        "block": mean(own) / mean(of_text) if is_pair else none,
        "block_even": np.full(len(a), own.sum() / of_text.sum()) if is_pair else none,
        "same_token_share": (a * others).sum(-1)[:, asking].mean(-1) if asking.any() else none,
        "same_token_even": np.full(len(a), others.sum(1)[asking].mean() / n) if asking.any() else none,
        "first_share": none if any(added) else mean(places == 0),
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_shares_are_those_of_eager_attention(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    encoder, plain = exact_of(family), plain_of(family)
    texts = [[next(iter(texts_of(family).values()))]]
    if family in ("bert", "roberta", "t5"):
        texts.append([QUESTION, ANSWER])
    for text in texts:
        with float64():
            layers = plain.layers(plain.encode(text))
            found = patterns(text[:1], encoder, pairs=text[1:] or None)
        tokens, ids = encoder.tokenize(*text)[0], plain.encode(text)["input_ids"][0].tolist()
        added = [role != Role.CONTENT for role in tokens.roles]
        known = [None if id == plain.tokenizer.unk_token_id else id for id in ids]
        for at, layer in enumerate(layers):
            if layer.pooled:
                assert found.shares.n_texts[at, SHARES.index("vertical")] == 0
                assert found.roles()[at] == [None] * len(layer.weights)
                continue
            for name, expected in shares_of(layer.weights, added, tokens.segments, known).items():
                column = SHARES.index(name)
                ours = found.shares.mean[at, :, column] if found.shares.n_texts[at, column] else np.nan
                np.testing.assert_allclose(
                    np.broadcast_to(ours, expected.shape), expected, rtol=0, atol=EXACT, err_msg=f"{text} {at} {name}"
                )
        assert bool(found.remarks) == (not any(added)) == (family in WITHOUT_ADDED)


class Toy:
    """Cells that differ from text to text, some of them twice as long as others, and none in the last text."""

    def __init__(self, length: int, texts: int) -> None:
        draw = np.random.default_rng(0)
        self.cells = [np.argwhere(draw.random((length, length)) < 0.1 * (1 + text % 2)) for text in range(texts)]
        self.counted = draw.random((texts, length)) < 0.7
        self.metric = CellMetric(cells=self.of, formula="", unit="", source="")

    def of(self, tokens: Tokens) -> Cells | None:
        text = int(tokens.strings[0])
        queries, keys = self.cells[text][::-1].T  # in any order
        return None if text == len(self.cells) - 1 else Cells(queries, keys, self.counted[text])

    def expected(self, weights: np.ndarray, text: int, chosen: np.ndarray) -> np.ndarray:
        sums = np.zeros((weights.shape[0], weights.shape[1]))
        for query, key in self.cells[text]:
            sums[:, query] += weights[:, query, key]
        counted = self.counted[text] & chosen
        return sums[:, counted].mean(-1)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("queries", ["all", "content"])
def test_cells_of_each_text_are_gathered_from_blocks(queries: str, compiled: bool) -> None:
    """Texts of one length with other cells each, as blocks of some texts, heads, rows and keys."""
    texts, heads, length = 4, 3, 12
    toy = Toy(length, texts)
    dtype = torch.float32 if compiled else torch.float64
    weights = torch.rand(texts, heads, length, length, dtype=torch.float64).mul(4).round().add(1)
    weights[:, :, :6, 9:] = 0  # where a block of fewer keys leaves out what no query of its rows sees
    weights = (weights / weights.sum(-1, keepdim=True)).to(dtype)
    roles = [Role.CLS, *[Role.CONTENT] * (length - 1)]
    tokens = [Tokens([str(text)] * length, [""] * length, roles, [0, *[1] * (length - 1)]) for text in range(texts)]
    metrics = {"toy": toy.metric, **load_metrics(["entropy"])}
    reducer = Reducer(
        tokens, metrics, [0], heads, long_range=10, queries=queries, level="token", dtype=dtype, compiled=compiled
    )
    observe = reducer.start_layer(0)
    for some in (slice(0, 2), slice(2, 4)):
        for of_heads in (slice(0, 1), slice(1, 3)):
            for rows, keys in ((slice(0, 6), slice(0, 9)), (slice(6, 12), slice(0, 12))):
                observe(Block(rows, keys, weights[some, of_heads, rows, keys], of_heads, some))
    chosen = np.array([queries == "all" or role == Role.CONTENT for role in roles])
    tolerance = 1e-6 if compiled else 1e-12
    for text, sums in enumerate(reducer.sums):
        means = sums.means()[0, :, 0]
        if text == texts - 1:
            assert np.isnan(means).all()
        else:
            np.testing.assert_allclose(means, toy.expected(weights[text].numpy(), text, chosen), rtol=tolerance)


SCORES = {
    **{"vertical": 0.3, "diagonal": 0.1, "block": None, "block_even": None, "first_share": None, "cls_share": 0.1},
    **{"previous_share": 0.05, "next_share": 0.05, "self_share": 0.05, "sep_share": 0.1, "punctuation_share": 0.1},
    **{"same_token_share": 0.1, "same_token_even": 0.1, "relative_entropy": 0.5},
}
BELOW = 1e-9


@pytest.mark.parametrize(
    ("scores", "just", "pattern"),
    [
        ({}, "vertical=0.6", "vertical"),
        ({"diagonal": 0.7}, "vertical=0.6", "vertical"),
        ({}, "diagonal=0.6", "diagonal"),
        ({"vertical": 0.5}, "diagonal=0.2", "vertical+diagonal"),
        ({"diagonal": 0.55}, "vertical=0.2", "vertical+diagonal"),
        ({"block_even": 0.52}, "block=0.88", "block"),
    ],
)
def test_patterns_at_their_thresholds(scores: dict[str, float], just: str, pattern: str) -> None:
    check_threshold(pattern_of, scores, just, pattern)


@pytest.mark.parametrize(
    ("scores", "just", "role"),
    [
        ({}, "previous_share=0.5", "previous token"),
        ({"cls_share": 0.9}, "next_share=0.5", "next token"),
        ({"relative_entropy": 0.9}, "self_share=0.5", "self"),
        ({"cls_share": 0.8}, "same_token_share=0.19", "same word"),
        ({"same_token_even": 0.5}, "same_token_share=0.55", "same word"),
        ({}, "cls_share=0.5", "classification token"),
        ({}, "sep_share=0.5", "separator"),
        ({}, "first_share=0.5", "first token"),
        ({}, "punctuation_share=0.5", "punctuation"),
        ({"block_even": 0.52}, "block=0.88", "block of a pair"),
        ({}, "diagonal=0.5", "local"),
        ({}, "relative_entropy=0.8", "broad"),
    ],
)
def test_roles_at_their_thresholds(scores: dict[str, float], just: str, role: str) -> None:
    check_threshold(role_of, scores, just, role)


def check_threshold(name_of: Callable[..., str | None], scores: Mapping[str, float], just: str, name: str) -> None:
    """The score as it is meets the rule, a little less does not."""
    score, _, value = just.partition("=")
    exact = {**SCORES, **scores, score: float(value) + BELOW}
    assert name_of(exact, Thresholds()) == name
    assert name_of({**exact, score: float(value) - BELOW}, Thresholds()) != name
    assert name_of({**exact, score: None}, Thresholds()) != name


def test_a_vertical_head_is_no_block() -> None:
    scores = {**SCORES, "block": 0.99, "block_even": 0.5}
    assert pattern_of(scores, Thresholds()) == "block"
    assert pattern_of({**scores, "vertical": 0.61}, Thresholds()) == "vertical"
    assert role_of({**scores, "vertical": 0.61}, Thresholds()) == "mixed"
    assert pattern_of({**scores, "vertical": 0.61}, Thresholds(vertical=0.7)) == "block"


def test_even_attention_to_few_different_tokens_is_no_same_word() -> None:
    """Of a text of one letter, each token gives all others what they have by chance."""
    assert role_of({**SCORES, "same_token_share": 0.9, "same_token_even": 0.9}, Thresholds()) == "mixed"
    assert beyond_even(0.25, 0.1) == pytest.approx(0.325)


def test_every_rule_is_explained_with_its_threshold() -> None:
    told = explain({"most": 0.4, "same": 0.2})
    for rule in (*PATTERNS, *ROLES):
        assert rule.text.format(**vars(Thresholds(most=0.4, same=0.2))) in told
        assert rule.meaning in told
        assert len(rule.short) <= 5
    assert "previous_share ≥ 0.4" in told
    assert "vertical ≥ 0.6" in told
    read = {name for rule in (*PATTERNS, *ROLES) for name in rule.reads}
    assert read == set(SHARES)
    assert list(COLUMNS) == ["layer", "head", "pattern", "role", *SHARES, "n_texts"]


def test_patterns_of_minilm(minilm: Encoder) -> None:
    found = patterns([PROBED], minilm).to_frame()
    assert list(found.columns) == list(COLUMNS)
    counts = {"vertical": 11, "diagonal": 2, "vertical+diagonal": 2, "heterogeneous": 57}
    assert found["pattern"].value_counts().to_dict() == counts
    np.testing.assert_allclose(found["diagonal"][:3], [0.12925, 0.12096, 0.92296], atol=1e-5)
    assert found["vertical"][2 * 12 + 7] == pytest.approx(0.79518, abs=1e-5)
    assert found["block"].isna().all()
    roles = found.set_index(["layer", "head"])["role"]
    assert (roles[0, 2], roles[1, 8]) == ("previous token", "next token")
    highest = found.sort_values("same_token_share", ascending=False)[["layer", "head"]]
    assert sorted(map(tuple, highest[:2].to_numpy().tolist())) == [(1, 1), (2, 9)]


def test_patterns_of_a_pair_of_minilm(minilm: Encoder) -> None:
    found = patterns([QUESTION], minilm, pairs=[ANSWER]).to_frame()
    counts = {"vertical": 16, "diagonal": 1, "vertical+diagonal": 6, "heterogeneous": 49}
    assert found["pattern"].value_counts().to_dict() == counts
    np.testing.assert_allclose(found["block_even"], 0.52, atol=1e-9)
    by_layer = [0.64895, 0.74143, 0.66500, 0.61367, 0.64133, 0.54547]
    np.testing.assert_allclose(found.groupby("layer")["block"].mean(), by_layer, atol=1e-5)
    assert found["block"][2] == pytest.approx(0.99954, abs=1e-5)


def test_positional_heads_have_the_roles_of_their_offset(minilm: Encoder) -> None:
    """Voita et al. 2019: the largest weight at one offset, in 90 % of the queries but the last added token."""
    weights = keep_weights(PROBED, minilm).weights[:, :, :-1]
    offsets = weights.argmax(-1) - np.arange(weights.shape[2])
    shares = {offset: (offsets == offset).mean(-1) for offset in (-1, 1)}
    roles = np.array(patterns([PROBED], minilm).roles())
    assert (shares[-1][0, 2], shares[1][1, 8]) == (pytest.approx(0.96), pytest.approx(0.72))
    assert np.argwhere(shares[-1] >= 0.9).tolist() == np.argwhere(roles == "previous token").tolist() == [[0, 2]]
    assert np.argwhere(shares[1] >= 0.7).tolist() == np.argwhere(roles == "next token").tolist() == [[1, 8]]


TEXTS = [PROBED, "A cat, a dog, a cow.", QUESTION, "One.", "The dog saw the cat, and the cat saw the dog.", ANSWER]


@pytest.mark.parametrize("options", [{}, {"level": "word"}, {"max_length": 8, "stride": 2}])
def test_batches_change_nothing(encoder_of: Callable[[str], Encoder], options: dict[str, Any]) -> None:
    encoder = doubled(encoder_of("bert"))
    with float64():
        one, other = (patterns(TEXTS, encoder, batch_tokens=size, **options) for size in (1, 500))
        halves = [patterns(half, encoder, **options) for half in (TEXTS[:5], TEXTS[5:])]
    for found in (other, sum(halves)):
        assert found.signature == one.signature
        for name, array in one.arrays().items():
            np.testing.assert_allclose(found.arrays()[name], array, atol=EXACT, rtol=0)
    assert one.restored(one.arrays()).table().rows == one.table().rows
    assert one.table().rows[0][-1] == len(TEXTS)
    repeated = one.shares.n_texts[0, SHARES.index("same_token_share")]
    assert 0 < repeated < len(TEXTS)


def test_thresholds_are_in_the_signature(encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of("bert")
    usual, changed = (patterns([QUESTION], encoder, **options) for options in ({}, {"most": 0.05}))
    assert "most=0.5," in usual.signature
    assert "most=0.05," in changed.signature
    assert usual.table().rows != changed.table().rows
    assert {role for of_layer in changed.roles() for role in of_layer} <= {rule.name for rule in ROLES}


@pytest.mark.parametrize("pair", [None, ANSWER])
def test_roles_beside_numbers_come_from_the_same_pass(minilm: Encoder, pair: str | None) -> None:
    runs: list[object] = []
    handle = minilm.model.register_forward_hook(lambda *call: runs.append(call))
    table = table_with_roles(QUESTION, minilm, ["distance"], pair=pair, layers=[3, 0], heads="2,5")
    handle.remove()
    assert len(runs) == 1
    expected = head_table(QUESTION, minilm, ["distance"], pair=pair, layers=[3, 0], heads="2,5")
    assert list(table.columns) == ["layer", "head", "role", "distance"]
    assert [(row[0], row[1], row[3]) for row in table.rows] == expected.rows
    assert table.sign is not None
    assert expected.sign is not None
    assert table.sign() == expected.sign()
    roles = patterns([QUESTION], minilm, pairs=None if pair is None else [pair]).roles()
    assert [row[2] for row in table.rows] == [roles[layer][head] for layer in (0, 3) for head in (2, 5)]
