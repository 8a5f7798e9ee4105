"""What is changed in a model's attention is what its own modules would make of it, and nothing of it stays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from attnprobe import Encoder
from attnprobe.attention.blocks import Block
from attnprobe.attention.rounding import rounding, terms
from attnprobe.errors import ModelError
from attnprobe.models.editable import editable
from attnprobe.models.edits import Edit
from attnprobe.values.tokens import Tokens
from tests.exact import EXACT, doubled, float64

TEXTS = ["She wasn't told, was she?", "Nobody had told her.", "The old lighthouse keeper counted seven gulls."]
# post-LN, pre-LN with local layers, grouped queries; and where their output maps and values are.
OUTPUT_MAPS = {
    "bert": "encoder.layer.{}.attention.output.dense",
    "modernbert": "layers.{}.attn.Wo",
    "eurobert": "layers.{}.self_attn.o_proj",
}
IN_BLOCKS = [*OUTPUT_MAPS, "t5", "albert", "t5gemma", "openai_privacy_filter"]  # bias, shared layers, soft cap, sinks


def nobody(layer: int, group: int) -> None:
    """Observes nothing."""


def run(encoder: Encoder, texts: list[Tokens], **options: Any) -> list[Tensor]:
    return encoder.observe(texts, nobody, encoder.groups(texts), **options)


def by_length(encoder: Encoder) -> list[Tokens]:
    return sorted((encoder.tokenize(text)[0] for text in TEXTS), key=len)


def off(layer: int, head: int, how: Callable[[Tensor], Tensor] = torch.zeros_like) -> Edit:
    """Switches one head off, or does something else to its context (text, query, d_v)."""

    def context(at: int, texts: slice, whole: Tensor) -> Tensor:
        if at != layer:
            return whole
        whole = whole.clone()
        whole[:, :, head] = how(whole[:, :, head])
        return whole

    return Edit(context=context)


def mean(context: Tensor) -> Tensor:
    """The mean over the text's own positions."""
    return context.mean(1, keepdim=True).expand_as(context)


def uniform(layer: int, texts: slice, block: Block) -> Tensor | None:
    """The same weight for each key a query may see, in layer 1."""
    if layer != 1:
        return None
    seen = torch.ones_like(block.weights) if block.allowed is None else block.allowed.to(block.weights.dtype)
    return (seen / seen.sum(-1, keepdim=True)).expand_as(block.weights)


def eager(encoder: Encoder, family: str, layer: int, change: Callable[[Tensor], Tensor], text: Tokens) -> Tensor:
    """The last hidden states of transformers' own attention, where a layer's output map is given something else."""
    model = copy.deepcopy(encoder.model)
    model.set_attn_implementation("eager")
    module = model.get_submodule(OUTPUT_MAPS[family].format(layer))
    module.register_forward_pre_hook(lambda module, arguments: change(arguments[0]))
    with torch.no_grad():
        hidden: Tensor = model(input_ids=torch.tensor([text.inputs["input_ids"]]))[0][0]
    return hidden


@contextmanager
def in_float64(encoder: Encoder) -> Iterator[Encoder]:
    with float64():
        yield doubled(encoder)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=EXACT, atol=EXACT * float(expected.detach().abs().max()))


@pytest.mark.numeric
@pytest.mark.parametrize("how", [torch.zeros_like, mean])
@pytest.mark.parametrize("family", OUTPUT_MAPS)
def test_head_off_is_what_the_output_map_makes_of_it(
    family: str, how: Callable[[Tensor], Tensor], encoder_of: Callable[[str], Encoder]
) -> None:
    """In a batch of texts of three lengths, each is changed by itself; so is a text in a batch without padding."""

    def change(given: Tensor) -> Tensor:
        given = given.clone()
        given[..., 16:24] = how(given[..., 16:24])
        return given

    with in_float64(encoder_of(family)) as encoder:
        texts = by_length(encoder)
        plain, found = run(encoder, texts), run(encoder, texts, edit=off(1, 2, how))
        for text, before, after in zip(texts, plain, found, strict=True):
            close(after, eager(encoder, family, 1, change, text))
            assert (after - before).abs().max() > 1e-3 * before.abs().max()


