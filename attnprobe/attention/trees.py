"""Finds maximum spanning trees of many graphs, by a compiled loop of Prim's algorithm (1957)."""

from __future__ import annotations

from typing import Any, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int

from attnprobe.attention.kernels import compiled


def spanning_trees(
    weights: Float[np.ndarray, "text head word word"], kept: Bool[np.ndarray, "text word"]
) -> Int[np.ndarray, "text head word"]:
    """Finds the maximum spanning tree of each text and head, as the word that each word was joined to.

    A tree grows from the first word. The heaviest edge that leads out of it is added each time; of equally heavy ones
    that to the first word, from the word that came into the tree before the others.

    Args:
        weights: symmetric; any two kept words are joined by an edge, also if that weighs 0.
        kept: which words the trees have; the others, and the first of each tree, are joined to themselves.

    >>> weights = np.array([[[[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]]])
    >>> spanning_trees(weights, np.ones((1, 3), dtype=bool)).tolist()
    [[[0, 2, 0]]]
    """
    joined = np.empty(weights.shape[:-1], dtype=np.int64)
    _grow(np.ascontiguousarray(weights), kept, joined)
    return joined


@compiled
@no_type_check
def _grow(weights: Any, kept: Any, joined: Any) -> None:
    """Grows all trees; see :func:`spanning_trees`."""
    texts, heads, words, _ = weights.shape
    nearest, outside = np.empty(words, dtype=weights.dtype), np.empty(words, dtype=np.bool_)
    for text in range(texts):
        for head in range(heads):
            tree, added = joined[text, head], -1
            for word in range(words - 1, -1, -1):
                tree[word], nearest[word], outside[word] = word, -np.inf, kept[text, word]
                added = word if outside[word] else added
            while added >= 0:
                outside[added] = False
                edges, heaviest, following = weights[text, head, added], -np.inf, -1
                for word in range(words):
                    if outside[word]:
                        if edges[word] > nearest[word]:
                            nearest[word], tree[word] = edges[word], added
                        if nearest[word] > heaviest:
                            heaviest, following = nearest[word], word
                added = following
