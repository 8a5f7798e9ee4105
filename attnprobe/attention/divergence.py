"""Jensen-Shannon divergences between all pairs of heads: of each pair, only the entropy of their mixture is new.

With s = a + b of two rows, JS = H(s/2) − (H(a) + H(b))/2 is ¼Σ 2a ln 2a + ¼Σ 2b ln 2b − ½Σ s ln s, whatever the rows
sum to. So one symmetric matrix M of sums Σ s ln s, whose diagonal pairs each head with itself, holds all divergences:
(M[i,i] + M[j,j])/4 − M[i,j]/2. It adds up over queries, windows and blocks.
"""

from __future__ import annotations

import math
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import BLOCK_ELEMENTS
from attnprobe.attention.kernels import bits_of, compiled, f32, float_of, i32, inlined

LANES = 16  # rows of so many keys, or a multiple, leave no rest for compiled loops; keys of weight 0 add nothing
HELD = 2**16  # weights of one query that are paired before others are read: 256 KiB, which a core's cache holds
ONE, MANTISSA, STEP = i32(0x3F800000), i32(0x007FFFFF), f32(2.0**-23)
# log₂(1 + u) − u for 0 ≤ u < 1 to 2e-6, exactly 0 at both ends: the least largest error of its degree (Lawson 1961)
C6, C5, C4, C3, C2, C1 = map(f32, (-0.025841448, 0.12179791, -0.27790534, 0.45754918, -0.71814525, 0.44254494))


def padded(keys: int) -> int:
    """Returns the number of keys that a row for :func:`mixture_sums` should have, the rest with weight 0."""
    return -(-keys // LANES) * LANES


def mixture_sums(rows: Float[Tensor, "query head key"], *, fast: bool) -> Float[np.ndarray, "head head"]:
    """Sums s ln s over queries and keys, with s the sum of two heads' weights, for all pairs; in float64.

    Args:
        fast: whether compiled loops add up; only for contiguous float32 on a CPU.

    Returns:
        the lower triangle with its diagonal; the rest is 0.
    """
    sums = np.zeros((rows.shape[1], rows.shape[1]))
    if fast:
        add_mixtures(rows.numpy(), sums)
        return sums * math.log(2)
    at_once = max(1, BLOCK_ELEMENTS // (rows.shape[1] * rows.shape[2]))
    for some in torch.split(rows, at_once):
        for head in range(rows.shape[1]):
            mixed = some[:, head, None] + some[:, : head + 1]
            sums[head, : head + 1] += torch.xlogy(mixed, mixed).sum((0, 2), dtype=torch.float64).cpu().numpy()
    return sums


def divergences(sums: Float[np.ndarray, "head head"]) -> Float[np.ndarray, " pair"]:
    """Computes from :func:`mixture_sums` the Jensen-Shannon divergences in nats, summed over the queries.

    Returns:
        the pairs (1, 0), (2, 0), (2, 1), (3, 0) ...
    """
    one, other = np.tril_indices(len(sums), -1)
    alone = sums.diagonal() / 4
    return alone[one] + alone[other] - sums[one, other] / 2


@inlined
@no_type_check
def _log2(x: Any) -> Any:
    """Computes log₂ x of a float32 as e + u + (log₂(1 + u) − u), with x = 2ᵉ(1 + u); of 0 a finite number."""
    bits = bits_of(x)
    u = float_of(i32(i32(bits & MANTISSA) | ONE)) - f32(1)
    curved = (((((C6 * u + C5) * u + C4) * u + C3) * u + C2) * u + C1) * u
    return f32(i32(bits - ONE)) * STEP + curved


@compiled
@no_type_check
def add_mixtures(rows: np.ndarray, sums: np.ndarray) -> None:
    """Adds Σ s log₂ s over queries and keys, with s the sum of two heads' weights, for all pairs of heads.

    Each sum over some keys of one row is in float32, all else in float64.

    Args:
        rows: (query, head, key) in float32.
        sums: (head, head) in float64, of which the lower triangle with its diagonal is added to.
    """
    queries, heads, keys = rows.shape
    held = max(16 * LANES, HELD // heads // LANES * LANES)
    for q in range(queries):
        for first in range(0, keys, held):
            for i in range(heads):
                one = rows[q, i][first : first + held]
                for j in range(i + 1):
                    other = rows[q, j][first : first + held]
                    total = f32(0)
                    for k in range(one.shape[0]):
                        s = one[k] + other[k]
                        total += s * _log2(s)
                    sums[i, j] += np.float64(total)
