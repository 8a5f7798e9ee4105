"""Sums by token: what each token receives, what the classification token gives it, and how wide its own row is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnprobe.attention.blocks import Block, Observer, sums_in
from attnprobe.attention.memory import Memory
from attnprobe.attention.rows import check_probabilities, entropies, merge_pieces, refuse_pools, word_starts
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows, NoSummary
from attnprobe.models.encoder import Encoder
from attnprobe.values.tokens import Role, Tokens


@dataclass(frozen=True)
class TokenSums:
    """The sums of one text's weights, by head and token; words at level "word".

    Attributes:
        received: (layer, head, key) the mean weight over the chosen queries; NaN if none is chosen.
        from_cls: (layer, head, key) the weight that classification tokens give, on average; NaN if there is none.
        entropy: (layer, head, query) of each row in nats.
        complete: whether all rows sum to 1.
    """

    received: np.ndarray
    from_cls: np.ndarray
    entropy: np.ndarray
    complete: bool


@dataclass(frozen=True)
class ByToken(NoRows):
    """Measures sums by token, for ``tokens``.

    Attributes:
        layers, heads: the numbers of those measured, ascending.
        queries: "all" or "content", see :class:`attnprobe.values.options.Averaging`.
        level: "token" or "word", see :class:`attnprobe.values.options.Reading`.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    queries: str = "all"
    level: str = "token"
    alone: bool = field(default=True, init=False)

    @property
    def size(self) -> int:
        """The sums of a text of 128 tokens."""
        return 3 * len(self.layers) * len(self.heads) * 128

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"layers": self.layers, "heads": self.heads}

    def signed(self) -> dict[str, object]:
        """The queries that means are taken over."""
        return {"queries": self.queries}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> TokenListener:
        """Makes a listener that adds up the weights of the one text and keeps none of them."""
        [text] = texts
        return TokenListener(self, text, encoder)

    def empty(self, signature: str) -> NoSummary:
        """Makes an empty summary, since tokens of different texts do not add up."""
        return NoSummary(signature)


class TokenListener:
    """Adds up the weights of one text, each head apart, so that no sum depends on the number of threads.

    Raises:
        ModelError: a layer attends to pools of tokens.
        TextError: the rows of a layer are not probabilities.
    """

    def __init__(self, measurement: ByToken, text: Tokens, encoder: Encoder) -> None:
        self.measurement, self.encoder = measurement, encoder
        by_word = measurement.level == "word"
        self.words = torch.tensor(text.words, device=encoder.device) if by_word else None
        units = text.by_word() if by_word else text
        roles = np.array(units.roles)
        self.asking = {"received": (roles == Role.CONTENT) | (measurement.queries == "all")}
        self.asking["from_cls"] = roles == Role.CLS
        shape = (len(measurement.layers), encoder.heads, len(units))
        self.sums = {name: np.zeros(shape) for name in ("received", "from_cls", "entropy")}
        self.complete, self.memory = True, Memory(torch.empty(0, device=encoder.device))

    @property
    def starts(self) -> list[int] | None:
        """The first piece of each word, or any row."""
        return None if self.words is None else word_starts(self.words)

    def start_layer(self, layer: int) -> Observer:
        """Returns the observer of the layer's blocks."""
        return lambda block: self._add(layer, block)

    def _add(self, layer: int, block: Block) -> None:
        refuse_pools(block, layer)
        check_probabilities(block.weights, self.encoder.dtype, layer, complete=block.complete)
        if self.words is not None:
            block = merge_pieces(block, self.words)
        at, heads = self.measurement.layers.index(layer), block.heads or slice(None)
        for name, asking in self.asking.items():
            self.sums[name][at, heads, block.keys] += _sum_rows(block.weights[0], asking[block.rows])
        entropy = entropies(block.weights, self.memory) if block.entropy is None else block.entropy
        self.sums["entropy"][at, heads, block.rows] = entropy[0].cpu().numpy()
        self.complete &= block.complete

    def finish(self) -> Found:
        """Returns the sums, divided by the number of queries."""
        chosen = {name: sums[:, list(self.measurement.heads)] for name, sums in self.sums.items()}
        for name, asking in self.asking.items():
            chosen[name] = chosen[name] / asking.sum() if asking.any() else np.full_like(chosen[name], np.nan)
        return Found([TokenSums(**chosen, complete=self.complete)])


def _sum_rows(weights: Tensor, asking: np.ndarray) -> np.ndarray:
    """Adds up the rows of the queries that ask: (head, query, key) -> (head, key)."""
    rows = weights if asking.all() else weights[:, np.flatnonzero(asking).tolist()]
    sums: np.ndarray = rows.sum(1, dtype=sums_in(weights.device)).cpu().numpy()
    return sums
