"""Contributions of keys are ‖a·v·W_O‖, in plain loops over the weights, values and output maps of transformers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from attnprobe import Encoder, corpus_stats, head_stats, load_encoder, patterns, tokens, weights
from attnprobe.attention import kernels
from attnprobe.attention.rounding import rounding
from attnprobe.attention.value_norms import value_norms
from attnprobe.metrics import METRICS
from attnprobe.models.contributing import contributing
from tests.eager import Layer
from tests.exact import EXACT, float64
from tests.plain import Plain
from tests.rows import assert_close, check_rows
from tests.test_families import expected_means, texts_of
from tests.test_known_values import PROBED

# The modules that make the values, in their last columns, and that read the heads; {} is the layer.
MAPS = {
    "bert": ("encoder.layer.{}.attention.self.value", "encoder.layer.{}.attention.output.dense"),
    "distilbert": ("transformer.layer.{}.attention.v_lin", "transformer.layer.{}.attention.out_lin"),
    "albert": (
        "encoder.albert_layer_groups.0.albert_layers.0.attention.value",
        "encoder.albert_layer_groups.0.albert_layers.0.attention.dense",
    ),
    "modernbert": ("layers.{}.attn.Wqkv", "layers.{}.attn.Wo"),
    "eurobert": ("layers.{}.self_attn.v_proj", "layers.{}.self_attn.o_proj"),
    "qwen3": ("layers.{}.self_attn.v_proj", "layers.{}.self_attn.o_proj"),
    "t5": ("encoder.block.{}.layer.0.SelfAttention.v", "encoder.block.{}.layer.0.SelfAttention.o"),
    "openai_privacy_filter": ("layers.{}.self_attn.v_proj", "layers.{}.self_attn.o_proj"),
    "gpt2": ("h.{}.attn.c_attn", "h.{}.attn.c_proj"),
    "mpnet": ("encoder.layer.{}.attention.attn.v", "encoder.layer.{}.attention.attn.o"),
    "deberta-v2": ("encoder.layer.{}.attention.self.value_proj", "encoder.layer.{}.attention.output.dense"),
    "convbert": ("encoder.layer.{}.attention.self.value", "encoder.layer.{}.attention.output.dense"),
    "longformer": ("encoder.layer.{}.attention.self.value", "encoder.layer.{}.attention.output.dense"),
    "xlm": ("attentions.{}.v_lin", "attentions.{}.out_lin"),
}
NUMERIC = ["bert", "eurobert", "mpnet"]
S = PROBED


@contextmanager
def kept_outputs(modules: list[torch.nn.Module]) -> Iterator[list[list[np.ndarray]]]:
    """What each of these modules returns, call by call, as (position, d)."""
    kept: list[list[np.ndarray]] = [[] for _ in modules]
    handles = [
        module.register_forward_hook(
            lambda _, given, made, of=of: of.append(made.reshape(-1, made.shape[-1]).detach().numpy())
        )
        for module, of in zip(modules, kept, strict=True)
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def by_loops(plain: Plain, text: str) -> tuple[list[np.ndarray], list[np.ndarray], list[Layer]]:
    """By layer: ‖v(k)·W_O‖ (head, key), what each key adds ‖a·v·W_O‖ (head, query, key), and the weights a."""
    made_by, read_by = MAPS[plain.family]
    encoding = plain.encode([text])
    count = len(plain.layers(encoding))
    modules = [plain.model.get_submodule(made_by.format(layer)) for layer in range(count)]
    with kept_outputs(modules) as kept:
        layers = plain.layers(encoding)
    norms, added = [], []
    for number, layer in enumerate(layers):
        heads, length, _ = layer.weights.shape
        module = plain.model.get_submodule(read_by.format(number))
        matrix = module.weight.detach().numpy()
        matrix = matrix if type(module).__name__ == "Conv1D" else matrix.T
        groups = getattr(plain.model.config, "num_key_value_heads", None) or heads
        d = getattr(plain.model.config, "head_dim", None) or plain.model.config.hidden_size // plain_heads(plain)
        values = kept[number][number if modules.count(modules[number]) > 1 else 0][:length, -groups * d :]
        of_layer = np.zeros((heads, length))
        for head in range(heads):
            group = head // (heads // groups)
            for key in range(length):
                vector = values[key, group * d : group * d + d] @ matrix[head * d : head * d + d]
                of_layer[head, key] = np.sqrt(np.sum(vector * vector))
        norms.append(of_layer)
        added.append(layer.weights * of_layer[:, None, :])
    return norms, added, layers


def plain_heads(plain: Plain) -> int:
    config = plain.model.config
    return int(getattr(config, "num_attention_heads", None) or config.n_heads)


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.numeric) if name in NUMERIC else name for name in MAPS]
)
def test_contributions_are_those_of_loops(
    family: str,
    encoder_of: Callable[[str], Encoder],
    exact_of: Callable[[str], Encoder],
    plain_of: Callable[[str], Plain],
) -> None:
    """Each contribution, the norms, and all statistics of rows made to sum to 1; hidden states stay as they are."""
    text, exact, plain = texts_of(family)["english"], exact_of(family), plain_of(family)
    with float64():
        norms, added, layers = by_loops(plain, text)
        raw = weights(text, exact, of="norms", raw=True)["weight"]
        found = head_stats(text, exact, [*METRICS, "value_norm"], of="norms")
        pieces = exact.tokenize(text)
        runs = [
            one.observe(pieces, lambda *_: lambda _: None) for one in (exact, replace(contributing(exact), of="norms"))
        ]
    expected_raw = np.concatenate([of_layer.ravel() for of_layer in added])
    np.testing.assert_allclose(raw, expected_raw, rtol=EXACT, atol=EXACT * expected_raw.max())
    np.testing.assert_allclose(found["value_norm"], np.array(norms).mean(-1).ravel(), rtol=EXACT)
    shares = [
        replace(layer, weights=of_layer / of_layer.sum(-1, keepdims=True))
        for layer, of_layer in zip(layers, added, strict=True)
    ]
    expected = expected_means(plain, encoder_of(family), [text], shares)
    for name in METRICS:
        assert_close(name, found[name].to_numpy(), expected[name].ravel(), EXACT, expected["distance"].ravel())
    assert torch.equal(runs[0][0], runs[1][0])


@pytest.mark.parametrize("family", ["bert", "mpnet", "longformer"])
def test_many_texts_give_what_each_gives_alone(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """In batches of any size, padded where weights are hooked, on one thread or two."""
    encoder, texts = encoder_of(family), ["She wasn't told, was she?", "A cat.", "It sat."]
    expected = pd.concat(
        [head_stats(text, encoder, of="norms").assign(id=str(at)) for at, text in enumerate(texts, 1)],
        ignore_index=True,
    )
    expected = expected[["id", *expected.columns[:-1]]]
    several, one = (
        corpus_stats(texts, encoder, of="norms", batch_tokens=size, threads=threads).to_frame()
        for size, threads in ((2048, 2), (1, 1))
    )
    check_rows(several, expected, encoder)
    check_rows(one, expected, encoder)


def test_loops_that_are_compiled_give_what_formulas_give() -> None:
    """Also of keys that add nothing, of a head in which none does, and of weights too small for a float32."""
    random = np.random.default_rng(0)
    scores = random.normal(0, 3, (3, 5, 40)).astype(np.float32)
    scores[0, 1, 7:] = np.finfo(np.float32).min
    norms = random.uniform(0.1, 9, (3, 40)).astype(np.float32)
    norms[0, :3], norms[2] = 0, 0
    powers = np.exp(scores.astype(float) - scores.max(-1, keepdims=True))
    softmax = powers / powers.sum(-1, keepdims=True)
    added = softmax * norms[:, None].astype(float)
    total = added.sum(-1)
    expected = added / np.where(total == 0, 1, total)[..., None]
    shares, totals, entropy = np.empty_like(scores), *np.empty((2, 3, 5), dtype=np.float32)
    logarithms = np.log(np.maximum(norms, 1e-30))
    kernels.softmax_with_contributions(scores, norms, logarithms, shares, totals, entropy)
    moved = 10 * rounding(torch.float32, 40)
    for found, wanted in ((scores, softmax), (shares, expected), (totals, total)):
        np.testing.assert_allclose(found, wanted, rtol=moved, atol=moved)
    expected_entropy = -(expected * np.log(np.where(expected > 0, expected, 1))).sum(-1)
    np.testing.assert_allclose(entropy, expected_entropy, rtol=moved, atol=moved)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("threads", [1, 2])
def test_long_texts_in_compiled_loops_and_threads(
    threads: int, encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, text = encoder_of("bert"), texts_of("bert")["english"]
    expected = head_stats(text, encoder, of="norms")
    monkeypatch.setattr("attnprobe.models.encoder.LONG", 8)
    monkeypatch.setattr("attnprobe.models.encoder.SPREAD", 8 if threads > 1 else 1000)
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr("attnprobe.attention.blocks.BLOCK_ELEMENTS", 300)
    found = head_stats(text, encoder, of="norms").assign(id="", n_tokens=len(encoder.tokenize(text)[0]))
    check_rows(found, expected.assign(id=""), encoder)


def test_norms_of_nearly_singular_maps_are_exact() -> None:
    """Values that W_O almost takes to 0 keep their digits, which squares summed in float32 would lose."""
    random = torch.Generator().manual_seed(0)
    output = torch.randn(2, 4, 16, generator=random)
    output[:, 1] = output[:, 0] * (1 + 1e-3)
    value = torch.tensor([[[[1.0, -1.0, 0.0, 0.0], [0.5, 0.25, 1.0, 2.0]]]])
    expected = torch.einsum("tgkd,hdo->thko", value.double(), output.double()).norm(dim=-1)
    torch.testing.assert_close(value_norms(value, output).double(), expected, rtol=1e-3, atol=1e-5)


@pytest.fixture
def changed(encoder_of: Callable[[str], Encoder], folder_of: Callable[[str], Path]) -> Encoder:
    """A model in memory whose map of layer 1's head 0 was set to 0 after it was measured once."""
    loaded = encoder_of("bert")
    encoder = load_encoder(copy.deepcopy(loaded.model), tokenizer=loaded.tokenizer)
    head_stats(S, encoder, of="norms")
    with torch.no_grad():
        encoder.origin.get_submodule(MAPS["bert"][1].format(1)).weight[:, :8] = 0
        encoder.origin.get_submodule(MAPS["bert"][1].format(0)).weight *= 2
    return encoder


