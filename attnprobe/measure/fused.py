"""Fused heads: one query × key matrix of weights per layer, for what follows attention through the layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from attnprobe.attention.blocks import Block, Observer, exact
from attnprobe.attention.rows import check_probabilities
from attnprobe.errors import ModelError
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows, NoSummary
from attnprobe.measure.running import measure
from attnprobe.models.encoder import Encoder
from attnprobe.values.attention import check_kept
from attnprobe.values.selection import Indices, as_ranges, select
from attnprobe.values.tokens import Tokens

# How the weights of a block's heads become one, and how that is joined with those of the blocks before.
FUSIONS: Mapping[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "mean": (torch.sum, torch.add),
    "max": (torch.amax, torch.maximum),
    "min": (torch.amin, torch.minimum),
}


@dataclass(frozen=True)
class Fused:
    """The weights of a text, one matrix per layer.

    Attributes:
        matrices: (layer, query, key) the mean over heads, or the largest or smallest weight of any.
        outside: (layer,) the mean share of attention, over these heads and all queries, on no token of the text.
    """

    matrices: np.ndarray
    outside: np.ndarray


@dataclass(frozen=True)
class FusedHeads(NoRows):
    """Fuses the heads of every layer while the model computes, and keeps no head's weights.

    Attributes:
        layers: the numbers of all layers.
        heads: the numbers of those that are fused, ascending.
        fusion: "mean", "max" or "min".
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    fusion: str = "mean"
    alone: bool = field(default=True, init=False)

    @classmethod
    def choose(cls, encoder: Encoder, heads: Indices = None, fusion: str = "mean") -> FusedHeads:
        """Chooses the heads that are fused; None: all.

        Raises:
            UsageError: a head is out of range.
        """
        return cls(tuple(range(encoder.layers)), tuple(select(heads, encoder.heads, "head")), fusion)

    @property
    def size(self) -> int:
        """The number of weights of a text of 128 tokens."""
        return len(self.layers) * 128 * 128

    def described(self) -> dict[str, Any]:
        """There are no settings but those of the signature."""
        return {}

    def signed(self) -> dict[str, object]:
        """The heads and their fusion."""
        return {"heads": as_ranges(self.heads), "fusion": self.fusion}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> FusedListener:
        """Makes a listener that fuses the heads of the one text."""
        [text] = texts
        check_kept(len(self.layers), "layers", len(text))
        return FusedListener(self, text, encoder)

    def empty(self, signature: str) -> NoSummary:
        """Makes an empty summary, since matrices of different texts do not add up."""
        return NoSummary(signature)


class FusedListener:
    """Fuses the heads of one text, block by block.

    Raises:
        ModelError: the rows of a layer are not probabilities, or not over tokens of the text.
    """

    starts = None

    def __init__(self, measurement: FusedHeads, text: Tokens, encoder: Encoder) -> None:
        self.measurement, self.encoder, self.length = measurement, encoder, len(text)
        shape = (len(measurement.layers), self.length, self.length)
        self.matrices = torch.zeros(shape, dtype=exact(encoder.dtype), device=encoder.device)
        self.outside = np.zeros(len(measurement.layers))

    def start_layer(self, layer: int) -> Observer:
        """Returns the observer of the layer's blocks."""
        return lambda block: self._fuse(layer, block)

    def _fuse(self, layer: int, block: Block) -> None:
        if block.pooled:
            raise ModelError(
                f"layer {layer} of {self.encoder.kind} attends to pools of several tokens, "
                "so that attention cannot be followed through it from token to token",
                "attnprobe models names the types that pool",
            )
        if not block.checked:
            check_probabilities(block.weights, self.encoder.dtype, layer, complete=block.complete)
        weights, first = self._chosen(block)
        if not len(weights):
            return
        fuse, join = FUSIONS[self.measurement.fusion]
        fused = pad(fuse(weights, 0), (block.keys.start, self.length - block.keys.stop))
        kept = self.matrices[layer, block.rows]
        kept.copy_(fused) if first else join(kept, fused, out=kept)
        if not block.complete:
            self.outside[layer] += float((1 - weights.sum(-1, dtype=torch.float64)).sum())

    def _chosen(self, block: Block) -> tuple[Float[Tensor, "chosen query key"], bool]:
        """Returns the weights of the chosen heads in a block, and whether the first of all is among them."""
        heads = self.measurement.heads
        present = range(*(block.heads or slice(None)).indices(self.encoder.heads))
        chosen = [head - present.start for head in heads if head in present]
        weights = block.weights[0]
        return weights if len(chosen) == len(weights) else weights[chosen], heads[0] in present

    def finish(self) -> Found:
        """Returns the matrices."""
        count = len(self.measurement.heads)
        if self.measurement.fusion == "mean":
            self.matrices /= count
        return Found([Fused(self.matrices.cpu().numpy(), self.outside / (count * self.length))])


def fuse_heads(text: Tokens, encoder: Encoder, measurement: FusedHeads) -> Fused:
    """Measures one text, block after block: heads that came in any order would not add up to the same digits."""
    one_by_one = replace(encoder.for_length(len(text)), spread=False)
    fused: Fused = measure([text], one_by_one, measurement).texts[0]
    return fused
