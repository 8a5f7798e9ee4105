"""Adds up the weight between words that falls on keys, or on pairs of words, of some property, as blocks come."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.values.relations import Sentence

LARGE = 0.3  # a weight from which on it counts as large (Vig & Belinkov 2019)
RELATED, ANY, TAGGED = range(3)  # the first properties: of a pair, of every key, of a key that has a tag


class WordShares:
    """The weight between words, and how many weights are large, by property: RELATED, ANY, TAGGED, then each tag.

    Attributes:
        tags: those of the texts' words, ascending.
        found: (weight or count, layer, head, property) in float64, over all texts.
    """

    def __init__(self, sentences: Sequence[Sentence], layers: int, heads: int, device: torch.device) -> None:
        self.tags = sorted({tag for sentence in sentences for tag in sentence.tags})
        words = max(len(sentence.words) for sentence in sentences)
        self.of_key = torch.zeros(len(sentences), words, 2 + len(self.tags), dtype=torch.float64)
        self.related = torch.zeros(len(sentences), words, words, dtype=torch.bool)
        for text, sentence in enumerate(sentences):
            self.of_key[text, : len(sentence.words), 0] = 1
            for word, tag in enumerate(sentence.tags):
                self.of_key[text, word, [1, 2 + self.tags.index(tag)]] = 1
            for dependent, head in both_ways(sentence):
                self.related[text, dependent, head] = True
        self.of_key, self.related = self.of_key.to(device), self.related.to(device)
        self.found = torch.zeros(2, layers, heads, 3 + len(self.tags), dtype=torch.float64, device=device)

    def add(
        self, layer: int, texts: slice, heads: slice, rows: slice, weights: Float[Tensor, "text head query_word word"]
    ) -> None:
        """Adds some rows of some heads, whose words ask."""
        text, query, key = self.related[texts, rows].nonzero(as_tuple=True)
        for values, sums in zip((weights, weights >= LARGE), self.found[:, layer, heads], strict=True):
            sums[:, 0] += values[text, :, query, key].sum(0, dtype=torch.float64)
            by_key = values.sum(2, dtype=torch.float64)
            sums[:, 1:] += torch.einsum("thk,tkp->hp", by_key, self.of_key[texts])


def both_ways(sentence: Sentence) -> list[tuple[int, int]]:
    """Lists the pairs of words that a relation links, each way once."""
    linked = {(one, other) for dependent, head, _ in sentence.relations for one in dependent for other in head}
    return sorted(linked | {(other, one) for one, other in linked})
