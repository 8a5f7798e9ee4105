"""One forward pass gives what all heads of all layers are made of; together they are the model's own attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from attnprobe import Encoder
from attnprobe.errors import ModelError
from attnprobe.models import heads as of_heads
from attnprobe.models.heads import LayerParts
from attnprobe.models.parts import head_parts, layer_parts, visit_layers
from attnprobe.values.tokens import Tokens
from tests.exact import EXACT, doubled, float64

TEXT = "She wasn't told, was she?"
# One of each way to compute: plain, GQA, local, biased, shared, other inputs, norms of q, caps, sinks, hooked, fused.
FAMILIES_IN_FULL = [
    *("bert", "modernbert", "eurobert", "t5", "albert", "mobilebert", "qwen3", "t5gemma", "openai_privacy_filter"),
    *("convbert", "mpnet", "longformer", "xglm", "gpt2", "esm"),
]


def tokens_of(encoder: Encoder, family: str) -> Tokens:
    return encoder.tokenize("MKTAYIAKQRQISF" if family == "esm" else TEXT)[0]


def all_layers(encoder: Encoder, tokens: Tokens) -> list[LayerParts]:
    found: list[LayerParts] = []
    visit_layers(encoder, tokens, range(encoder.layers), found.append)
    return found


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What encoders were run on."""
    texts: list[Any] = []
    observe = Encoder.observe

    def counted(self: Encoder, some: Any, *arguments: Any, **options: Any) -> Any:
        texts.append(some)
        return observe(self, some, *arguments, **options)

    monkeypatch.setattr(Encoder, "observe", counted)
    return texts


@pytest.mark.parametrize("family", FAMILIES_IN_FULL)
def test_one_pass_gives_every_head_as_by_itself(
    family: str, encoder_of: Callable[[str], Encoder], runs: list[Any]
) -> None:
    encoder = encoder_of(family)
    tokens = tokens_of(encoder, family)
    layers = all_layers(encoder, tokens)
    assert len(runs) == 1
    assert [layer.layer for layer in layers] == list(range(encoder.layers))
    for layer, head in [(0, 0), (encoder.layers - 1, encoder.heads - 1)]:
        found, alone = layers[layer].heads[head], head_parts(encoder, tokens, layer, head)
        for name in "qkv":
            assert_equal(getattr(found, name), getattr(alone, name))
        assert_equal(replace(found, q=None, k=None, v=None), replace(alone, q=None, k=None, v=None))


def assert_equal(found: Any, expected: Any) -> None:
    """Equal field by field, to the last bit."""
    for name, value in vars(expected).items():
        other = getattr(found, name)
        if isinstance(value, dict):
            assert value.keys() == other.keys()
            assert all(torch.equal(other[key], value[key]) for key in value)
        else:
            assert torch.equal(other, value) if isinstance(value, Tensor) else other == value, name


