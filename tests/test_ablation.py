"""Heads that are off, one at a time: what runs from a layer on give is what whole runs of plain models give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attnprobe import Encoder
from attnprobe.models.from_layer import OneOff
from attnprobe.models.layers import find_layers
from attnprobe.models.running import Output
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
}
WHOLE = ("xlm", "mixtral")


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
