"""Keeps the weights of some heads in short texts, and of a long text those between the tokens of a stretch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from attnprobe.attention.blocks import Block, Observer
from attnprobe.attention.rows import check_probabilities, refuse_pools
from attnprobe.measure.kinds import Found, Measured
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.reading import read_text
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.tokens import Tokens

Head = tuple[int, int]  # layer and head
DECIMALS = 4  # to which stretches are compared: of equal ones the first is kept


@dataclass(frozen=True)
class Stretch:
    """The weights of one head between consecutive tokens.

    Attributes:
        start: the position of the first token.
        weights: (query, key) of the tokens.
    """

    start: int
    weights: Float[np.ndarray, "query key"]


@dataclass(frozen=True)
class Text:
    """A text with what was kept of it.

    Attributes:
        tokens: those that the model read.
        stretches: by layer and head.
    """

    id: str
    tokens: Tokens
    stretches: Mapping[Head, Stretch]


@dataclass(frozen=True)
class Stretches(NoRows):
    """Keeps the weights of some heads, other ones of each text.

    A text of more than ``most`` tokens is kept in part: for each head the stretch that hides least, whose queries have
    most of their weight on keys within.

    Attributes:
        layers: of all heads that are kept, ascending.
        reading: how texts are read.
        wanted: the heads that are kept, by the number of the text.
        most: how many tokens a stretch has.
    """

    layers: tuple[int, ...]
    reading: Reading
    wanted: tuple[tuple[Head, ...], ...]
    most: int
    alone = False

    @classmethod
    def of(cls, wanted: Sequence[Sequence[Head]], reading: Reading, most: int) -> Stretches:
        """Makes the measurement that keeps these heads."""
        layers = {layer for heads in wanted for layer, _ in heads}
        return cls(tuple(sorted(layers)), reading, tuple(map(tuple, wanted)), most)

    @property
    def size(self) -> int:
        """The number of weights of a text, about."""
        heads = sum(map(len, self.wanted))
        return self.most**2 * -(-heads // max(1, len(self.wanted)))

    def described(self) -> dict[str, Any]:
        """The heads."""
        return {"wanted": self.wanted}

    def signed(self) -> dict[str, object]:
        """Nothing: weights depend only on the model and the reading."""
        return {}

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a text, and says which heads are kept of it."""
        labels = {"heads": self.wanted[record.number]}
        return [replace(window, labels=labels) for window in read_text(record, encoder, reading)]

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> StretchListener:
        """Makes a listener that keeps weights near the diagonal."""
        return StretchListener(self, texts, encoder)

    def empty(self, signature: str) -> KeptTexts:
        """Nothing of no text."""
        return KeptTexts()


class StretchListener:
    """Keeps of some texts of one length the weights that could be in one stretch.

    Raises:
        ModelError: a layer attends to pools of tokens.
        TextError: rows are not probabilities.
    """

    starts = None

    def __init__(self, measurement: Stretches, texts: Sequence[Tokens], encoder: Encoder) -> None:
        self.encoder, self.reach = encoder, measurement.most - 1
        self.bands = [
            {head: np.zeros((len(text), 2 * self.reach + 1)) for head in text.labels["heads"]} for text in texts
        ]

    def start_layer(self, layer: int) -> Observer:
        """Returns the observer of the layer's blocks."""
        return lambda block: self._keep(layer, block)

    def _keep(self, layer: int, block: Block) -> None:
        refuse_pools(block, layer)
        check_probabilities(block.weights, self.encoder.dtype, layer, complete=block.complete)
        heads = range(*(block.heads or slice(None)).indices(self.encoder.heads))
        for weights, bands in zip(block.weights, self.bands[block.texts], strict=True):
            for (of, head), band in bands.items():
                if of == layer and head in heads:
                    self._keep_near(band, weights[head - heads.start], block.rows.start, block.keys.start)

    def _keep_near(self, band: np.ndarray, weights: torch.Tensor, row: int, key: int) -> None:
        """Keeps the weights of some rows, of which the first is ``row``, over keys of which the first is ``key``."""
        first = max(key, row - self.reach)
        near = weights[:, first - key : max(first, row + len(weights) + self.reach) - key].cpu().numpy()
        queries = row + np.arange(len(near))[:, np.newaxis]
        offsets = first + np.arange(near.shape[1]) - queries
        inside = abs(offsets) <= self.reach
        band[np.broadcast_to(queries, offsets.shape)[inside], offsets[inside] + self.reach] = near[inside]

    def finish(self) -> Found:
        """Returns the stretch of each head, by text."""
        return Found([{head: stretch_of(band) for head, band in bands.items()} for bands in self.bands])


def stretch_of(band: Float[np.ndarray, "query offset"]) -> Stretch:
    """Cuts the stretch that hides least out of the weights near the diagonal; of equal ones the first.

    Args:
        band: offsets from −(most − 1) to most − 1, for stretches of ``most`` tokens.
    """
    reach = band.shape[1] // 2
    size = min(len(band), reach + 1)
    starts = np.arange(len(band) - size + 1)
    sums = np.concatenate([np.zeros((1, band.shape[1])), band.cumsum(0)])
    inside = np.zeros(len(starts))
    for offset in range(1 - size, size):
        first, end = starts + max(0, -offset), starts + size - max(0, offset)
        inside += sums[end, offset + reach] - sums[first, offset + reach]
    start = int(inside.round(DECIMALS).argmax())
    queries, keys = np.arange(size)[:, np.newaxis], np.arange(size)
    return Stretch(start, band[start + queries, keys - queries + reach])


@dataclass(frozen=True)
class KeptTexts:
    """What is kept of some texts, by the number of each."""

    texts: Mapping[int, Text] = field(default_factory=dict)

    def of_texts(self, texts: Sequence[Measured], together: Any) -> KeptTexts:
        """Gathers these texts."""
        return KeptTexts({text.number: Text(text.id, text.windows[0], text.found) for text in texts})

    def __add__(self, other: KeptTexts) -> KeptTexts:
        return KeptTexts({**self.texts, **other.texts})
