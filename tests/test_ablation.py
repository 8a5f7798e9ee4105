"""Heads that are off, one at a time: what runs from a layer on give is what whole runs of plain models give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attnprobe import Encoder
from attnprobe.analyses.effects import cosine_change, effects
from attnprobe.models.from_layer import OneOff
from attnprobe.models.layers import find_layers
from attnprobe.models.running import Output
from attnprobe.values.switches import Off
from attnprobe.values.tokens import Role, Tokens
from tests.exact import EXACT, float64
from tests.plain import Plain

TEXT, OTHER = "the old keeper counted seven gulls", "the old gulls counted seven keeper"  # of one length
# Of plain models: the output map of each layer; ALBERT's is one for all, called again by each layer.
OUTPUT_MAPS = {
    "bert": "encoder.layer.{}.attention.output.dense",
    "distilbert": "transformer.layer.{}.attention.out_lin",
    "modernbert": "layers.{}.attn.Wo",  # norms before, local layers
    "eurobert": "layers.{}.self_attn.o_proj",  # RMSNorm, grouped queries
    "gemma2": "layers.{}.self_attn.o_proj",  # norms before and after, soft cap
    "t5": "encoder.block.{}.layer.0.SelfAttention.o",  # a bias that is handed from layer to layer
    "albert": "encoder.albert_layer_groups.0.albert_layers.0.attention.dense",  # one layer, called three times
    "bart": "layers.{}.self_attn.out_proj",
    "mpnet": "encoder.layer.{}.attention.attn.o",  # hooked, as are the next ones
    "convbert": "encoder.layer.{}.attention.output.dense",  # beside heads, its output map reads convolutions
    "longformer": "encoder.layer.{}.attention.output.dense",  # padded to its window
    "xlm": "attentions.{}.out_lin",  # no module is a layer
    "mixtral": "layers.{}.self_attn.o_proj",  # experts take no copies
    "xmod": "encoder.layer.{}.attention.output.dense",  # nor do adapters of languages, one for each text
}
WHOLE = ("xlm", "mixtral", "xmod")


@contextmanager
def without_columns(plain: Plain, layer: int, columns: slice) -> Iterator[None]:
    """Lets a plain model's output map read 0 in these columns, when the layer calls it."""
    name, calls = OUTPUT_MAPS[plain.family], iter(range(100))

    def change(module: torch.nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given = arguments[0].clone()
        if "{}" in name or next(calls) == layer:
            given[..., columns] = 0
        return given, *arguments[1:]

    handle = plain.model.get_submodule(name.format(layer)).register_forward_pre_hook(change)
    try:
        yield
    finally:
        handle.remove()


def hidden_of(plain: Plain, text: str) -> Tensor:
    with torch.no_grad():
        hidden: Tensor = plain.model(**plain.inputs(plain.encode([text])))[0][0]
    return hidden


def states(outputs: Sequence[Output]) -> Tensor:
    return torch.stack([output.hidden for output in outputs])


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=EXACT, atol=EXACT * float(expected.abs().max()))


@pytest.mark.numeric
@pytest.mark.parametrize("family", OUTPUT_MAPS)
def test_head_that_is_off_is_a_plain_model_without_its_columns(
    family: str, exact_of: Callable[[str], Encoder], plain_of: Callable[[str], Plain]
) -> None:
    """Of two texts in a batch, in each layer, for the first and the last head."""
    plain, encoder = plain_of(family), exact_of(family)
    with float64():
        layers = find_layers(encoder)
        assert bool(layers.modules) == (family not in WHOLE), layers.reason
        texts = [encoder.tokenize(text)[0] for text in (TEXT, OTHER)]
        assert len(texts[0]) == len(texts[1])
        runs = OneOff(replace(encoder, outlets=layers.outlets), texts, "zero", layers)
        close(states(runs.outputs)[0], hidden_of(plain, TEXT))
        heads, d_v = [0, encoder.heads - 1], encoder.model.config.to_dict().get("head_dim") or 32 // 4
        for layer in range(encoder.layers):
            copies = runs.without(layer, heads)
            for copy, head in zip(copies, heads, strict=True):
                with without_columns(plain, layer, slice(head * d_v, (head + 1) * d_v)):
                    close(copy[0].hidden, hidden_of(plain, TEXT))
            assert not torch.equal(copies[0][0].hidden, copies[0][1].hidden)


