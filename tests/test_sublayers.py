"""What surrounds a layer's attention is found by numbers, and is what hooks on the model's own modules see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnprobe import Encoder
from attnprobe.errors import ModelError
from attnprobe.models.feed_forward import FUNCTIONS, functions_between
from attnprobe.models.norms import USUAL, Norm, norm_of
from attnprobe.models.recorder import Ran
from attnprobe.models.sublayers import Sublayers, visit_sublayers
from attnprobe.values.tokens import Tokens
from tests.exact import EXACT, doubled, float64
from tests.test_parts import tokens_of

# Family -> where its norms are, and the function of its feed-forward sublayer; "" where it is gated or has experts.
# Of those that compute alike one is found here; all others of families.py were found once by hand.
FOUND = {
    **dict.fromkeys(
        ["bert", "distilbert", "electra", "mpnet", "convbert", "longformer", "xlm", "lxmert", "prophetnet"], "post gelu"
    ),
    **dict.fromkeys(["albert", "big_bird"], "post gelu_tanh"),
    **dict.fromkeys(["esm", "megatron-bert", "xglm"], "pre gelu"),
    **dict.fromkeys(["gpt2", "gpt_neo", "siglip_text"], "pre gelu_tanh"),
    **dict.fromkeys(["modernbert", "eurobert", "umt5", "qwen3", "openai_privacy_filter", "gpt_oss", "olmo"], "pre "),
    "nomic_bert": "post ",
    "fsmt": "post relu",
    "t5": "pre relu",
    "clip_text": "pre quick_gelu",
    "nllb-moe": "pre relu",  # in its first layer; every second one has experts
}
REFUSED = {
    "mobilebert": "the residual adds another input than the one that v is made of",
    "xmod": "more is added after its feed-forward sublayer, as by adapters",
    "esmc": r"the attention's output is multiplied by 3\.464 before the residual",
    "switch": "layer 1: its feed-forward sublayer is no module that reads hidden states alone",
    **dict.fromkeys(["t5gemma", "gemma2", "olmo2"], "a norm of the attention's output comes before the residual"),
    **dict.fromkeys(["gpt_neox", "phi"], "its feed-forward sublayer stands beside the attention, not after it"),
    "neomme": "the heads' outputs go through something else before W_O",
    "deberta": "deberta has disentangled position terms, which trace does not separate yet",
}


def layers_of(encoder: Encoder, tokens: Tokens) -> list[Sublayers]:
    found: list[Sublayers] = []
    visit_sublayers(encoder, tokens, range(encoder.layers), found.append)
    return found


def close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= EXACT * expected.abs().max()


@pytest.mark.parametrize("family", FOUND)
def test_what_is_found_adds_up_to_the_hidden_state(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """From the heads' weights and values alone to the input of the next layer."""
    plain = encoder_of(family)
    with float64():
        encoder = doubled(plain)
        layers = layers_of(encoder, tokens_of(encoder, family))
        for found in layers:
            check_sums(found)
    for found, after in pairwise(layers):
        close(after.x, found.made)
    placement, function = FOUND[family].split(" ")
    assert {found.placement for found in layers} == {placement}
    inner = layers[0].feed_forward.inner
    assert (inner.name if inner else "") == function


def check_sums(found: Sublayers) -> None:
    parts, output = found.parts, found.parts.output
    assert output is not None
    attention = torch.einsum("hqk,hkd,hdo->qo", parts.weights, parts.values, parts.output_weights)
    attention += output.beside(parts.values.shape[0] * parts.values.shape[2])
    summed = found.x + (attention if output.bias is None else attention + output.bias)
    close(summed, found.summed)
    close(found.tail(summed), found.made)
    if found.norm:
        assert found.output_norm is not None
        close(found.output_norm(found.last_sum), found.made)
        y = found.norm(summed)
        close(y + found.feed_forward(y), found.last_sum)
    if found.attention_norm:
        assert parts.x is not None
        close(found.attention_norm(found.x), parts.x)


