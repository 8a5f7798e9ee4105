"""Sums weights over queries: by key, and by offset, which are the sums of the diagonals."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.memory import Memory

FEW_ROWS = 16


def sum_diagonals(
    weights: Float[Tensor, "text head query key"], dtype: torch.dtype, memory: Memory
) -> Float[Tensor, "text head any"]:
    """Sums a[q,k] over k − q = i − (queries − 1), for each i.

    Few rows are summed at a time; their sums are shifted by as many offsets, and added up in ``dtype``.

    >>> weights = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    >>> sum_diagonals(weights, torch.float64, Memory(weights))
    tensor([[[4., 6., 8., 3.]]], dtype=torch.float64)
    """
    texts, heads, queries, keys = weights.shape
    rows = weights.reshape(texts * heads, queries, keys)
    if keys < 4 * FEW_ROWS:
        return sum_rows(_diagonals(rows, memory), dtype).view(texts, heads, -1)
    rest = queries % FEW_ROWS
    sums = weights.new_zeros(len(rows), queries + keys - 1, dtype=dtype)
    if queries > rest:
        few = _sum_few_diagonals(rows[:, : queries - rest].reshape(-1, FEW_ROWS, keys), memory)
        few = few.view(len(rows), -1, FEW_ROWS + keys - 1)
        sums[:, rest:] += _diagonals(few, memory, FEW_ROWS).sum(1, dtype=dtype)
    if rest:
        sums[:, : rest + keys - 1] += _sum_few_diagonals(rows[:, queries - rest :].contiguous(), memory)
    return sums.view(texts, heads, -1)


def _sum_few_diagonals(rows: Float[Tensor, "group query key"], memory: Memory) -> Float[Tensor, "group offset"]:
    """Sums the diagonals of fewer rows than keys, almost without a copy.

    In memory, a step of one row and one key more walks a diagonal. A diagonal is whole if it starts in the first row
    and ends in the last; only the corners below and above the whole ones must be copied to be walked.
    """
    groups, queries, keys = rows.shape
    whole = rows.as_strided((groups, queries, keys - queries + 1), (queries * keys, keys + 1, 1), rows.storage_offset())
    below = _diagonals(rows[..., :queries], memory).sum(1)[:, : queries - 1]
    above = _diagonals(rows[..., -queries:], memory).sum(1)[:, queries:]
    return torch.cat([below, whole.sum(1), above], -1)


def sum_rows(rows: Float[Tensor, "head query any"], dtype: torch.dtype) -> Float[Tensor, "head any"]:
    """Sums over queries in ``dtype``, except within groups of rows: faster, and their roundings even out."""
    size = max(8, rows.shape[1] // 8)
    rest = rows.shape[1] % size
    groups = torch.unflatten(rows[:, : rows.shape[1] - rest], 1, (-1 if rows.shape[1] > rest else 0, size))
    sums = groups.sum(2).sum(1, dtype=dtype)
    return sums + rows[:, -rest:].sum(1, dtype=dtype) if rest else sums


def _diagonals(
    rows: Float[Tensor, "head query key"], memory: Memory, step: int = 1
) -> Float[Tensor, "head query offset"]:
    """Copies rows so that column i holds row[q,k] with k − step·q = i − step·(queries − 1), and zeros elsewhere.

    Each row is laid out behind as many zeros as the last one must be shifted by, so that a stride one step longer than
    a row walks the diagonals.
    """
    heads, queries, keys = rows.shape
    shift = step * queries
    width = shift + keys
    copy = memory.take("diagonals", (heads * queries * width + shift,), rows.dtype)
    copy[heads * queries * width :] = 0
    laid_out = copy[: heads * queries * width].view(heads, queries, width)
    laid_out[..., :shift] = 0
    laid_out[..., shift:] = rows
    return copy.as_strided((heads, queries, width - step), (queries * width, width + step, 1), step)
