"""The changes that a caller may make to a model's attention while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import Block

OfWeights = Callable[[int, slice, Block], Tensor | None]
OfContext = Callable[[int, slice, Float[Tensor, "text query head d_v"]], Tensor]


@dataclass(frozen=True)
class Edit:
    """Changes each layer's attention during one run, and leaves nothing in the model.

    Observers are shown the weights that the model computes, before they are edited: an edited layer shows the weights
    that it would have used, later layers show the effect of the edit. Both functions get the layer and the slice of the
    run's texts, counted as in :meth:`attnprobe.models.encoder.Encoder.observe`; they must not change their arguments.

    Attributes:
        weights: (layer, texts, block) -> the weights that replace ``block.weights`` when values are summed up, in the
            same shape; or None, to keep them. Texts are counted from the first of the run, those of the block from the
            first of the group.
        context: (layer, texts, context) -> the input of the output map that replaces the context, which is each head's
            sum of values, (text, query, head, d_v), over valid positions.
    """

    weights: OfWeights | None = None
    context: OfContext | None = None

    def of_blocks(self, layer: int, first_text: int) -> Callable[[Block], Tensor | None] | None:
        """Makes the edit of one layer's weights, in blocks whose texts are counted from another first text."""
        weights = self.weights
        if weights is None:
            return None
        return lambda block: weights(layer, slice(block.texts.start + first_text, block.texts.stop + first_text), block)


def in_turn(first: Edit | None, second: Edit | None) -> Edit | None:
    """Makes one edit of two, of which the second changes what the first made."""
    if first is None or second is None:
        return first or second
    return Edit(_weights_in_turn(first.weights, second.weights), _contexts_in_turn(first.context, second.context))


def _weights_in_turn(first: OfWeights | None, second: OfWeights | None) -> OfWeights | None:
    if first is None or second is None:
        return first or second

    def weights(layer: int, texts: slice, block: Block) -> Tensor | None:
        made = first(layer, texts, block)
        again = second(layer, texts, block if made is None else replace(block, weights=made))
        return made if again is None else again

    return weights


def _contexts_in_turn(first: OfContext | None, second: OfContext | None) -> OfContext | None:
    if first is None or second is None:
        return first or second
    return lambda layer, texts, context: second(layer, texts, first(layer, texts, context))
