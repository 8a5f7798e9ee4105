"""Turns weights between tokens into weights between words: summed over the key's pieces, averaged over the query's."""

from __future__ import annotations

from typing import Any, no_type_check

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnprobe.attention.kernels import compiled


def between_words(
    weights: Float[Tensor, "text head query key"],
    query_words: Int[Tensor, "text query"],
    key_words: Int[Tensor, "text key"],
    n_queries: int,
    n_keys: int,
) -> Float[Tensor, "text head query_word key_word"]:
    """Merges the pieces of each word, by a compiled loop on a CPU; a word without pieces has weight 0.

    Args:
        query_words, key_words: the number of the word that each piece belongs to; −1: to none, it is left out.
        n_queries, n_keys: how many words there are.

    >>> weights = torch.tensor([[[[0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.5, 0.5, 0.0]]]])
    >>> words = torch.tensor([[-1, 0, 0]])
    >>> between_words(weights, words, words, 1, 1)
    tensor([[[[0.6000]]]])
    """
    if weights.device.type != "cpu":
        return _by_products(weights, query_words, key_words, n_queries, n_keys)
    merged = weights.new_zeros(*weights.shape[:2], n_queries, n_keys)
    counts = weights.new_zeros(n_queries)
    _merge(*(tensor.contiguous().numpy() for tensor in (weights, query_words, key_words, counts, merged)))
    return merged


def _by_products(
    weights: Float[Tensor, "text head query key"],
    query_words: Int[Tensor, "text query"],
    key_words: Int[Tensor, "text key"],
    n_queries: int,
    n_keys: int,
) -> Float[Tensor, "text head query_word key_word"]:
    """Merges by products with matrices of 0 and 1, which a GPU computes fast and always alike."""
    words = torch.arange(max(n_queries, n_keys), device=weights.device)
    to_word = (key_words[:, :, None] == words[:n_keys]).to(weights.dtype)
    of_word = (query_words[:, None] == words[:n_queries, None]).to(weights.dtype)
    of_word /= of_word.sum(-1, keepdim=True).clamp(min=1)
    by_key = (weights.flatten(1, 2) @ to_word).view(*weights.shape[:3], n_keys)
    return torch.matmul(of_word[:, None], by_key)


@compiled
@no_type_check
def _merge(weights: Any, query_words: Any, key_words: Any, counts: Any, merged: Any) -> None:
    """Adds up weights in ``merged``, which holds zeros, and divides each row by its number of pieces."""
    texts, heads, queries, keys = weights.shape
    for text in range(texts):
        counts[:] = 0
        for q in range(queries):
            if query_words[text, q] >= 0:
                counts[query_words[text, q]] += 1
        for head in range(heads):
            for q in range(queries):
                word = query_words[text, q]
                if word >= 0:
                    row, sums = weights[text, head, q], merged[text, head, word]
                    for k in range(keys):
                        if key_words[text, k] >= 0:
                            sums[key_words[text, k]] += row[k]
            for word in range(counts.shape[0]):
                if counts[word] > 1:
                    for key in range(merged.shape[3]):
                        merged[text, head, word, key] /= counts[word]
