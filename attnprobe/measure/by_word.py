"""Weights between the words of texts, whatever words are: each layer's blocks, summed over pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import Block, Observer
from attnprobe.attention.rows import check_probabilities, refuse_pools
from attnprobe.attention.words import between_words
from attnprobe.errors import ModelError
from attnprobe.models.encoder import Encoder
from attnprobe.values.words import Words


@dataclass(frozen=True)
class WordRows:
    """Some rows of one layer's weights between words.

    Attributes:
        texts: which of the texts, by index.
        heads: which heads.
        rows: the words that ask, by number; all words of several texts.
        weights: (text, head, query word, key word), summed over the key's pieces and averaged over the query's. Tokens
            of no word are left out, and nothing is renormalised, so that rows sum to less than 1. What a shorter text
            of the batch does not have is 0, and so are the row and the column of a word that owns no token.
    """

    layer: int
    texts: slice
    heads: slice
    rows: slice
    weights: Float[Tensor, "text head query_word key_word"]


class WordListener:
    """Receives weights between the words of some texts of one length; a listener's base.

    Words differ from text to text. Short texts come whole, several at a time; a long one comes in blocks of rows.

    Args:
        words: of each text.
        layers: whose weights are received.

    Raises:
        ModelError: a layer attends to pools of tokens.
        TextError: rows are not probabilities.
    """

    def __init__(self, words: Sequence[Words], encoder: Encoder, layers: Sequence[int]) -> None:
        self.words, self.encoder, self.layers = words, encoder, layers
        self.count = max(map(len, words))
        self.owner = torch.tensor([each.owner for each in words], device=encoder.device)

    @property
    def starts(self) -> list[int]:
        """The rows where a word begins in every text."""
        return sorted(set.intersection(*(_starts(each.owner) for each in self.words)))

    def start_layer(self, layer: int) -> Observer | None:
        """Returns the observer of the layer's blocks."""
        return (lambda block: self._observe(layer, block)) if layer in self.layers else None

    def _observe(self, layer: int, block: Block) -> None:
        refuse_pools(block, layer)
        check_probabilities(block.weights, self.encoder.dtype, layer, complete=block.complete)
        rows, owner = self._words_in(block), self.owner[block.texts]
        if rows.start < rows.stop:
            asking = owner[:, block.rows] - rows.start
            weights = between_words(block.weights, asking, owner[:, block.keys], rows.stop - rows.start, self.count)
            heads = slice(*(block.heads or slice(None)).indices(self.encoder.heads)[:2])
            self.receive(WordRows(layer, block.texts, heads, rows, weights))

    def _words_in(self, block: Block) -> slice:
        """Finds the words whose pieces the rows are: all, unless the block is a part of one text."""
        if block.rows == slice(0, self.owner.shape[1]):
            return slice(0, self.count)
        owner = self.words[block.texts.start].owner
        before, through = ((max(owner[:at], default=-1) + 1) for at in (block.rows.start, block.rows.stop))
        return slice(before, self.count if block.rows.stop == len(owner) else through)

    def receive(self, rows: WordRows) -> None:
        """Measures some rows; those of one text and head come in order, heads perhaps in several threads."""
        raise NotImplementedError


class MapListener(WordListener):
    """Receives whole maps, of all heads of a layer: of many short texts, or of one long one; a listener's base.

    The maps of a long text are dropped before those of the next are gathered.
    """

    def __init__(self, words: Sequence[Words], encoder: Encoder, layers: Sequence[int]) -> None:
        super().__init__(words, encoder, layers)
        self.waiting: dict[tuple[int, int], list[WordRows]] = {}
        self.gathering = Lock()

    def receive(self, rows: WordRows) -> None:
        """Keeps rows until those of all heads have come."""
        shape = (len(rows.weights), self.encoder.heads, self.count, self.count)
        with self.gathering:
            parts = self.waiting.setdefault((rows.layer, rows.texts.start), [])
            parts.append(rows)
            if sum(part.weights.numel() for part in parts) == math.prod(shape):
                del self.waiting[rows.layer, rows.texts.start]
                self.receive_maps(rows.layer, rows.texts, rows.weights if len(parts) == 1 else _joined(parts, shape))

    def receive_maps(self, layer: int, texts: slice, maps: Float[Tensor, "text head word word"]) -> None:
        """Measures the maps of some texts in one layer."""
        raise NotImplementedError


def _joined(parts: Sequence[WordRows], shape: Sequence[int]) -> Float[Tensor, "text head word word"]:
    """Puts the rows of some texts together."""
    maps = parts[0].weights.new_empty(shape)
    for part in parts:
        maps[:, part.heads, part.rows] = part.weights
    return maps


def refuse_pooled(encoder: Encoder, layers: Sequence[int]) -> None:
    """Refuses layers of a model before any text is read.

    Raises:
        ModelError: a layer attends to pools of tokens.
    """
    for layer in layers:
        if encoder.reach and (reach := encoder.reach[layer]) and reach.pooled:
            what = f"layer {layer} of {encoder.kind} attends to pools of several tokens"
            raise ModelError(f"{what}, so that no weight belongs to a token", "choose other layers with -l")


def _starts(owner: Sequence[int]) -> set[int]:
    """Finds the rows where no word goes on from the row before.

    >>> sorted(_starts([-1, 0, 1, 1, -1]))
    [0, 1, 2, 4]
    """
    words = len(owner) + 1
    through = list(accumulate(owner, max))
    ahead = list(accumulate((number if number >= 0 else words for number in reversed(owner)), min))[::-1]
    return {0, *(row for row in range(1, len(owner)) if through[row - 1] < ahead[row])}
