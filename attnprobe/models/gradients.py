"""Finds how much each weight of attention did for a number that a model computes of one text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnprobe.attention.blocks import Block, Observer
from attnprobe.attention.relevance import times_gradient
from attnprobe.errors import ModelError, TextError
from attnprobe.models.edits import Edit
from attnprobe.models.encoder import Encoder
from attnprobe.models.interface import Call
from attnprobe.models.layouts import LAYOUTS
from attnprobe.models.recorder import in_float64
from attnprobe.models.running import Output
from attnprobe.values.tokens import Tokens

MOST_BYTES = 2**33  # of what a gradient keeps
KEPT = 2  # numbers of each weight that a gradient keeps: the weight, and in some models once more

Visitor = Callable[[int, Float[Tensor, "head query key"]], None]


def visit_gradients(
    encoder: Encoder, tokens: Tokens, number: Callable[[Output], Tensor], visit: Visitor
) -> Bool[Tensor, " token"]:
    """Shows a ⊙ ∂F/∂a of each layer, (head, query, key), signed, in float64.

    One run keeps all layers' weights, as any gradient does. Through blocks, the gradient is taken by the heads'
    contexts; where weights are hooked, by the weights that modules return.

    Args:
        number: F, a scalar of what the model gives for the text.
        visit: called with each layer and its numbers, ascending.

    Returns:
        which tokens F reads after the last layer.

    Raises:
        ModelError: the weights that the model returns are not those that it computes with.
        TextError: the text is too long.
    """
    _check_size(encoder, tokens)
    kept: OfBlocks | OfReturned = OfReturned(encoder) if encoder.tap else OfBlocks(encoder, len(tokens))
    with kept.listening() as options:
        [output] = encoder.run([tokens], kept.observe, gradients=True, **options)
        with torch.enable_grad():
            gradients = torch.autograd.grad(number(output), kept.sources, allow_unused=True)
    reads = torch.zeros(len(tokens), dtype=torch.bool)
    for layer, gradient in enumerate(gradients):
        weighted = kept.weighted(layer, gradient)
        weighted[[head for at, head in (encoder.off.uniform if encoder.off else ()) if at == layer]] = 0  # not used
        visit(layer, weighted)
        reads = (weighted != 0).any(2).any(0)
    return reads


class OfBlocks:
    """Keeps what a run through blocks computes: weights, which the graph holds anyway, values, contexts.

    Attributes:
        sources: the contexts, (1, query, head, d_v) of each layer, by which the gradient is taken.
    """

    def __init__(self, encoder: Encoder, length: int) -> None:
        self.heads, self.length = encoder.heads, length
        self.sources: list[Tensor] = []
        self.calls: list[Call] = []
        self.blocks: list[list[Block]] = [[] for _ in range(encoder.layers)]

    @contextmanager
    def listening(self) -> Iterator[dict[str, Any]]:
        """Yields the further arguments of the run."""
        yield {"on_call": self.calls.append, "edit": Edit(context=self._keep)}

    def observe(self, layer: int, group: int) -> Observer:
        """Returns the observer of a layer's blocks."""
        return self.blocks[layer].append

    def _keep(self, layer: int, texts: slice, context: Tensor) -> Tensor:
        self.sources.append(context if context.requires_grad else context.detach().requires_grad_())
        return self.sources[-1]

    def weighted(self, layer: int, gradient: Tensor | None) -> Float[Tensor, "head query key"]:
        """Computes a ⊙ ∂F/∂a of a layer from the gradient by its contexts."""
        weights = torch.zeros(self.heads, self.length, self.length, dtype=torch.float64)
        if gradient is None:  # F does not depend on the layer
            return weights
        for block in self.blocks[layer]:
            weights[block.heads or slice(None), block.rows, block.keys] = in_float64(block.weights[0].detach())
        values = in_float64(self.calls[layer].value[0].detach())  # of heads that share them, once
        return times_gradient(weights, values.repeat_interleave(self.heads // len(values), 0), in_float64(gradient[0]))


class OfReturned:
    """Keeps the weights that hooked modules return, which are part of the graph; it starts at the embeddings.

    Attributes:
        sources: the weights as each layer returns them, by which the gradient is taken.
    """

    def __init__(self, encoder: Encoder) -> None:
        if encoder.tap and encoder.tap.layout is not LAYOUTS["square"]:
            self._refuse(encoder, f"their layout is another ({encoder.tap_reason})")
        self.encoder = encoder
        self.sources: list[Tensor] = []
        self.axes: list[tuple[int, ...]] = []

    @contextmanager
    def listening(self) -> Iterator[dict[str, Any]]:
        """Lets the graph start at the embeddings, and yields the further arguments of the run."""
        handle = self.encoder.model.get_input_embeddings().register_forward_hook(
            lambda module, arguments, output: output.detach().requires_grad_().clone()
        )
        try:
            yield {"on_returned": self._keep}
        finally:
            handle.remove()

    def observe(self, layer: int, group: int) -> None:
        """Observes no blocks."""

    def _keep(self, layer: int, weights: Tensor, axes: tuple[int, ...]) -> None:
        self.sources.append(weights)
        self.axes.append(axes)

    def weighted(self, layer: int, gradient: Tensor | None) -> Float[Tensor, "head query key"]:
        """Computes a ⊙ ∂F/∂a of a layer."""
        if gradient is None:
            self._refuse(self.encoder, "the model computes with others")
        return in_float64((self.sources[layer].detach() * gradient).permute(self.axes[layer])[0])

    @staticmethod
    def _refuse(encoder: Encoder, why: str) -> NoReturn:
        raise ModelError(
            f"no gradients of the weights that {encoder.kind} returns: {why}",
            "attnprobe models lists the types that are measured through blocks",
        )


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
