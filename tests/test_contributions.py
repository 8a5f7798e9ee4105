"""What tokens write into each other is that of plain loops over query × key × width, and of the model run again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import attnprobe
from attnprobe import Encoder
from attnprobe.analyses import contributions as contributions_module
from attnprobe.analyses.contributions import CONTRIBUTIONS, contributions
from attnprobe.analyses.decompx import Decomposition
from attnprobe.analyses.flow import FLOW
from attnprobe.analyses.methods import METHODS, NORMS, STAGES
from attnprobe.analyses.scores import CONTRIBUTED
from attnprobe.analyses.written import Written
from attnprobe.attention import contributions as attention_contributions
from attnprobe.errors import ModelError, UsageError
from attnprobe.models.sublayers import Norm, Sublayers, visit_sublayers
from attnprobe.values.tokens import Tokens
from tests.exact import EXACT, float64
from tests.plain import Plain
from tests.test_flow import merged

pytestmark = pytest.mark.numeric

TEXT = "Untold."
# family -> its first layer's map of values; post-LN, pre-LN, RMSNorm, grouped queries, shared layers, hooked modules.
VALUES = {
    "bert": "encoder.layer.0.attention.self.value",
    "distilbert": "transformer.layer.0.attention.v_lin",
    "albert": "encoder.albert_layer_groups.0.albert_layers.0.attention.value",
    "bart": "layers.0.self_attn.v_proj",
    "modernbert": "layers.0.attn.Wqkv",
    "eurobert": "layers.0.self_attn.v_proj",
    "t5": "encoder.block.0.layer.0.SelfAttention.v",
    "gpt2": "h.0.attn.c_attn",
    "mpnet": "encoder.layer.0.attention.attn.v",
    "flaubert": "attentions.0.v_lin",
    "convbert": "encoder.layer.0.attention.self.value",
}
FUSED = ("modernbert", "gpt2")  # whose map makes q, k and v


def layers_of(encoder: Encoder, tokens: Tokens) -> list[Sublayers]:
    found: list[Sublayers] = []
    visit_sublayers(encoder, tokens, range(encoder.layers), found.append)
    return found


def assert_close(found: Any, expected: Any) -> None:
    expected = np.asarray(expected)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=EXACT * max(1, np.abs(expected).max()))


def normed(norm: Norm, part: Tensor, whole: Tensor) -> Tensor:
    """What a norm makes of a part of a vector, by its formula; the whole alone has a mean of squares."""
    centre = whole.mean() if norm.centred else 0.0
    size = float(((whole - centre) ** 2).mean() + norm.eps) ** 0.5
    made: Tensor = norm.weight * (part - (part.mean() if norm.centred else 0.0)) / size
    return made


def stages_by_loops(layer: Sublayers) -> dict[str, Tensor]:
    """(query, key, d) of each stage that the layer has."""
    weights, values, maps = layer.parts.weights, layer.parts.values, layer.parts.output_weights
    heads, length, _ = weights.shape
    attn = torch.zeros(length, length, layer.x.shape[1], dtype=torch.float64)
    for query, key, head in np.ndindex(length, length, heads):
        attn[query, key] += weights[head, query, key] * (values[head, key] @ maps[head])
    found = {"attn": attn, "attn_res": attn.clone()}
    for token in range(length):
        found["attn_res"][token, token] += layer.x[token]
    if layer.norm and layer.output_norm:
        whole = layer.summed
        y = layer.norm(whole)
        out = y + layer.feed_forward(y)
        ln, res_out = torch.zeros_like(attn), torch.zeros_like(attn)
        for query, key in np.ndindex(length, length):
            ln[query, key] = normed(layer.norm, found["attn_res"][query, key], whole[query])
            res_out[query, key] = normed(layer.output_norm, ln[query, key], out[query])
        found |= {"attn_res_ln": ln, "res_out": res_out}
    return found


def mixing_by_loops(vectors: Tensor) -> float:
    ratios = []
    for query, row in enumerate(vectors):
        others = torch.stack([t for key, t in enumerate(row) if key != query]).sum(0)
        mixed, kept = length(others), length(row[query])
        ratios.append(mixed / (mixed + kept))
    return sum(ratios) / len(ratios)


def length(vector: Tensor) -> float:
    return math.sqrt(sum(number**2 for number in vector.tolist()))


def lengths(vectors: Tensor) -> np.ndarray:
    return np.array([[length(vector) for vector in row] for row in vectors])


@pytest.mark.parametrize("family", VALUES)
def test_norms_and_alti_are_those_of_plain_loops(family: str, exact_of: Callable[[str], Encoder]) -> None:
    exact = exact_of(family)
    with float64():
        [tokens] = exact.tokenize(TEXT)
        layer = layers_of(exact, tokens)[-1]
        matrices = contributions(exact, tokens, ["norms", "alti"]).matrices
        means = attnprobe.flow(TEXT, exact, method="norms", per_layer=True).iloc[-1]
        expected, written = stages_by_loops(layer), Written(layer)
        for name in STAGES:
            stage = getattr(written, name)
            assert (stage is None) == (name not in expected) == np.isnan(means[name])
            if stage is not None:
                assert_close(stage.norms, lengths(expected[name]))
                assert_close(means[name], lengths(expected[name]).mean())
                assert_close(means[f"mixing_{name}"], mixing_by_loops(expected[name]))
        last, whole = expected.get("attn_res_ln", expected["attn_res"]), layer.summed
        assert_close(matrices["norms"][-1], lengths(last))
        y = layer.norm(whole) if layer.norm else whole
        near = [[float(y[q].abs().sum() - (y[q] - t).abs().sum()) for t in row] for q, row in enumerate(last)]
        assert_close(matrices["alti"][-1], np.maximum(0, near))
        f = lengths(layer.parts.values @ layer.parts.output_weights)
        assert_close(means["value_norm"], f.mean())
        assert_close(means["weighted_norm"], (layer.parts.weights.numpy() * f[:, None]).mean())


@contextmanager
def without_value(plain: Plain, family: str, token: int) -> Iterator[None]:
    """The first layer's values of a token are 0 while the model runs; its keys stay."""

    def hook(module: Any, given: Any, made: Tensor) -> Tensor:
        made = made.clone()
        first = 2 * made.shape[-1] // 3 if family in FUSED else 0
        made[:, token, first:] = 0
        return made

    handle = plain.model.get_submodule(VALUES[family]).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def after_first_layer(plain: Plain) -> Tensor:
    with torch.no_grad():
        states = plain.model(**plain.inputs(plain.encode([TEXT])), output_hidden_states=True).hidden_states
    state: Tensor = states[1][0]
    return state


