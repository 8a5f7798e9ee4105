"""The attention weights of one text, and excerpts of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attnprobe.errors import UsageError
from attnprobe.values.averaging import Numbers
from attnprobe.values.notebook import one_line
from attnprobe.values.tokens import Tokens

MOST_WEIGHTS = 2**28  # kept by default: 1 GiB in float32


def check_kept(maps: int, what: str, length: int) -> None:
    """Checks how many weights of a text would be kept at once.

    Args:
        maps: how many matrices of (length, length), of each ``what``.

    Raises:
        UsageError: there are more than MOST_WEIGHTS.
    """
    count = maps * length**2
    if count > MOST_WEIGHTS:
        raise UsageError(
            f"{maps} {what} × {length} × {length} tokens are {count:,} weights; the limit is {MOST_WEIGHTS:,}",
            "cut the text with --max-length",
        )


@dataclass(frozen=True, repr=False)
class Attention:
    """The weights of some heads of some layers in one text.

    Attributes:
        weights: (layer, head, query, key) in float32, or float64 where the model computes in it; rows sum to 1
            unless some attention falls on no token of the text.
        query_tokens, key_tokens: the tokens of queries and of keys; words at level "word". In self-attention both are
            the same.
        pieces: the tokens that the encoder reads, also at level "word".
        layers, heads: the numbers of the first two axes, counted from 0; None alone for a mean.
        notes: how the weights were computed, as in :class:`attnprobe.values.table.Table`.
        sign: returns the signature.
    """

    weights: np.ndarray
    query_tokens: Tokens
    key_tokens: Tokens
    pieces: Tokens
    layers: Numbers
    heads: Numbers
    notes: Mapping[str, Any] = field(default_factory=dict)
    sign: Callable[[], str] | None = None

    def __repr__(self) -> str:
        return one_line("Attention", self.notes.get("model", ""), *_sizes(self.weights))


@dataclass(frozen=True, repr=False)
class Excerpt:
    """The weights that some queries give to some keys.

    Attributes:
        weights: (layer, head, query, key), as in ``attention`` but of these queries and keys only.
        queries, keys: their positions.
        attention: the weights that the excerpt is cut from.
    """

    weights: np.ndarray
    queries: Sequence[int]
    keys: Sequence[int]
    attention: Attention

    def __repr__(self) -> str:
        return one_line(type(self).__name__, self.attention.notes.get("model", ""), *_sizes(self.weights))


def _sizes(weights: np.ndarray) -> tuple[str, str]:
    layers, heads, queries, keys = weights.shape
    return f"{layers} layers × {heads} heads", f"{queries} queries × {keys} keys"
