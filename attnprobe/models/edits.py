"""What a caller may change in a model's attention while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import Block


@dataclass(frozen=True)
class Edit:
    """Changes each layer's attention during one run, and leaves nothing in the model.

    Observers are shown the weights that the model computes, before they are edited: an edited layer shows what it would
    have used, later layers what follows from the edit. Both functions are given the layer and which of the run's texts
    they are called for, counted as in :meth:`attnprobe.models.encoder.Encoder.observe`; neither writes into what it is
    given.

    Attributes:
        weights: (layer, texts, block) -> what the values are summed up with in place of ``block.weights``, in the same
            shape; or None, to leave them. Its texts are counted from the first of the run, those of the block from the
            first of its group.
        context: (layer, texts, context) -> what the output map is given in place of the context, which is each head's
            sum of values, (text, query, head, d_v), over valid positions.
    """

    weights: Callable[[int, slice, Block], Tensor | None] | None = None
    context: Callable[[int, slice, Float[Tensor, "text query head d_v"]], Tensor] | None = None

    def of_blocks(self, layer: int, first_text: int) -> Callable[[Block], Tensor | None] | None:
        """The edit of one layer's weights in blocks whose texts are counted from another first text."""
        weights = self.weights
        if weights is None:
            return None
        return lambda block: weights(layer, slice(block.texts.start + first_text, block.texts.stop + first_text), block)