@pytest.mark.parametrize("family", VALUES)
def test_value_zeroing_is_the_layer_run_again(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    exact, plain = exact_of(family), plain_of(family)
    with float64():
        [tokens] = exact.tokenize(TEXT)
        [found, *_] = contributions(exact, tokens, ["value_zeroing"]).matrices["value_zeroing"]
        out = after_first_layer(plain)
        for token in range(len(tokens)):
            with without_value(plain, family, token):
                other = after_first_layer(plain)
            cosines = (out * other).sum(-1) / ((out**2).sum(-1) * (other**2).sum(-1)) ** 0.5
            assert_close(found[:, token], 1 - cosines)


@pytest.mark.parametrize("family", ["bert", "albert", "mpnet", "bart", "gpt2", "t5"])
def test_vectors_of_decompx_add_up_to_the_hidden_states(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    exact, plain, sums = exact_of(family), plain_of(family), []
    with float64():
        [tokens] = exact.tokenize(TEXT)
        decomposition = Decomposition(exact)

        def visit(layer: Sublayers) -> None:
            norms = decomposition.norms_after(Written(layer))
            assert decomposition.vectors is not None
            assert_close(norms, lengths(decomposition.vectors))
            sums.append(decomposition.vectors.sum(1))

        visit_sublayers(exact, tokens, range(exact.layers), visit)
        inputs = plain.inputs(plain.encode([TEXT]))
        with torch.no_grad():
            states = plain.model(**inputs, output_hidden_states=True).hidden_states
    for layer, total in enumerate(sums[: len(states) - 2]):  # the last state may be after one more norm
        assert_close(total, states[layer + 1][0])


def flow_of(encoder: Encoder, method: str, **options: Any) -> Any:
    return FLOW(TEXT, encoder, method=method, **options)


@pytest.mark.parametrize("method", [*CONTRIBUTED, "decompx"])
def test_layers_are_joined_and_words_merged(method: str, exact_of: Callable[[str], Encoder]) -> None:
    exact = exact_of("bert")
    with float64():
        [tokens] = exact.tokenize(TEXT)
        matrices = contributions(exact, tokens, [method]).matrices[method]
        whole = flow_of(exact, method, all_queries=True, all_layers=True).shares
        by_word = flow_of(exact, method, all_queries=True, all_layers=True, level="word").shares
        alone = flow_of(exact, method, query="2").shares
        scores = None if method == "decompx" else attnprobe.tokens(TEXT, exact, [method, "rollout"])
    expected, rolled = [], np.eye(len(tokens))
    for matrix in matrices:
        shares = matrix / matrix.sum(-1, keepdims=True)
        rolled = shares if method == "decompx" else shares @ rolled
        expected.append(rolled)
    assert_close(whole, expected)
    assert_close(by_word, merged(whole, tokens.words or ()))
    assert_close(alone[0], whole[-1, [2]])
    if scores is not None:
        assert_close(scores[method], whole[-1, 0])


def test_raw_norms_are_divided_at_the_end(exact_of: Callable[[str], Encoder]) -> None:
    exact = exact_of("bert")
    with float64():
        [tokens] = exact.tokenize(TEXT)
        matrices = contributions(exact, tokens, ["globenc"]).matrices["globenc"]
        found = flow_of(exact, "globenc", raw=True)
    [row] = np.linalg.multi_dot(list(matrices)[::-1])[[0]]
    assert_close(found.numbers[0, 0] / row, np.ones(len(row)))
    assert_close(found.shares[0, 0], row / row.sum())
    assert "|raw:True|" in found.sign()
    assert list(found.to_table().columns)[-1] == "norm"


def test_no_number_depends_on_blocks_or_company(
    exact_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = exact_of("bert")
    with float64():
        [tokens] = exact.tokenize(TEXT)
        alone = {name: contributions(exact, tokens, [name]).matrices[name] for name in CONTRIBUTIONS}
        monkeypatch.setattr(attention_contributions, "BLOCK", 1)
        together = contributions(exact, tokens, list(CONTRIBUTIONS)).matrices
    for name, matrices in together.items():
        assert_close(alone[name], matrices)


def test_compiled_distances_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = torch.Generator().manual_seed(1)
    weights, f, x, y = (
        torch.rand(shape, generator=drawn, dtype=torch.float64) for shape in ((6, 5, 5), (6, 5, 7), (5, 7), (5, 7))
    )
    expected = attention_contributions.alti(weights, f, x, y)
    monkeypatch.setattr(attention_contributions, "LONG", 1)
    assert_close(attention_contributions.alti(weights, f, x, y), expected)


def test_rows_without_contributions_are_empty(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(written: Written) -> Tensor:
        matrix = torch.ones_like(written.layer.parts.weights[0])
        matrix[1], matrix[2, 0] = 0, torch.nan
        return matrix

    monkeypatch.setattr(contributions_module, "CONTRIBUTIONS", {"alti": lambda encoder: measure})
    found = flow_of(minilm, "alti", all_queries=True)
    rows = found.to_table().to_frame().set_index("query")["share"]
    assert [query for query, empty in rows.groupby(level=0) if empty.isna().all()] == [1, 2]
    assert all(row[-1] is None for row in found.to_table().rows if row[1] == 1)
    assert 0 < rows[0].sum() < 1  # what would come through the empty rows is not made up for
    assert "12 rows of layers have no contribution from any token" in found.remarks[0]
    assert np.isfinite(found.maps().values).all()


@pytest.mark.parametrize(
    ("family", "method", "message"),
    [
        ("eurobert", "globenc", "eurobert: GlobEnc is defined for layers with norms after their sums"),
        ("eurobert", "decompx", "eurobert: DecompX is not defined for gated feed-forward layers"),
        ("convbert", "decompx", "convbert, layer 0: DecompX's vectors add up to the hidden state but for"),
        ("xlnet", "norms", "xlnet has relative position terms"),
        ("funnel", "alti", "funnel"),
    ],
)
def test_families_without_the_parts_are_refused_by_name(
    family: str, method: str, message: str, encoder_of: Callable[[str], Encoder]
) -> None:
    with pytest.raises(ModelError, match=message):
        flow_of(encoder_of(family), method, query="0")


def test_remarks_say_what_is_not_in_the_shares(encoder_of: Callable[[str], Encoder]) -> None:
    def remarks(family: str, method: str = "norms") -> str:
        return " ".join(flow_of(encoder_of(family), method, query="0").remarks)

    assert remarks("bert") == ""
    assert "pre-LN" in remarks("eurobert")
    assert "beside its heads" in remarks("convbert")
    assert "% falls on no token of the text, and writes nothing" in remarks("gpt_oss")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "alti", "fusion": "max"}, "--fusion has no effect on --method alti"),
        ({"method": "norms", "residual": 0.2}, "--residual has no effect on --method norms"),
        ({"method": "globenc", "heads": [1]}, "--head has no effect on --method globenc"),
        ({"method": "rollout", "max_tokens": 9}, "--max-tokens has no effect on --method rollout"),
        ({"method": "norms", "raw": True}, "--raw has no effect on --method norms"),
        ({"method": "rollout", "per_layer": True}, "--method rollout has no table by layer"),
        ({"method": "norms", "per_layer": True, "query": "0"}, "--query has no effect on --per-layer"),
        ({"method": "norms", "per_layer": True, "level": "word"}, "--level word has no effect on --per-layer"),
        ({"method": "decompx", "max_tokens": 3}, r"the text has \d+ tokens; DecompX, .* is computed for up to 3"),
    ],
    ids=str,
)
def test_options_without_effect_are_refused(
    options: dict[str, Any], message: str, minilm: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Encoder, "observe", None)
    with pytest.raises(UsageError, match=message):
        FLOW(TEXT, minilm, **options)


def test_every_method_has_its_options_and_its_table() -> None:
    assert {name for name, how in METHODS.items() if how.means} == set(CONTRIBUTIONS)
    assert all(METHODS[name].means is NORMS for name in ("norms", "globenc"))
    assert set(CONTRIBUTED) == set(CONTRIBUTIONS) - {"decompx"}


def test_scores_share_a_pass_and_say_what_they_are_of(minilm: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[Sequence[str]] = []

    def counted(encoder: Encoder, text: Tokens, names: Sequence[str]) -> Any:
        passes.append(names)
        return contributions(encoder, text, names)

    monkeypatch.setattr(contributions_module, "contributions", counted)
    scores = attnprobe.analyses.load_analysis("tokens")
    found = scores(TEXT, minilm, scores=["alti", "received", "norms"], layers=0, heads=1)
    assert passes == [["alti", "norms"]]
    assert found.remarks == [
        "alti and norms: through all layers, whatever -l chooses, of all heads, whatever --head chooses"
    ]