@pytest.mark.numeric
@pytest.mark.parametrize("family", OUTPUT_MAPS)
def test_weights_are_replaced_before_values_are_summed(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """With uniform weights each head's context is the plain mean of the values that a query sees."""
    with in_float64(encoder_of(family)) as encoder:
        [text] = encoder.tokenize(TEXTS[2])
        contexts: list[Tensor] = []

        def change(given: Tensor) -> Tensor:
            return contexts[0].to(given.dtype)

        calls: list[Any] = []
        [found] = run(encoder, [text], edit=Edit(weights=uniform), on_call=calls.append)
        value = calls[1].value
        seen = torch.ones(len(text), len(text)) if calls[1].allowed is None else calls[1].allowed.double()
        value = value.repeat_interleave(4 // value.shape[1], 1)
        means = (seen[:, :, None] * value[0, :, None]).sum(2) / seen.sum(1)[:, None]
        contexts.append(means.transpose(0, 1).flatten(1)[None])
        close(found, eager(encoder, family, 1, change, text))


def test_observers_are_shown_what_the_model_computes(encoder_of: Callable[[str], Encoder]) -> None:
    """The edited layer's own weights stay, the later ones' follow from the edit."""
    encoder = encoder_of("bert")
    tokens = encoder.tokenize(TEXTS[0])

    def weights(edit: Edit | None) -> list[Tensor]:
        seen: list[Tensor] = []
        encoder.observe(tokens, lambda layer, group: lambda block: seen.append(block.weights.clone()), edit=edit)
        return seen

    plain = weights(None)
    for edit in (off(1, 0), Edit(weights=uniform)):
        edited = weights(edit)
        assert [torch.equal(a, b) for a, b in zip(plain, edited, strict=True)] == [True, True, False]


@pytest.mark.parametrize("family", ["bert", "mobilebert"])  # MobileBERT runs each length by itself
def test_texts_have_the_numbers_of_the_run(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    encoder = encoder_of(family)
    texts = [encoder.tokenize(text)[0] for text in ("a b c d", "e f g h", "one two three", "four five")]
    texts = sorted(texts, key=len)
    plain = run(encoder, texts)
    for number in range(len(texts)):

        def context(layer: int, some: slice, whole: Tensor, number: int = number) -> Tensor:
            factors = torch.tensor([0.0 if text == number else 1.0 for text in range(some.start, some.stop)])
            return whole * factors[:, None, None, None]

        def weights(layer: int, some: slice, block: Block, number: int = number) -> Tensor:
            factors = torch.tensor([0.0 if text == number else 1.0 for text in range(some.start, some.stop)])
            return block.weights * factors[:, None, None, None]

        for edit in (Edit(context=context), Edit(weights=weights)):
            found = run(encoder, texts, edit=edit)
            changed = [not torch.equal(a, b) for a, b in zip(plain, found, strict=True)]
            assert changed == [text == number for text in range(len(texts))]


class GivenUpError(Exception):
    """Ends a run in the middle."""


@pytest.mark.parametrize("family", IN_BLOCKS)
def test_a_run_leaves_nothing_behind(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    check_nothing_stays(encoder_of(family))


def check_nothing_stays(encoder: Encoder) -> None:
    """Also not of a run that fails, and one for gradients; the runs after are equal to the last bit."""
    texts = by_length(encoder)

    def fail(layer: int, some: slice, context: Tensor) -> Tensor:
        if layer == 1:
            raise GivenUpError
        return context * 2

    plain = run(encoder, texts)
    assert not torch.equal(run(encoder, texts, edit=off(1, 0))[0], plain[0])
    assert all(map(torch.equal, run(encoder, texts), plain))
    with pytest.raises(GivenUpError):
        run(encoder, texts, edit=Edit(context=fail))
    assert all(map(torch.equal, run(encoder, texts), plain))
    factors = torch.ones(encoder.layers, encoder.heads, 1, requires_grad=True)
    edit = Edit(context=lambda layer, some, context: context * factors[layer])
    for_gradients = run(encoder, texts, edit=edit, gradients=True)
    assert_within_rounding(for_gradients, plain, encoder)
    torch.stack([hidden.square().sum() for hidden in for_gradients]).sum().backward()
    assert factors.grad is not None
    assert all(parameter.grad is None for parameter in encoder.model.parameters())
    assert all(map(torch.equal, run(encoder, texts), plain))
    assert all(not hidden.requires_grad for hidden in plain)


def test_replicas_can_be_edited(encoder_of: Callable[[str], Encoder]) -> None:
    """Compiled loops overwrite their scores, but not before they were edited; gradients do without them."""
    encoder, replica = encoder_of("bert"), encoder_of("bert").replica()
    texts = by_length(encoder)
    assert replica.compiled
    for edit in (off(1, 2), Edit(weights=uniform)):
        assert_within_rounding(run(replica, texts, edit=edit), run(encoder, texts, edit=edit), encoder)
    assert_within_rounding(run(replica, texts, gradients=True), run(encoder, texts), encoder)
    with in_float64(encoder) as exact:
        for found, expected in zip(run(exact, texts, gradients=True), run(exact, texts), strict=True):
            torch.testing.assert_close(found, expected, rtol=EXACT, atol=EXACT)


def assert_within_rounding(found: Sequence[Tensor], expected: Sequence[Tensor], encoder: Encoder) -> None:
    """Runs that compute alike, but with other operations: for gradients no tensor is overwritten."""
    width = encoder.model.config.hidden_size
    for one, other in zip(found, expected, strict=True):
        noise = rounding(encoder.dtype, terms(encoder.layers, width, len(one)), float(other.abs().max()))
        torch.testing.assert_close(one, other, rtol=0, atol=noise)


# Models whose weights are hooked: the contexts are changed in what their output maps are given.
HOOKED = {
    "mpnet": "encoder.layer.{}.attention.attn.o",
    "convbert": "encoder.layer.{}.attention.output.dense",  # which is never padded, and reads convolutions too
    "longformer": "encoder.layer.{}.attention.output.dense",  # which pads texts to its window
    "xglm": "layers.{}.self_attn.out_proj",
}


@pytest.mark.numeric
@pytest.mark.parametrize("family", HOOKED)
def test_head_off_in_a_hooked_model_is_a_map_without_its_columns(
    family: str, encoder_of: Callable[[str], Encoder]
) -> None:
    with in_float64(editable(encoder_of(family))) as encoder:
        texts = by_length(encoder)
        plain, found = run(encoder, texts), run(encoder, texts, edit=off(1, 1))
        without = replace(encoder, model=copy.deepcopy(encoder.model))
        d_v = encoder.outlets[1].d_v
        without.model.get_submodule(HOOKED[family].format(1)).weight[:, d_v : 2 * d_v] = 0
        for before, after, expected in zip(plain, found, run(without, texts), strict=True):
            close(after, expected)
            assert (after - before).abs().max() > 1e-3 * before.abs().max()
        assert all(map(torch.equal, run(encoder, texts), plain))


@pytest.mark.parametrize("family", HOOKED)
def test_runs_of_hooked_models_leave_nothing_behind(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    check_nothing_stays(editable(encoder_of(family)))


def test_what_hooked_models_cannot_change_is_refused_by_name(encoder_of: Callable[[str], Encoder]) -> None:
    mpnet = encoder_of("mpnet")
    tokens = mpnet.tokenize(TEXTS[0])
    with pytest.raises(ModelError, match="heads of mpnet cannot be changed: its weights are hooked"):
        run(mpnet, tokens, edit=off(0, 0))
    with pytest.raises(ModelError, match="weights of mpnet cannot be changed: its weights are hooked"):
        run(editable(mpnet), tokens, edit=Edit(weights=uniform))
    with pytest.raises(ModelError, match="heads of xlnet cannot be changed: xlnet has relative position terms"):
        editable(encoder_of("xlnet"))
    with pytest.raises(ModelError, match=r"heads of fsmt cannot be changed: the output map is given \(\d+, 1, 32\)"):
        editable(encoder_of("fsmt"))
    assert editable(encoder_of("bert")) is encoder_of("bert")


# Gradients


def pooled_norm(states: list[Tensor]) -> Tensor:
    """Σ over texts of the squared length of the mean-pooled vector; of single vectors a last norm makes a constant."""
    return torch.stack([hidden.mean(0).square().sum() for hidden in states]).sum()


@pytest.mark.numeric
@pytest.mark.parametrize("family", [*OUTPUT_MAPS, "mpnet"])
def test_gradient_of_a_factor_is_the_central_difference(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """Of each head of each layer, in a padded batch."""
    with in_float64(editable(encoder_of(family))) as encoder:
        texts, step = by_length(encoder), 1e-4

        def objective(factors: Tensor, gradients: bool = False) -> Tensor:
            edit = Edit(context=lambda layer, some, context: context * factors[layer, :, None])
            return pooled_norm(run(encoder, texts, edit=edit, gradients=gradients))

        ones = torch.ones(encoder.layers, encoder.heads, requires_grad=True)
        [found] = torch.autograd.grad(objective(ones, gradients=True), ones)
        expected = torch.zeros_like(found)
        for layer, head in torch.cartesian_prod(torch.arange(encoder.layers), torch.arange(encoder.heads)).tolist():
            moved = torch.zeros_like(found)
            moved[layer, head] = step
            expected[layer, head] = (objective(1 + moved) - objective(1 - moved)) / (2 * step)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))
        assert found.abs().min() > 0


@pytest.mark.numeric
@pytest.mark.parametrize("family", OUTPUT_MAPS)
def test_gradients_of_weights_add_up_to_that_of_the_head(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """Σ a·∂F/∂a over a head's weights is ∂F/∂ξ of a factor ξ on its context, text by text."""
    with in_float64(encoder_of(family)) as encoder:
        texts = by_length(encoder)
        by_text = torch.ones(encoder.layers, len(texts), encoder.heads, requires_grad=True)
        edit = Edit(context=lambda layer, some, context: context * by_text[layer, some, None, :, None])
        [of_heads] = torch.autograd.grad(pooled_norm(run(encoder, texts, edit=edit, gradients=True)), by_text)
        ones: dict[tuple[int, int], Tensor] = {}

        def weights(layer: int, some: slice, block: Block) -> Tensor:
            ones[layer, some.start] = torch.ones_like(block.weights, requires_grad=True)
            return block.weights * ones[layer, some.start]

        objective = pooled_norm(run(encoder, texts, edit=Edit(weights=weights), gradients=True))
        of_weights = torch.autograd.grad(objective, list(ones.values()))
        assert len(of_weights) == of_heads[..., 0].numel()
        for (layer, text), gradients in zip(ones, of_weights, strict=True):
            close(gradients[0].sum((1, 2)), of_heads[layer, text])
