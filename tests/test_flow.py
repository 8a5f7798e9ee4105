"""Rollout and maximum flow are those computed from the model's own attention, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import networkx
import numpy as np
import pandas as pd
import pytest
import torch

import attnprobe
from attnprobe import Encoder
from attnprobe.analyses.flow import FLOW, Flow
from attnprobe.analyses.maxflow import bounds, maximum_flows
from attnprobe.analyses.rollout import rollout, rollout_rows, with_residual
from attnprobe.attention import blocks
from attnprobe.errors import ModelError, UsageError
from attnprobe.values import attention
from attnprobe.values.finding import kept_positions
from attnprobe.values.tokens import Role
from tests.eager import eager_layers
from tests.exact import EXACT, float64
from tests.plain import Plain
from tests.rows import noise
from tests.test_families import INCOMPLETE, MEASURED

TEXT = "She wasn't told (until half past six!) of it."
PAIR, SHORT = "Nobody had told her?", "She wasn't told."
KINDS = {  # of attention: what makes each different from BERT's
    "grouped queries": ["eurobert", "gemma3_text", "qwen3", "mistral"],
    "local layers": ["modernbert", "longformer", "led", "gpt_neo"],
    "relative positions, without a token before the text": ["t5", "umt5", "deberta-v2", "mpnet"],
    "sinks, and tokens of the model's own": [name for name in INCOMPLETE if name in MEASURED],
    "hooked modules": ["xlnet", "squeezebert", "convbert", "flaubert"],
    "causal": ["gpt2", "llama"],
    "shared and other layers": ["albert", "distilbert", "electra", "big_bird", "bert"],
}
FAMILIES = [family for kind in KINDS.values() for family in kind if family in MEASURED]


FUSIONS: dict[str, Callable[..., np.ndarray]] = {"mean": np.mean, "max": np.max, "min": np.min}


def rolled_by_layer(
    layers: Sequence[np.ndarray], *, heads: Sequence[int] | None = None, fusion: str = "mean", residual: float = 0.5
) -> np.ndarray:
    """(layer, query, key) of weights (head, query, key): fuse, make rows sum to 1, mix, multiply from the left."""
    own = np.eye(layers[0].shape[1])
    rolled, found = own, []
    for weights in layers:
        fused = FUSIONS[fusion](weights if heads is None else weights[list(heads)], axis=0)
        rolled = ((1 - residual) * fused / fused.sum(-1, keepdims=True) + residual * own) @ rolled
        found.append(rolled)
    return np.array(found)


def merged(values: np.ndarray, words: Sequence[int]) -> np.ndarray:
    """(layer, word, word): sums over the pieces of keys, means over those of queries."""
    count = max(words) + 1
    by_word = np.zeros((len(values), count, count))
    for layer, query, key in np.ndindex(values.shape):
        by_word[layer, words[query], words[key]] += values[layer, query, key] / list(words).count(words[query])
    return by_word


def follow(encoder: Encoder, text: str = TEXT, **options: Any) -> Flow:
    found: Flow = FLOW(text, encoder, **options)
    return found


def everything(encoder: Encoder, text: str = TEXT, **options: Any) -> np.ndarray:
    return follow(encoder, text, all_queries=True, all_layers=True, **options).shares


def weights_of(plain: Plain, *texts: str, **more: torch.Tensor) -> list[np.ndarray]:
    return [layer.weights for layer in eager_layers(plain.model, plain.inputs(plain.encode(texts)) | more)]


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = EXACT) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_twenty_families_are_compared() -> None:
    assert len(set(FAMILIES) - {"bert"}) >= 20


@pytest.mark.parametrize("family", FAMILIES)
def test_rollout_is_that_of_eager_attention(
    family: str,
    encoder_of: Callable[[str], Encoder],
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
) -> None:
    plain, exact = plain_of(family), exact_of(family)
    with float64():
        expected = rolled_by_layer(weights_of(plain, TEXT))
        found = follow(exact, all_queries=True, all_layers=True)
    assert_close(found.shares, expected)
    assert_close(found.shares.sum(-1), np.ones(expected.shape[:2]))
    assert_close(everything(encoder_of(family)), expected, noise(encoder_of(family), expected.shape[-1]))
    assert ("falls on no token of the text" in " ".join(found.remarks)) == (family in INCOMPLETE)


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "max"},
        {"fusion": "min"},
        {"heads": [1]},
        {"heads": [0, 1], "fusion": "max", "residual": 0.25},
        {"residual": 0.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta-v2"])
def test_options_are_those_of_eager_attention(
    family: str, options: dict[str, Any], exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    plain, exact = plain_of(family), exact_of(family)
    with float64():
        assert_close(everything(exact, **options), rolled_by_layer(weights_of(plain, TEXT), **options))


def test_heads_are_fused_before_layers_are_multiplied(
    exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    plain, exact = plain_of("bert"), exact_of("bert")
    with float64():
        weights = weights_of(plain, TEXT)
        each = [rolled_by_layer(weights, heads=[head]) for head in range(len(weights[0]))]
        assert np.abs(everything(exact) - np.mean(each, axis=0)).max() > 1e-4


def test_pair_and_words(exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]) -> None:
    plain, exact = plain_of("bert"), exact_of("bert")
    words = exact.tokenize(TEXT, PAIR)[0].words
    assert words is not None
    assert len(words) > max(words) + 1, "no word has several pieces"
    with float64():
        expected = rolled_by_layer(weights_of(plain, TEXT, PAIR))
        assert_close(everything(exact, pair=PAIR), expected)
        assert_close(everything(exact, pair=PAIR, level="word"), merged(expected, words))


def test_global_attention_reaches_all_tokens(
    exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    plain, exact = plain_of("longformer"), exact_of("longformer")
    mask = torch.zeros_like(plain.encode([TEXT])["input_ids"])
    mask[0, 0] = 1
    with float64():
        expected = rolled_by_layer(weights_of(plain, TEXT, global_attention_mask=mask))
        assert_close(everything(exact, global_attention="cls"), expected)


@pytest.mark.parametrize("method", ["rollout", "flow"])
@pytest.mark.parametrize("level", ["token", "word"])
def test_a_query_alone_is_a_row_of_all(method: str, level: str, exact_of: Callable[[str], Encoder]) -> None:
    exact, options = exact_of("bert"), {"method": method, "level": level}
    with float64():
        whole = follow(exact, SHORT, all_queries=True, all_layers=True, **options)
        for query, all_layers in ((2, True), (3, False)):
            found = follow(exact, SHORT, query=str(query), all_layers=all_layers, **options)
            kept = slice(None) if all_layers else slice(-1, None)
            assert_close(found.shares, whole.shares[kept, [query]])
            assert list(found.layers) == list(range(exact.layers))[kept]
            if method == "flow":
                assert_close(np.array(found.numbers), np.array(whole.numbers)[kept, [query]])


def test_outside_share_is_said(exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]) -> None:
    plain, exact = plain_of("pegasus_x"), exact_of("pegasus_x")
    with float64():
        shares = [1 - weights.sum(-1).mean() for weights in weights_of(plain, TEXT)]
        [remark] = follow(exact, query="0").remarks
    assert f"{100 * min(shares):.1f} % to {100 * max(shares):.1f} % falls on no token of the text" in remark


@pytest.mark.parametrize("family", ["funnel", "canine"])
def test_layers_that_pool_tokens_are_refused_by_name(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    with pytest.raises(ModelError, match=rf"layer \d+ of {family} attends to pools of several tokens"):
        follow(encoder_of(family))


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
def test_no_number_depends_on_the_size_of_a_block(
    fusion: str, exact_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    for exact in map(exact_of, ("bert", "modernbert", "t5")):
        with float64(), monkeypatch.context() as patch:
            expected = everything(exact, SHORT, fusion=fusion, heads=[0, 1])
            patch.setattr(blocks, "BLOCK_ELEMENTS", 1)
            assert_close(everything(exact, SHORT, fusion=fusion, heads=[0, 1]), expected)


def random_matrices(layers: int, length: int) -> list[np.ndarray]:
    drawn = np.random.default_rng(7).exponential(size=(layers, length, length)) ** 3
    return [with_residual(matrix) for matrix in drawn]


def test_matrices_are_multiplied_from_the_left() -> None:
    matrices = random_matrices(4, 6)
    expected = np.linalg.multi_dot(matrices[::-1])
    *_, last = rollout(matrices)
    assert_close(last, expected)
    assert_close(rollout_rows(matrices, np.array([1, 4])), expected[[1, 4]])
    assert np.abs(last - np.linalg.multi_dot(matrices)).max() > 0.01


def test_row_without_weight_keeps_its_token() -> None:
    found = with_residual(np.array([[0.0, 0.0], [0.2, 0.2]]), 0.25)
    assert_close(found, np.array([[1, 0], [0.375, 0.625]]))


def networkx_flow(matrices: Sequence[np.ndarray], query: int, key: int) -> float:
    graph = networkx.DiGraph()
    for layer, matrix in enumerate(matrices):
        for upper, lower in np.ndindex(matrix.shape):
            graph.add_edge((layer + 1, upper), (layer, lower), capacity=float(matrix[upper, lower]))
    value: float = networkx.maximum_flow_value(graph, (len(matrices), query), (0, key))
    return value


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_maximum_flow_is_that_of_networkx(layers: int) -> None:
    matrices = random_matrices(layers, 6)
    for query in range(6):
        found = maximum_flows(matrices, query)
        assert_close(found, np.array([networkx_flow(matrices, query, key) for key in range(6)]), 1e-7)
        assert (found <= bounds(matrices[0]) + 1e-7).all()


def test_flow_of_a_model_is_that_of_networkx(minilm: Encoder) -> None:
    found = follow(minilm, "The cat sat.", method="flow", all_queries=True, all_layers=True)
    layers = attnprobe.weights("The cat sat.", minilm)["weight"].to_numpy().reshape(6, 12, *found.shares.shape[1:])
    matrices = [with_residual(weights.mean(0)) for weights in layers]
    assert found.numbers is not None
    for layer, query, key in [(0, 1, 0), (1, 2, 2), (3, 0, 4), (5, 0, 1), (5, 3, 0)]:
        expected = networkx_flow(matrices[: layer + 1], query, key)
        assert found.numbers[layer, query, key] == pytest.approx(expected, abs=1e-6)
    assert_close(found.shares, found.numbers / found.numbers.sum(-1, keepdims=True))


def test_remark_counts_the_flows_that_layer_0_decides(minilm: Encoder) -> None:
    found = follow(minilm, "The cat sat.", method="flow", all_queries=True)
    layers = attnprobe.weights("The cat sat.", minilm, layers=0)["weight"].to_numpy().reshape(1, 12, 6, 6)
    column_sums = np.minimum(1, with_residual(layers[0].mean(0)).sum(0))
    assert found.numbers is not None
    met = int(np.isclose(found.numbers[0], column_sums, rtol=0, atol=1e-7).sum())
    assert 0 < met < 36
    assert f"{met} of these 36 flows are just that" in found.remarks[-1]


def test_queries_are_found_as_in_weights(minilm: Encoder) -> None:
    text = "The heads saw unremarkable heads."
    frame = attnprobe.flow(text, minilm, query="heads")
    assert list(dict.fromkeys(frame["query"])) == list(
        dict.fromkeys(attnprobe.weights(text, minilm, query="heads")["query"])
    )
    assert set(frame["query_token"]) == {"heads"}
    assert list(frame["layer"].unique()) == [5]
    assert attnprobe.flow(text, minilm)["query_token"].unique().tolist() == ["[CLS]"]
    assert attnprobe.flow(text, minilm, query=-1)["query_token"].unique().tolist() == ["[SEP]"]
    words = attnprobe.flow(text, minilm, query="unremarkable", level="word")
    assert words["query_token"].unique().tolist() == ["unremarkable"]
    assert words["share"].sum() == pytest.approx(1, abs=EXACT)
    with pytest.raises(UsageError, match="--all-queries takes all"):
        attnprobe.flow(text, minilm, query="heads", all_queries=True)


def test_text_without_a_classification_token_asks_for_a_query(encoder_of: Callable[[str], Encoder]) -> None:
    assert not encoder_of("t5").tokenize(TEXT)[0].positions(Role.CLS)
    with pytest.raises(UsageError, match="no classification token") as error:
        follow(encoder_of("t5"))
    assert "--query" in error.value.hint


def test_special_tokens_left_out_change_no_number(minilm: Encoder) -> None:
    whole, left = (follow(minilm, all_queries=True, all_layers=True, special=what) for what in ("keep", "drop"))
    kept = range(1, len(whole.tokens) - 1)
    np.testing.assert_allclose(left.shares, whole.shares[:, kept][..., kept], rtol=0, atol=EXACT)
    theirs = 1 - left.shares[-1].sum(-1)
    assert f"which have {theirs.min():.3f} to {theirs.max():.3f} of a query's shares" in left.remarks[0]
    assert left.sign is not None
    assert "|special:drop|" in left.sign()
    row = attnprobe.flow(TEXT, minilm, special="drop", top=2)
    assert not set(row["key_token"]) & {"[CLS]", "[SEP]"}
    assert list(row["share"]) == sorted(row["share"], reverse=True)
    with pytest.raises(UsageError, match="special tokens only"):
        kept_positions(minilm.tokenize(TEXT)[0].take([0]), "drop")


def test_largest_shares_come_first(minilm: Encoder) -> None:
    whole, top = (attnprobe.flow(TEXT, minilm, all_layers=True, top=top) for top in (None, 3))
    expected = whole.sort_values(["layer", "share"], ascending=[True, False], kind="stable").groupby("layer").head(3)
    pd.testing.assert_frame_equal(top, expected.reset_index(drop=True))


def test_long_texts_are_refused_before_the_model_runs(
    minilm: Encoder, encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the model ran")

    monkeypatch.setattr(Encoder, "observe", run)
    with pytest.raises(UsageError, match="maximum flows are computed for up to 4"):
        follow(minilm, method="flow", max_tokens=4)
    monkeypatch.setattr(attention, "MOST_WEIGHTS", 10)
    for method in ("rollout", "alti"):
        with pytest.raises(UsageError, match="the limit is 10"):
            follow(minilm, method=method)


def test_signature_says_what_numbers_depend_on(minilm: Encoder) -> None:
    found = follow(minilm, heads="0-2,5", fusion="max", residual=0.25)
    assert found.sign is not None
    assert "|heads:0-2,5|fusion:max|method:rollout|residual:0.25|" in found.sign()
    assert repr(found) == "<Flow all-MiniLM-L6-v2: 1 layers, 1 queries × 17 keys>"
    assert found._repr_html_().count("<tr>") == 11 + 1
    assert replace(found, notes={}).to_table().columns == list(FLOW.columns)
