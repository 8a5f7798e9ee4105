"""Finds the layers from which an encoder can go on, by short runs that are compared with whole ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.rounding import rounding, terms
from attnprobe.errors import AttnprobeError, ModelError
from attnprobe.models.editable import editable
from attnprobe.models.encoder import Encoder
from attnprobe.models.from_layer import OneOff
from attnprobe.models.heads import LayerParts
from attnprobe.models.outlets import Outlet
from attnprobe.models.parts import visit_layers
from attnprobe.models.passing import Layers, layer_modules
from attnprobe.models.selfcheck import SAMPLE, SHORT
from attnprobe.values.tokens import Tokens


def find_layers(encoder: Encoder) -> Layers:
    """Finds an encoder's layers; if runs from a layer give other numbers than whole runs, the reason.

    Raises:
        ModelError: weights are hooked, and heads cannot be changed.
    """
    encoder = editable(replace(encoder, off=None))
    tokens = encoder.tokenize(SAMPLE, max_length=min(SHORT, encoder.max_length or SHORT))[0]
    try:
        layers = Layers(encoder.outlets or _outlets(encoder, tokens), layer_modules(encoder, tokens))
        _check(encoder, layers, [tokens] * 3)
    except ModelError as error:
        return Layers(encoder.outlets, reason=str(error))
    return layers


def _outlets(encoder: Encoder, tokens: Tokens) -> tuple[Outlet, ...]:
    """Finds the output maps of a model whose attention is computed in blocks."""
    outlets: list[Outlet] = []
    names = {id(module): name for name, module in encoder.model.named_modules()}

    def keep(parts: LayerParts) -> None:
        assert parts.output is not None
        outlets.append(Outlet(names[id(parts.output.module)], encoder.heads, parts.values.shape[2]))

    visit_layers(encoder, tokens, range(encoder.layers), keep)
    return tuple(outlets)


def _check(encoder: Encoder, layers: Layers, texts: Sequence[Tokens]) -> None:
    """Compares runs without the first and the last head of each layer with whole runs.

    Raises:
        ModelError: a layer does not run alone, or they differ by more than rounding.
    """
    heads = sorted({0, encoder.heads - 1})
    try:
        part, whole = (OneOff(encoder, texts, "zero", some) for some in (layers, replace(layers, modules=())))
        pairs = [(_hidden(part, layer, heads), _hidden(whole, layer, heads)) for layer in range(encoder.layers)]
    except (AttnprobeError, RuntimeError, TypeError, LookupError, AttributeError) as error:
        raise ModelError("a layer does not run alone") from error
    for layer, (found, expected) in enumerate(pairs):
        width = terms(encoder.layers, expected.shape[-1], len(texts[0]))
        difference = float((found - expected).abs().max())
        if not difference <= rounding(encoder.dtype, width, float(expected.abs().max())):
            raise ModelError(f"a run from layer {layer} differs from a whole run by {difference:.1e}")


def _hidden(runs: OneOff, layer: int, heads: Sequence[int]) -> Float[Tensor, "text *token d_model"]:
    """Joins the hidden states of all texts without each of the heads."""
    return torch.stack([output.hidden for copy in runs.without(layer, heads) for output in copy])
