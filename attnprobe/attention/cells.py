"""Sums chosen cells of blocks of weights."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnprobe.attention.blocks import Block


def sum_cells(
    block: Block,
    queries: Int[np.ndarray, "all_texts cell"],
    keys: Int[np.ndarray, "all_texts cell"],
    dtype: torch.dtype,
) -> Float[Tensor, "text head"]:
    """Sums the weights of those cells that lie in the block, in ``dtype``.

    Args:
        queries, keys: of each cell of each text, ascending by query; what lies beyond the text fills shorter lists.

    >>> weights = torch.tensor([[[[0.25, 0.75], [0.5, 0.5]]]])
    >>> sum_cells(Block(slice(0, 2), slice(0, 2), weights), np.array([[0, 1]]), np.array([[1, 0]]), torch.float64)
    tensor([[1.2500]], dtype=torch.float64)
    """
    texts = [np.searchsorted(of_text, (block.rows.start, block.rows.stop)) for of_text in queries[block.texts]]
    of_block = (block.texts, slice(min(first for first, _ in texts), max(stop for _, stop in texts)))
    queries, keys = queries[of_block] - block.rows.start, keys[of_block] - block.keys.start
    rows, columns = block.weights.shape[2:]
    inside = (queries >= 0) & (queries < rows) & (keys >= 0) & (keys < columns)
    if not inside.any():
        return block.weights.new_zeros(block.weights.shape[:2], dtype=dtype)
    text = np.broadcast_to(np.arange(len(queries))[:, None], queries.shape)
    indices = np.stack([text, queries * inside, keys * inside, ~inside])
    text, query, key, outside = torch.as_tensor(indices, device=block.weights.device).long()
    weights = block.weights[text, :, query, key]  # (text, cell, head)
    return weights.masked_fill(outside.bool()[..., None], 0).sum(1, dtype=dtype)