@pytest.mark.numeric
@pytest.mark.parametrize("family", FAMILIES_IN_FULL)
def test_heads_add_up_to_the_models_attention(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """Σ a·v·W_O + b_O, with what else ConvBERT's map reads, is the map's output: by loops over heads and tokens."""
    plain = encoder_of(family)
    with float64():
        encoder = doubled(plain)
        tokens = tokens_of(encoder, family)
        for layer in all_layers(encoder, tokens):
            assert layer.output is not None
            weights, values, rows = layer.weights, layer.values, layer.output_weights
            heads, length, d = values.shape
            assert weights.shape == (encoder.heads, length, length)
            assert rows.shape == (heads, d, layer.output.weight.shape[1])
            total = torch.zeros_like(layer.output.made)
            for query in range(length):
                for head in range(heads):
                    context = sum(float(weights[head, query, key]) * values[head, key] for key in range(length))
                    total[query] += context @ rows[head]
            if family == "convbert":
                assert layer.output.beside(heads * d).abs().max() > 0.1
                total += layer.output.beside(heads * d)
            else:
                assert layer.output.x.shape[1] == heads * d
            if layer.output.bias is not None:
                total += layer.output.bias
            close(total, layer.output.made)
            for head in layer.heads:
                close(head.recomputed(), head.weights)
                assert head.v.x is not None
                assert head.v.weight is not None
                close(head.v.x @ head.v.weight + (0 if head.v.bias is None else head.v.bias), head.v.final)
                if family != "mobilebert":
                    assert head.q.x is not None
                    assert torch.equal(head.q.x, layer.heads[0].v.x)


def close(found: Tensor, expected: Tensor) -> None:
    assert (found - expected).abs().max() <= EXACT * expected.abs().max()


@pytest.mark.numeric
def test_output_is_that_of_the_attention_module(encoder_of: Callable[[str], Encoder]) -> None:
    """The output map's is what BERT's residual is added to; x is the hidden state."""
    plain = encoder_of("bert")
    with float64():
        encoder = doubled(plain)
        tokens, made = tokens_of(encoder, "bert"), []
        model = encoder.model
        handles = [
            layer.attention.output.dense.register_forward_hook(lambda *arguments: made.append(arguments[2][0]))
            for layer in model.encoder.layer
        ]
        layers = all_layers(encoder, tokens)
        for handle in handles:
            handle.remove()
        inputs = {name: torch.tensor([values]) for name, values in tokens.inputs.items()}
        with torch.no_grad():
            states = model(**inputs, output_hidden_states=True).hidden_states
    for layer, found in enumerate(layers):
        assert found.output is not None
        assert found.x is not None
        close(found.output.made, made[layer])
        close(found.x, states[layer][0])


def test_only_the_layers_that_are_asked_for(encoder_of: Callable[[str], Encoder], runs: list[Any]) -> None:
    encoder = encoder_of("bert")
    tokens = tokens_of(encoder, "bert")
    found: list[int] = []
    visit_layers(encoder, tokens, [2, 0], lambda layer: found.append(layer.layer))
    assert (found, len(runs)) == ([0, 2], 1)


def test_what_cannot_be_had_is_refused_by_name(encoder_of: Callable[[str], Encoder]) -> None:
    """NeoMME gates the heads' outputs; a trace shows what comes before."""
    encoder = encoder_of("neomme")
    tokens = tokens_of(encoder, "neomme")
    with pytest.raises(ModelError, match="neomme: the heads' outputs go through something else before W_O"):
        layer_parts(encoder, tokens, 0)
    assert head_parts(encoder, tokens, 0, 0).output_weight is None
    with pytest.raises(ModelError, match="xlnet has relative position terms"):
        layer_parts(encoder_of("xlnet"), tokens, 0)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("self.value", "v differs by .* from the layer's input times the weights of its map"),
        ("output.dense", r"layer 1: the heads' outputs times W_O differ from the attention's output by \d"),
    ],
)
def test_numbers_that_do_not_add_up_are_refused(
    module: str, message: str, encoder_of: Callable[[str], Encoder]
) -> None:
    encoder = encoder_of("bert")
    tokens = tokens_of(encoder, "bert")
    changed = encoder.model.encoder.layer[1].attention.get_submodule(module)
    handle = changed.register_forward_hook(lambda module, given, made: made * 1.001)
    try:
        with pytest.raises(ModelError, match=message):
            layer_parts(encoder, tokens, 1)
        layer_parts(encoder, tokens, 0)
    finally:
        handle.remove()
    layer_parts(encoder, tokens, 1)


def test_weights_that_do_not_follow_from_q_and_k_are_refused(
    encoder_of: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any head, not of a traced one alone."""
    encoder = encoder_of("bert")
    recomputed = of_heads.recomputed

    def moved(*arguments: Any) -> Tensor:
        weights = recomputed(*arguments)
        weights[-1, -1, -1] += 1e-4
        return weights

    monkeypatch.setattr(of_heads, "recomputed", moved)
    with pytest.raises(ModelError, match=r"layer 2: the weights recomputed from q and k differ .* by 1\.\de-04"):
        layer_parts(encoder, tokens_of(encoder, "bert"), 2)
