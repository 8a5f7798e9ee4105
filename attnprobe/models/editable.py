"""Makes the heads of an encoder editable."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from attnprobe.attention.rounding import rounding, terms
from attnprobe.errors import ModelError
from attnprobe.models.edits import Edit
from attnprobe.models.encoder import Encoder
from attnprobe.models.heads import LayerParts
from attnprobe.models.origins import close
from attnprobe.models.outlets import Outlet
from attnprobe.models.parts import visit_layers
from attnprobe.models.recorder import in_float64
from attnprobe.models.selfcheck import SAMPLE
from attnprobe.values.tokens import Tokens


def editable(encoder: Encoder) -> Encoder:
    """Adds the output maps of hooked layers to an encoder, so that contexts can be changed there.

    A short run finds them, and a second one checks their inputs against the heads' weights and values.

    Raises:
        ModelError: the output maps are not found, so that the model's heads cannot be changed.
    """
    if encoder.tap is None:
        return encoder
    tokens = encoder.tokenize(SAMPLE)[0]
    try:
        return _with_outlets(encoder, tokens)
    except ModelError as error:
        raise ModelError(
            f"heads of {encoder.kind} cannot be changed: {error}",
            "attnprobe models lists the types that are measured through blocks, where they can",
        ) from error


def _with_outlets(encoder: Encoder, tokens: Tokens) -> Encoder:
    names = {id(module): name for name, module in encoder.model.named_modules()}
    outlets: list[Outlet] = []
    expected: list[Tensor] = []

    def keep(parts: LayerParts) -> None:
        assert parts.output is not None
        outlets.append(Outlet(names[id(parts.output.module)], encoder.heads, parts.values.shape[2]))
        expected.append((parts.weights @ parts.values).transpose(0, 1).flatten(1))

    def check(layer: int, texts: slice, context: Tensor) -> Tensor:
        tolerance = rounding(encoder.dtype, terms(1, context[0, 0].numel(), len(tokens)))
        if not close(in_float64(context[0].flatten(1)), expected[layer], tolerance):
            raise ModelError(f"layer {layer}: its output map is given something else than its heads' outputs")
        return context

    visit_layers(encoder, tokens, range(encoder.layers), keep)
    found = replace(encoder, outlets=tuple(outlets))
    found.observe([tokens], lambda layer, group: None, edit=Edit(context=check))
    return found
