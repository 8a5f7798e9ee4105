"""Works on rows of weights: checks probabilities, finds entropies and largest weights, merges words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnprobe.attention.blocks import Block
from attnprobe.attention.memory import Memory
from attnprobe.attention.rounding import rounding
from attnprobe.errors import ModelError, TextError


def refuse_pools(block: Block, layer: int) -> None:
    """Refuses a block whose queries or keys are no tokens.

    Raises:
        ModelError: the layer attends to pools of tokens.
    """
    if block.pooled:
        raise ModelError(
            f"layer {layer} attends to pools of several tokens, so that no weight belongs to a token",
            "choose other layers with -l",
        )


def check_probabilities(
    weights: Float[Tensor, "*any query key"], dtype: torch.dtype, layer: int, *, complete: bool = True
) -> None:
    """Checks that rows sum to 1 over the keys of the text, or to less if they are not complete.

    Args:
        dtype: the model's, which sets how exactly rows must sum to 1.

    Raises:
        TextError: a row does not sum to 1, or holds a NaN.
    """
    check_distance(float(distance_from_one(weights, complete)), rounding(dtype, weights.shape[-1]), layer)


def distance_from_one(weights: Float[Tensor, "*any query key"], complete: bool) -> Float[Tensor, ""]:
    """Finds how far the sum of the worst row is from 1, or above 1 if rows are not complete; NaN if a row holds one."""
    error = weights.sum(-1) - 1
    return (error.abs_() if complete else error).max()


def check_distance(distance: float, tolerance: float, layer: int) -> None:
    """Checks that sums of rows are no further from 1 than rounding explains.

    Raises:
        TextError: the distance is larger than the tolerance, or NaN.
    """
    if not distance <= tolerance:
        found = "they hold NaN" if math.isnan(distance) else f"off by {distance:.2g}"
        raise TextError(
            f"layer {layer}: attention rows do not sum to 1 ({found})",
            "these are not attention probabilities over the text's tokens, so no statistic of them is given",
        )


def entropies(weights: Float[Tensor, "text head query key"], memory: Memory) -> Float[Tensor, "text head query"]:
    """Computes −Σₖ a ln a of each row in nats, with 0·ln 0 = 0."""
    logarithms = memory.take("logarithms", weights.shape, weights.dtype)
    torch.log(weights, out=logarithms)
    return logarithms.mul_(weights).nansum(-1).neg_()  # 0 · ln 0 is NaN and left out


def largest(
    weights: Float[Tensor, "text head query key"], separators: Sequence[int] | Bool[Tensor, "text 1 1 key"]
) -> Float[Tensor, "text head query"]:
    """Finds maxₖ a of each row over the keys that are no separators; 0 if all are.

    Args:
        separators: the keys that are separators, ascending; or a mask if texts differ.
    """
    if not isinstance(separators, Sequence):
        return weights.masked_fill(separators, 0).amax(-1)
    runs = itertools.pairwise([-1, *separators, weights.shape[-1]])
    found = [weights[..., start + 1 : stop].amax(-1) for start, stop in runs if start + 1 < stop]
    return torch.stack(found).amax(0) if found else weights.new_zeros(weights.shape[:-1])


def word_starts(words: Int[Tensor, " token"]) -> list[int]:
    """Finds the first piece of each word, where a block of rows may start if pieces are merged.

    >>> word_starts(torch.tensor([0, 1, 1, 2]))
    [0, 1, 3]
    """
    numbers = words.tolist()
    return [row for row, word in enumerate(numbers) if row == 0 or word != numbers[row - 1]]


def merge_pieces(block: Block, words: Int[Tensor, " token"]) -> Block:
    """Merges a block between words: weights are summed over the key's pieces and averaged over the query's.

    Args:
        words: the word of each token, counted from 0 in order of position.
    """
    row_words, row_of = torch.unique_consecutive(words[block.rows], return_inverse=True)
    key_words, key_of = torch.unique_consecutive(words[block.keys], return_inverse=True)
    texts, heads, rows, _ = block.weights.shape
    by_key = block.weights.new_zeros(texts, heads, rows, len(key_words))
    by_key.index_add_(3, key_of, block.weights)
    merged = block.weights.new_zeros(texts, heads, len(row_words), len(key_words))
    merged.index_add_(2, row_of, by_key)
    merged /= torch.bincount(row_of)[:, None]
    allowed = block.allowed
    if allowed is not None:
        pairs = torch.zeros(len(row_words), len(key_words), dtype=torch.int32, device=allowed.device)
        allowed = pairs.index_put_((row_of[:, None], key_of[None, :]), allowed.int(), accumulate=True) > 0
    totals = block.totals
    if totals is not None:
        by_word = totals.new_zeros(texts, heads, len(row_words))
        empty = by_word.index_add(2, row_of, (totals == 0).to(totals.dtype)) > 0
        totals = by_word.index_add(2, row_of, totals) / torch.bincount(row_of)
        totals = totals.masked_fill(empty, 0)
    return replace(
        block,
        rows=_span(row_words),
        keys=_span(key_words),
        weights=merged,
        allowed=allowed,
        checked=False,
        entropy=None,
        totals=totals,
    )


def _span(words: Int[Tensor, " word"]) -> slice:
    return slice(int(words[0]), int(words[-1]) + 1)
