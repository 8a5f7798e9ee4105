"""The same attention as ``textbook.py``, a block of query rows at a time, shown to an observer and dropped.

No query × key tensor is ever held, so memory hardly grows with length. The operations and their order are those of
transformers' eager attention, so that a short text gives bitwise equal weights.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

BLOCK_ELEMENTS = 2**19  # weights in one block: 2 MiB in float32, which stays in a core's cache


@dataclass(frozen=True)
class Block:
    """The weights of some query rows of one text in one layer, all heads.

    Attributes:
        rows: which queries.
        keys: which keys; the others have weight 0 in every row here.
        weights: (head, query, key) in float32 or float64.
        allowed: (query, key) True where the query may see the key; None: it sees every key of the text.
        reach_known: False where the weights came without the mask, so that ``allowed`` says nothing.
    """

    rows: slice
    keys: slice
    weights: Float[Tensor, "head query key"]
    allowed: Bool[Tensor, "query key"] | None = None
    reach_known: bool = True


Observer = Callable[[Block], None]


def exact(dtype: torch.dtype) -> torch.dtype:
    """What weights of a model that computes in ``dtype`` are kept in: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def row_blocks(queries: int, row_elements: int, starts: Sequence[int] | None = None) -> Iterator[slice]:
    """Query rows in order, as many to a block as BLOCK_ELEMENTS holds, at least one.

    Args:
        row_elements: weights in one row, over all heads.
        starts: the rows where a block may start (ascending, 0 first); None: any.

    >>> list(row_blocks(5, BLOCK_ELEMENTS // 2, starts=[0, 3, 4]))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    size = max(1, BLOCK_ELEMENTS // row_elements)
    cuts = range(queries + 1) if starts is None else [*starts, queries]
    start = 0
    while start < queries:
        furthest = bisect.bisect_right(cuts, start + size) - 1
        stop = cuts[furthest] if cuts[furthest] > start else cuts[furthest + 1]
        yield slice(start, stop)
        start = stop


def attention_in_blocks(
    query: Float[Tensor, "head query d_k"],
    key: Float[Tensor, "head_kv key d_k"],
    value: Float[Tensor, "head_kv key d_v"],
    scale: float,
    bias: Float[Tensor, "#head #query key"] | None = None,
    allowed: Bool[Tensor, "#query key"] | None = None,
    observe: Observer | None = None,
    starts: Sequence[int] | None = None,
) -> Float[Tensor, "query head d_v"]:
    """softmax(QKᵀ·scale + bias)V of one text, exact; each block of weights is shown to ``observe`` and dropped.

    Args:
        key, value: fewer heads than ``query`` are shared by consecutive query heads (grouped-query attention,
            Ainslie et al. 2023).
        bias: added to the scaled scores.
        allowed: True where a query may see a key; keys that no row of a block may see are not computed.
        starts: rows where a block may start, see :func:`row_blocks`.
    """
    heads, queries, _ = query.shape
    groups = heads // key.shape[0]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 0), value.repeat_interleave(groups, 0)
    output = query.new_empty(queries, heads, value.shape[-1])
    for rows in row_blocks(queries, heads * key.shape[1], starts):
        mask = None if allowed is None else allowed[rows if allowed.shape[0] > 1 else slice(None)]
        keys = slice(0, key.shape[1]) if mask is None else _reached(mask)
        scores = torch.matmul(query[:, rows], key[:, keys].transpose(1, 2)).mul_(scale)
        if bias is not None:
            scores += bias[:, rows if bias.shape[1] > 1 else slice(None), keys]
        if mask is not None:
            mask = mask[:, keys].expand(scores.shape[1:])
            scores = scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, -1, dtype=exact(scores.dtype))
        output[rows] = torch.matmul(weights.to(value.dtype), value[:, keys]).transpose(0, 1)
        if observe is not None:
            observe(Block(rows, keys, weights, mask))
    return output


def _reached(mask: Bool[Tensor, "query key"]) -> slice:
    """The shortest run of keys that holds every key some query may see; all keys where none may see any."""
    seen: Int[Tensor, " seen"] = mask.any(0).nonzero()[:, 0]
    return slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, mask.shape[1])
