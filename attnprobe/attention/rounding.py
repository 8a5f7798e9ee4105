"""The one rule by which floats are compared: how far two correct computations of a number may differ."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

SIGMAS = 6  # standard deviations of the random walk that roundings make: one in 10^8 goes further
STORED = 4  # numbers that a layer stores, one made of the other: projected vector, score, masked score, weight


def rounding(dtype: torch.dtype, length: int, magnitude: float = 1.0) -> float:
    """Bounds the difference that rounding explains between two computations of one number.

    Processors add up in different orders, and each order rounds in its own way. A sum of n terms moves by at most
    n·u·Σ|terms| (Higham 2002, equation 4.4, to first order), and by no more than λ·√n·u·Σ|terms| with a probability of
    1 − 2·exp(−λ²/2) (Higham & Mary 2019, theorem 2.4); two sums lie at most twice that apart. u is half of float32's
    eps: in float32 transformers computes norms, rotations and softmaxes, also in a model of float64. A coarser dtype
    rounds once more whatever it stores.

    Args:
        dtype: the model's.
        length: n; see :func:`terms`.
        magnitude: Σ|terms|. For a difference of large numbers, such as an offset, it is their size, not the result's.

    >>> [f"{rounding(torch.float32, length):.0e}" for length in (16, 10_000)], f"{rounding(torch.bfloat16, 16):.0e}"
    (['2e-06', '7e-05'], '3e-02')
    """
    sums: float = min(length, SIGMAS * math.sqrt(length)) * torch.finfo(torch.float32).eps
    return (sums + STORED * torch.finfo(dtype).eps) * magnitude


def terms(layers: int, width: int, tokens: int) -> int:
    """Counts the terms that an encoder adds up for a number of the last layer.

    Args:
        width: the size of hidden states, which each linear map sums over.
        tokens: how many tokens each attention sums over.
    """
    return layers * (width + tokens)


def rounding_of_weights(
    dtype: torch.dtype,
    query: Float[Tensor, "*head query d_k"],
    key: Float[Tensor, "*head key d_k"],
    scale: float,
) -> Float[Tensor, "*head"]:
    """Bounds the same for softmax(QKᵀ·scale) of each head's Q and K: weights move by at most half as much as scores.

    The derivative of a weight a by the scores is a·(δ_k − Σ a_j·δ_j), and 2·a·(1 − a) is at most ½.
    """
    sizes = (query.abs() @ key.abs().mT).amax((-2, -1)) * scale
    return rounding(dtype, query.shape[-1], 1 / 2) * sizes + rounding(dtype, key.shape[-2])