@pytest.mark.parametrize("family", REFUSED)
def test_other_layers_are_refused_by_name(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of(family)
    with pytest.raises(ModelError, match=REFUSED[family]) as caught:
        layers_of(encoder, tokens_of(encoder, family))
    assert str(caught.value).startswith(encoder.kind)


# Family -> in a layer: the norm before the attention, W_O, the norm after the residual, the feed-forward sublayer's two
# maps or its module, the norm at the end.
BY_HAND: Mapping[str, Mapping[str, str]] = {
    "bert": {
        "map": "encoder.layer.{}.attention.output.dense",
        "norm": "encoder.layer.{}.attention.output.LayerNorm",
        "first": "encoder.layer.{}.intermediate.dense",
        "last": "encoder.layer.{}.output.dense",
        "output_norm": "encoder.layer.{}.output.LayerNorm",
    },
    "distilbert": {
        "map": "transformer.layer.{}.attention.out_lin",
        "norm": "transformer.layer.{}.sa_layer_norm",
        "first": "transformer.layer.{}.ffn.lin1",
        "last": "transformer.layer.{}.ffn.lin2",
        "output_norm": "transformer.layer.{}.output_layer_norm",
    },
    "modernbert": {
        "attention_norm": "layers.{}.attn_norm",
        "map": "layers.{}.attn.Wo",
        "norm": "layers.{}.mlp_norm",
        "whole": "layers.{}.mlp",
    },
    "t5": {
        "attention_norm": "encoder.block.{}.layer.0.layer_norm",
        "map": "encoder.block.{}.layer.0.SelfAttention.o",
        "norm": "encoder.block.{}.layer.1.layer_norm",
        "first": "encoder.block.{}.layer.1.DenseReluDense.wi",
        "last": "encoder.block.{}.layer.1.DenseReluDense.wo",
    },
    "eurobert": {
        "attention_norm": "layers.{}.input_layernorm",
        "map": "layers.{}.self_attn.o_proj",
        "norm": "layers.{}.post_attention_layernorm",
        "whole": "layers.{}.mlp",
    },
}

Place = tuple[int, str]  # layer, key of BY_HAND


@contextmanager
def seen(
    model: nn.Module, names: Mapping[tuple[int, str], str]
) -> Iterator[dict[tuple[int, str], tuple[Tensor, Tensor]]]:
    """What the named modules are given and make."""
    numbers: dict[Place, tuple[Tensor, Tensor]] = {}

    def keep(key: Place) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, made: Tensor) -> None:
            numbers[key] = (arguments[0][0], made[0])

        return hook

    handles = [model.get_submodule(name).register_forward_hook(keep(key)) for key, name in names.items()]
    try:
        yield numbers
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.numeric
@pytest.mark.parametrize("family", BY_HAND)
def test_it_is_what_the_models_own_modules_compute(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """The numbers that hooks by name see, and other vectors through the modules themselves."""
    plain = encoder_of(family)
    with float64(), torch.no_grad():
        encoder = doubled(plain)
        tokens = tokens_of(encoder, family)
        layers = layers_of(encoder, tokens)
        names = {
            (layer, key): name.format(layer) for layer in range(encoder.layers) for key, name in BY_HAND[family].items()
        }
        inputs = {name: torch.tensor([values]) for name, values in tokens.inputs.items()}
        with seen(encoder.model, names) as numbers:
            states = encoder.model(**inputs, output_hidden_states=True).hidden_states
        for layer, found in enumerate(layers):
            modules = {key: encoder.model.get_submodule(name) for (of, key), name in names.items() if of == layer}
            close(found.x, states[layer][0])
            close(found.summed, numbers[layer, "norm"][0])
            assert found.parts.output is not None
            close(found.parts.output.made, numbers[layer, "map"][1])
            close(found.summed - found.x, numbers[layer, "map"][1])
            if found.placement == "post" or layer < encoder.layers - 1:
                close(found.made, states[layer + 1][0])  # the last one that a pre-LN model gives went through a norm
            check_modules(found, modules)


def check_modules(found: Sublayers, modules: Mapping[str, nn.Module]) -> None:
    """Other vectors, of any shape, go the same way through what was found and through the modules."""
    vectors = torch.randn(2, 5, *found.x.shape, generator=torch.Generator().manual_seed(0)) * found.x.std()
    together = vectors.flatten(0, 1)
    inner = found.feed_forward.inner
    if "whole" in modules:
        assert inner is None
        feed_forward: Callable[[Tensor], Tensor] = modules["whole"]
    else:
        assert inner is not None
        assert torch.equal(inner.weight_in, modules["first"].weight.T)
        assert torch.equal(inner.weight_out, modules["last"].weight.T)
        function = {"gelu": nn.functional.gelu, "relu": nn.functional.relu}[inner.name]
        feed_forward = lambda v: modules["last"](function(modules["first"](v)))  # noqa: E731
    norm = modules["norm"]
    if found.placement == "post":
        y = norm(together)
        tail = modules["output_norm"](y + feed_forward(y))
        check_norm(found.norm, norm, together)
        check_norm(found.output_norm, modules["output_norm"], together)
    else:
        tail = together + feed_forward(norm(together))
        check_norm(found.feed_forward_norm, norm, together)
        if not isinstance(modules["attention_norm"], nn.Identity):
            check_norm(found.attention_norm, modules["attention_norm"], together)
        else:
            assert found.attention_norm is None
    close(found.feed_forward(vectors), feed_forward(together).view_as(vectors))
    close(found.tail(vectors), tail.view_as(vectors))


def check_norm(found: Norm | None, module: nn.Module, vectors: Tensor) -> None:
    assert found is not None
    close(found(vectors), module(vectors))
    turned = found.turned(vectors) / found.sizes(vectors)[..., None]
    close(turned if found.bias is None else turned + found.bias, module(vectors))
    close(found.turned(vectors[:1] + vectors[1:2]), found.turned(vectors[:1]) + found.turned(vectors[1:2]))
    assert found.centred == isinstance(module, nn.LayerNorm)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_alike_are_told_apart(name: str) -> None:
    """However much rounding would explain of a wide layer's numbers."""
    given = 3 * torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    found, _ = next(functions_between(given, FUNCTIONS[name](given), [], 1e-2))
    assert found == name


def test_the_epsilon_of_a_norm_that_does_not_hold_it_is_found() -> None:
    given = torch.randn(9, 32, generator=torch.Generator().manual_seed(0)) / 10
    for eps in USUAL:
        made = nn.functional.layer_norm(given, (32,), eps=eps)
        found = norm_of(Ran("norm", nn.Identity(), given, made), torch.float32)
        assert found is not None
        assert (found.eps, found.centred, found.bias) == (eps, True, None)


def test_a_run_leaves_the_model_as_it_was(encoder_of: Callable[[str], Encoder]) -> None:
    """Also where a sublayer is the model's own module, of which a copy in float64 runs."""
    encoder = encoder_of("modernbert")
    tokens = tokens_of(encoder, "modernbert")
    hooks = [len(module._forward_hooks) for module in encoder.model.modules()]
    [before] = encoder.observe([tokens], lambda layer, group: None)
    for found in layers_of(encoder, tokens):
        assert found.tail(found.summed).dtype == torch.float64
    [after] = encoder.observe([tokens], lambda layer, group: None)
    assert torch.equal(before, after)
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {torch.float32}
    assert [len(module._forward_hooks) for module in encoder.model.modules()] == hooks


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("attention.output.LayerNorm", "bert, layer 1: LayerNorm is no LayerNorm or RMSNorm of these numbers"),
        ("output.LayerNorm", "bert, layer 1: LayerNorm is no LayerNorm or RMSNorm of these numbers"),
        ("intermediate.dense", "bert, layer 1: its feed-forward sublayer is no module that reads hidden states alone"),
        ("", "bert, layer 2: it does not start from the hidden state after the layer before"),
    ],
)
def test_numbers_that_do_not_add_up_are_refused(
    module: str, message: str, encoder_of: Callable[[str], Encoder]
) -> None:
    encoder = encoder_of("bert")
    tokens = tokens_of(encoder, "bert")
    changed = encoder.model.encoder.layer[1].get_submodule(module)
    handle = changed.register_forward_hook(lambda module, given, made: made * 1.001)
    try:
        with pytest.raises(ModelError, match=message):
            layers_of(encoder, tokens)
    finally:
        handle.remove()
    assert [found.parts.layer for found in layers_of(encoder, tokens)] == [0, 1, 2]
