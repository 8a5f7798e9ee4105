"""The attention weights of one text, and excerpts of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attnprobe.values.tokens import Tokens

MOST_WEIGHTS = 2**28  # that are kept unless told otherwise: 1 GiB in float32


@dataclass(frozen=True)
class Attention:
    """What some heads of some layers look at in one text.

    Attributes:
        weights: (layer, head, query, key) in float32, or float64 where the model computes in it; rows sum to 1
            unless some attention falls on no token of the text.
        query_tokens, key_tokens: what the queries and the keys stand for; words at level "word". In self-attention both
            are the same.
        pieces: the text as the encoder reads it, at any level.
        layers, heads: the numbers of the first two axes, counted from 0.
        notes: how the weights came about, as in :class:`attnprobe.values.table.Table`.
        sign: gives the signature.
    """

    weights: np.ndarray
    query_tokens: Tokens
    key_tokens: Tokens
    pieces: Tokens
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)
    sign: Callable[[], str] | None = None


@dataclass(frozen=True)
class Excerpt:
    """What some queries give to some keys.

    Attributes:
        weights: (layer, head, query, key), as in ``attention`` but of these queries and keys only.
        queries, keys: their positions.
        attention: what the weights are an excerpt of.
    """

    weights: np.ndarray
    queries: Sequence[int]
    keys: Sequence[int]
    attention: Attention
