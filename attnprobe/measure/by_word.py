"""Weights between the words of texts, whatever words are: each layer's blocks, summed over pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import Block, Observer, exact
from attnprobe.attention.rows import check_probabilities, refuse_pools
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
        dtype = exact(encoder.dtype)
        owner = torch.tensor([each.owner for each in words], device=encoder.device)
        number = torch.arange(max(map(len, words)), device=encoder.device)
        self.owned = (owner[:, None] == number[:, None]).to(dtype)  # (text, word, token)
        self.averaging = self.owned / self.owned.sum(-1, keepdim=True).clamp(min=1)

    @property
    def starts(self) -> list[int]:
        """The rows where a word begins in every text."""
        return sorted(set.intersection(*(_starts(each.owner) for each in self.words)))

    def start_layer(self, layer: int) -> Observer | None:
        """Returns the observer of the layer's blocks."""
        return (lambda block: self._observe(layer, block)) if layer in self.layers else None

    def _observe(self, layer: int, block: Block) -> None:
        refuse_pools(block, layer)
        if not block.checked:
            check_probabilities(block.weights, self.encoder.dtype, layer, complete=block.complete)
        owned, averaging = self.owned[block.texts], self.averaging[block.texts]
        rows = self._words_in(block)
        averaging = averaging[:, None, rows, block.rows]
        weights = averaging @ block.weights @ owned[:, None, :, block.keys].mT
        heads = slice(*(block.heads or slice(None)).indices(self.encoder.heads)[:2])
        self.receive(WordRows(layer, block.texts, heads, rows, weights))

    def _words_in(self, block: Block) -> slice:
        """Finds the words whose pieces the rows are: all, unless the block is a part of one text."""
        count = self.owned.shape[1]
        if block.rows == slice(0, self.owned.shape[2]) or block.texts.stop - block.texts.start > 1:
            return slice(0, count)
        owner = self.words[block.texts.start].owner
        before, through = ((max(owner[:at], default=-1) + 1) for at in (block.rows.start, block.rows.stop))
        return slice(before, count if block.rows.stop == len(owner) else through)

    def receive(self, rows: WordRows) -> None:
        """Measures some rows, which are valid only while this is called."""
        raise NotImplementedError


def _starts(owner: Sequence[int]) -> set[int]:
    """Finds the rows where no word goes on from the row before.

    >>> sorted(_starts([-1, 0, 1, 1, -1]))
    [0, 1, 2, 4]
    """
    words = len(owner) + 1
    through = list(accumulate(owner, max))
    ahead = list(accumulate((number if number >= 0 else words for number in reversed(owner)), min))[::-1]
    return {0, *(row for row in range(1, len(owner)) if through[row - 1] < ahead[row])}
