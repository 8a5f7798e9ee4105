"""Finds how much each weight of attention did for a number that a model computes of one text."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnprobe.attention.blocks import Block, Observer
from attnprobe.attention.relevance import times_gradient
from attnprobe.errors import TextError
from attnprobe.models.editable import editable
from attnprobe.models.edits import Edit
from attnprobe.models.encoder import Encoder
from attnprobe.models.heads import LayerParts
from attnprobe.models.interface import Call
from attnprobe.models.origins import in_float64
from attnprobe.models.parts import visit_heads
from attnprobe.models.running import Output
from attnprobe.values.tokens import Tokens

MOST_BYTES = 2**33  # of what a gradient keeps
KEPT = 2  # numbers of each weight that a gradient keeps: the weight, and in some models once more

Visitor = Callable[[int, Float[Tensor, "head query key"]], None]


def visit_gradients(
    encoder: Encoder, tokens: Tokens, number: Callable[[Output], Tensor], visit: Visitor
) -> Bool[Tensor, " token"]:
    """Shows a ⊙ ∂F/∂a of each layer, (head, query, key), signed, in float64.

    The gradient is taken by the heads' contexts, in one run that keeps all layers' weights, as any gradient does. Where
    weights are hooked, contexts are found as for edits, and a second run gives weights and values.

    Args:
        number: F, a scalar of what the model gives for the text.
        visit: called with each layer and its numbers, ascending.

    Returns:
        which tokens F reads after the last layer.

    Raises:
        ModelError: the model's heads cannot be changed, or its weights not be separated from its values.
        TextError: the text is too long.
    """
    _check_size(encoder, tokens)
    encoder = editable(encoder)
    run = Kept(encoder)
    [output] = encoder.run([tokens], run.observe, on_call=run.keep_call, edit=Edit(context=run.keep), gradients=True)
    with torch.enable_grad():
        found = torch.autograd.grad(number(output), run.contexts, materialize_grads=True, allow_unused=True)
    gradients = [in_float64(gradient[0]) for gradient in found]

    def show(parts: LayerParts) -> None:
        visit(parts.layer, times_gradient(parts.weights, parts.values, gradients[parts.layer]))

    if encoder.tap:
        visit_heads(encoder, tokens, range(encoder.layers), show)
    else:
        for layer, gradient in enumerate(gradients):
            visit(layer, times_gradient(run.weights(layer, len(tokens)), run.values(layer), gradient))
    return (gradients[-1] != 0).any(2).any(1)


class Kept:
    """Keeps what a run for gradients computes of one text: weights, which the graph holds anyway, values, contexts."""

    def __init__(self, encoder: Encoder) -> None:
        self.heads, self.is_hooked = encoder.heads, encoder.tap is not None
        self.contexts: list[Tensor] = []
        self.calls: list[Call] = []
        self.blocks: list[list[Block]] = [[] for _ in range(encoder.layers)]

    def observe(self, layer: int, group: int) -> Observer | None:
        """Returns the observer of a layer's blocks; None where hooked weights come in a run of their own."""
        return None if self.is_hooked else self.blocks[layer].append

    def keep_call(self, call: Call) -> None:
        """Keeps the arguments of an attention."""
        self.calls.append(call)

    def keep(self, layer: int, texts: slice, context: Tensor) -> Tensor:
        """Keeps a layer's context, from which gradients start in the first layer."""
        self.contexts.append(context if context.requires_grad else context.detach().requires_grad_())
        return self.contexts[-1]

    def weights(self, layer: int, length: int) -> Float[Tensor, "head query key"]:
        """Joins the blocks of a layer."""
        whole = torch.zeros(self.heads, length, length, dtype=torch.float64)
        for block in self.blocks[layer]:
            whole[block.heads or slice(None), block.rows, block.keys] = in_float64(block.weights[0].detach())
        return whole

    def values(self, layer: int) -> Float[Tensor, "head key d_v"]:
        """Returns the values of each head, repeated where heads share them."""
        values = in_float64(self.calls[layer].value[0].detach())
        return values.repeat_interleave(self.heads // len(values), 0)


def _check_size(encoder: Encoder, tokens: Tokens) -> None:
    """Refuses a text whose gradient would fill the memory.

    Raises:
        TextError: the text is too long.
    """
    needed = KEPT * encoder.layers * encoder.heads * len(tokens) ** 2 * encoder.dtype.itemsize
    if needed > MOST_BYTES:
        raise TextError(
            f"a gradient keeps all weights of all layers: {needed / 2**30:.0f} GiB for {len(tokens)} tokens, more than"
            f" {MOST_BYTES / 2**30:.0f}",
            "--max-length N cuts the text",
        )
