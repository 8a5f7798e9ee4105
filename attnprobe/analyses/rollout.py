"""Follows attention through the layers: rollout (Abnar & Zuidema 2020, §3), a matrix per layer and their product.

Ā is a layer's attention over tokens, (query, key), its heads fused into one; M = (1 − r)·Ā + r·I, the attention and the
residual connection around it; R_l = M_l·R_{l−1}, R_{−1} = I: the share of each input token in each token after layer l.
All of it is in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np


def with_residual(attention: np.ndarray, residual: float = 0.5) -> np.ndarray:
    """Computes M = (1 − r)·Ā/ΣĀ + r·I of one layer.

    Rows are made to sum to 1, as they do not where some attention falls on no token of the text, or where heads were
    fused by their largest or smallest weight. A row without any weight keeps only its own token.

    Args:
        attention: (query, key) Ā.
        residual: r, from 0 to 1.

    >>> with_residual(np.array([[0.5, 0.5], [0.0, 0.5]]), 0.5)
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    mixed = attention.astype(np.float64)
    total = mixed.sum(-1, keepdims=True)
    mixed *= np.divide(1 - residual, total, out=np.zeros_like(total), where=total > 0)
    mixed[np.diag_indices_from(mixed)] += np.where(total[:, 0] > 0, residual, 1)
    return mixed


def shares_of_rows(matrix: np.ndarray) -> np.ndarray:
    """Divides rows by their sum; a row whose sum is 0 or unknown becomes 0.

    >>> shares_of_rows(np.array([[1.0, 3.0], [0.0, 0.0], [np.nan, 1.0]]))
    array([[0.25, 0.75],
           [0.  , 0.  ],
           [0.  , 0.  ]])
    """
    total = matrix.sum(-1, keepdims=True)
    return np.asarray(np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0))


def rollout(matrices: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields R_l = M_l·R_{l−1} of each layer, (query, key): L·n³ multiplications.

    >>> first, second = rollout([np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.5, 0.5]])])
    >>> second
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    rolled = None
    for matrix in matrices:
        rolled = matrix if rolled is None else matrix @ rolled
        yield rolled


def rollout_rows(matrices: Sequence[np.ndarray], queries: np.ndarray) -> np.ndarray:
    """Computes some rows of R_L alone, (query, key), by e_q·M_L···M_0: L·n² multiplications for each.

    >>> rollout_rows([np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.5, 0.5]])], [1])
    array([[0.25, 0.75]])
    """
    *below, last = matrices
    rows: np.ndarray = last[queries]
    for matrix in reversed(below):
        rows = rows @ matrix
    return rows