def test_head_that_adds_nothing_is_empty(changed: Encoder, encoder_of: Callable[[str], Encoder]) -> None:
    """Maps are taken at each run: of layer 0, everything counts twice, and its shares stay."""
    found = head_stats(S, changed, ["entropy", "cls_share", "outside_share", "value_norm"], of="norms")
    row = found.query("layer == 1 and head == 0").iloc[0]
    assert row[["entropy", "cls_share", "outside_share"]].isna().all()
    assert row["value_norm"] == 0
    assert found.query("layer != 1 or head != 0")[["entropy", "cls_share"]].notna().all(axis=None)
    before, after = (weights(S, one, of="norms", raw=True, layers=0)["weight"] for one in (encoder_of("bert"), changed))
    np.testing.assert_allclose(after, 2 * before, rtol=1e-5)
    assert (weights(S, changed, of="norms", layers=1, heads=0)["weight"] == 0).all()
    summary = corpus_stats([S, "A cat."], changed, ["entropy"], of="norms").complete()
    assert [row[:2] for row in summary.means().rows if row[2] is None] == [(1, 0)]
    assert (
        patterns([S], changed, of="norms").to_frame().query("layer == 1 and head == 0")["previous_share"].isna().all()
    )
    assert tokens(S, changed, of="norms")["received"].sum() < 1


def test_words_sum_pieces_of_keys_and_average_those_of_queries(minilm: Encoder) -> None:
    pieces = weights(S, minilm, of="norms", raw=True, layers=3, heads=1)
    words = weights(S, minilm, of="norms", raw=True, layers=3, heads=1, level="word")
    [text] = minilm.tokenize(S)
    of = np.array(text.words)
    square = pieces["weight"].to_numpy(float).reshape(len(of), len(of))
    expected = [
        [square[of == q][:, of == k].sum() / (of == q).sum() for k in range(of[-1] + 1)] for q in range(of[-1] + 1)
    ]
    np.testing.assert_allclose(words["weight"], np.ravel(expected), rtol=1e-5)