@pytest.mark.numeric
@pytest.mark.parametrize("how", ["zero", "mean", "uniform"])
@pytest.mark.parametrize("family", ["modernbert", "eurobert", "t5"])
def test_going_on_from_a_layer_is_a_whole_run(family: str, how: str, exact_of: Callable[[str], Encoder]) -> None:
    """Of all heads of a batch, also with a head off that stays so."""
    encoder = exact_of(family)
    with float64():
        layers = find_layers(encoder)
        off = replace(encoder, off=Off(mean=frozenset([(0, 1), (1, 2)])))
        texts = [encoder.tokenize(text)[0] for text in (TEXT, OTHER)]
        for one in (encoder, off):
            runs, whole = (OneOff(one, texts, how, some) for some in (layers, replace(layers, modules=())))
            for layer, heads in product(range(encoder.layers), ([0, 2], [3])):
                for copy, expected in zip(runs.without(layer, heads), whole.without(layer, heads), strict=True):
                    close(states(copy), states(expected))


class GivenUpError(Exception):
    """Ends a run in the middle."""


@pytest.mark.parametrize("family", ["bert", "albert", "mpnet"])
def test_runs_without_heads_leave_nothing_behind(family: str, encoder_of: Callable[[str], Encoder]) -> None:
    """Also not those that fail: the runs after are equal to the last bit."""
    encoder = encoder_of(family)
    layers = find_layers(encoder)
    encoder = replace(encoder, outlets=layers.outlets)
    texts = [encoder.tokenize(text)[0] for text in (TEXT, OTHER)]

    def fail(module: torch.nn.Module, arguments: Any) -> None:
        raise GivenUpError

    plain = states(encoder.run(texts, nobody))
    runs = OneOff(encoder, texts, "mean", layers)
    before = states(runs.without(1, [0])[0])
    handle = encoder.model.get_submodule(layers.outlets[2].module).register_forward_pre_hook(fail)
    with pytest.raises(GivenUpError):
        runs.without(1, [0])
    handle.remove()
    assert not any("forward" in vars(module) for module in encoder.model.modules())
    assert torch.equal(states(encoder.run(texts, nobody)), plain)
    assert torch.equal(states(runs.without(1, [0])[0]), before)
    assert not torch.equal(before, plain)


def nobody(layer: int, group: int) -> None:
    """Observes nothing."""


# Effects


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def test_effects_are_those_of_plain_loops() -> None:
    """Of two changes of two texts, whose [CLS] stands elsewhere in the second, and that has none in the third."""
    random = np.random.default_rng(0)
    hidden, logits = random.normal(size=(3, 3, 5, 4)), random.normal(size=(3, 3, 2))
    copies = [
        [Output(torch.tensor(state), torch.tensor(label)) for state, label in zip(*of_copy, strict=True)]
        for of_copy in zip(hidden, logits, strict=True)
    ]
    texts = [with_cls(at) for at in (0, 3, None)]
    found = effects(copies[1:], copies[0], texts, "single").numpy()
    for copy, text in product((1, 2), range(3)):
        now, then = hidden[copy, text], hidden[0, text]
        by_token = [1 - cosine(a, b) for a, b in zip(now, then, strict=True)]
        at = (0, 3, None)[text]
        expected = [
            np.mean(by_token),
            np.nan if at is None else by_token[at],
            1 - cosine(now.mean(0), then.mean(0)),
            np.sqrt(np.square(logits[copy, text] - logits[0, text]).sum()),
            float(logits[copy, text].argmax() != logits[0, text].argmax()),
        ]
        np.testing.assert_allclose(found[copy - 1, text], expected, rtol=1e-12)


def test_small_changes_do_not_cancel_out() -> None:
    """1 − cos of an angle of 1e-9 is 5e-19, which no difference from 1 shows."""
    vectors = torch.tensor([[1.0, 0.0], [1.0, 1e-9]], dtype=torch.float64)
    assert float(cosine_change(vectors[1], vectors[0])) == pytest.approx(5e-19, rel=1e-6)
    assert float(cosine_change(torch.zeros(2), vectors[0])) != float(cosine_change(torch.zeros(2), vectors[0]))


def with_cls(at: int | None) -> Tokens:
    roles = [Role.CLS if place == at else Role.CONTENT for place in range(5)]
    return Tokens(["a"] * 5, ["a"] * 5, roles, [1] * 5)
