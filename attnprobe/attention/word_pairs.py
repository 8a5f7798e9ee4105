"""Chooses the head word of each dependent by a softmax over weighted attention, with the gradient of its loss.

The score of word j as the head of word i is Σₖ wₖ aₖ[i, j] + uₖ aₖ[j, i] over attention heads k (Clark 2019, §5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnprobe.attention.threads import Pool

ROWS = 4096  # pairs that are made float64 at once


@dataclass(frozen=True)
class WordPairs:
    """The weights between all words of some sentences, and which pairs are a dependent and its head word.

    Attributes:
        weights: (pair, head) by sentence, then word i, then word j other than i: the weight of i on j.
        sizes: how many words each sentence has.
        gold: the indices of the pairs where j is the head word of i, each among those of its sentence.
        counts: how many of them each sentence has.
    """

    weights: Float[Tensor, "pair head"]
    sizes: tuple[int, ...]
    gold: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of_sentence(cls, maps: Float[Tensor, "head word word"], arcs: Sequence[tuple[int, int]]) -> WordPairs:
        """Takes the weights of one sentence, and its pairs of a dependent and another word, its head word."""
        size = maps.shape[-1]
        others = ~torch.eye(size, dtype=torch.bool, device=maps.device)
        gold = tuple(dependent * (size - 1) + head - (head > dependent) for dependent, head in arcs)
        return cls(maps[:, others].T.contiguous().cpu(), (size,), gold, (len(gold),))

    @classmethod
    def joined(cls, parts: Sequence[WordPairs]) -> WordPairs:
        """Joins the sentences of at least one."""
        return cls(
            torch.cat([part.weights for part in parts]),
            tuple(size for part in parts for size in part.sizes),
            tuple(pair for part in parts for pair in part.gold),
            tuple(count for part in parts for count in part.counts),
        )


class Choices:
    """The choice of a head word for each dependent of many sentences.

    Args:
        parts: the sentences.
        heads: how many attention heads there are.
        pool: computes; no number depends on how many threads it has.

    Attributes:
        distances: of each dependent to its head word: j - i.
        candidates: how many words each dependent could choose.
    """

    def __init__(self, parts: Sequence[WordPairs], heads: int, pool: Pool) -> None:
        self.heads, self.pool = heads, pool
        self.blocks = [part.weights[at : at + ROWS] for part in parts for at in range(0, len(part.weights), ROWS)]
        self.ends = np.cumsum([0, *map(len, self.blocks)])
        sizes = np.array([size for part in parts for size in part.sizes], int)
        counts = np.array([count for part in parts for count in part.counts], int)
        gold = np.array([pair for part in parts for pair in part.gold], int)
        starts = np.cumsum([0, *(sizes * (sizes - 1))])[:-1]
        self.gold = gold + np.repeat(starts, counts)
        self.candidates = np.repeat(sizes - 1, counts)
        dependent, other = np.divmod(gold, self.candidates)
        self.distances = other + (other >= dependent) - dependent
        transposed = (_transposition(size) + start for size, start in zip(sizes.tolist(), starts, strict=True))
        self.transposed = np.concatenate([np.empty(0, int), *transposed])
        lengths = np.repeat(sizes - 1, sizes)  # of rows, each the candidates of one word
        lengths = lengths[lengths > 0]
        self.row_starts = np.cumsum([0, *lengths])[:-1]
        self.row_of = np.repeat(np.arange(len(lengths)), lengths)
        self.asked = np.bincount(self.row_of[self.gold], minlength=len(lengths))

    def __len__(self) -> int:
        return len(self.gold)

    def scores(self, weights: Float[np.ndarray, " weight"]) -> Float[np.ndarray, " pair"]:
        """Computes the score of each pair.

        Args:
            weights: w, then u.
        """
        both = torch.tensor(weights.reshape(2, self.heads).T, dtype=torch.float64)
        products = np.empty((self.ends[-1], 2))

        def multiply(number: int) -> None:
            products[self.ends[number] : self.ends[number + 1]] = (self.blocks[number].double() @ both).numpy()

        self.pool.each(len(self.blocks), multiply)
        scores: np.ndarray = products[:, 0] + products[self.transposed, 1]
        return scores

    def loss(self, weights: Float[np.ndarray, " weight"]) -> tuple[float, Float[np.ndarray, " weight"]]:
        """Computes the mean negative log-likelihood of the head words, and its gradient."""
        scores = self.scores(weights)
        top = np.maximum.reduceat(scores, self.row_starts)
        odds = np.exp(scores - top[self.row_of])
        totals = np.add.reduceat(odds, self.row_starts)
        found = (top + np.log(totals))[self.row_of[self.gold]] - scores[self.gold]
        excess = odds * (self.asked / totals)[self.row_of]
        np.subtract.at(excess, self.gold, 1)
        return float(found.mean()), self._added(excess / len(self))

    def _added(self, of_pairs: Float[np.ndarray, " pair"]) -> Float[np.ndarray, " weight"]:
        """Sums both weights of each pair, times the pair's number."""
        both = torch.from_numpy(np.stack([of_pairs, of_pairs[self.transposed]], 1))
        sums = np.empty((len(self.blocks), self.heads, 2))

        def multiply(number: int) -> None:
            block = both[self.ends[number] : self.ends[number + 1]]
            sums[number] = (self.blocks[number].double().T @ block).numpy()

        self.pool.each(len(self.blocks), multiply)
        total: np.ndarray = sums.sum(0).T.ravel()
        return total

    def right(self, weights: Float[np.ndarray, " weight"]) -> Bool[np.ndarray, " dependent"]:
        """Finds the dependents whose head word has the largest score, the first of equals."""
        scores = self.scores(weights)
        largest = np.flatnonzero(scores == np.maximum.reduceat(scores, self.row_starts)[self.row_of])
        _, first = np.unique(self.row_of[largest], return_index=True)
        chosen = largest[first][self.row_of[self.gold]]
        found: np.ndarray = chosen == self.gold
        return found


def _transposition(size: int) -> Int[np.ndarray, " pair"]:
    """Finds for each pair (i, j) of a sentence's words the index of (j, i)."""
    index = np.zeros((size, size), int)
    index[~np.eye(size, dtype=bool)] = np.arange(size * (size - 1))
    transposed: np.ndarray = index.T[~np.eye(size, dtype=bool)]
    return transposed
