"""DecompX (Modarressi et al. 2023): every hidden state as a sum of vectors, one for each input token.

D(q,k) goes through a layer as the hidden state does: weights, W_V·W_O, the residual connection, norms divided by the σ
of the whole vector, and a feed-forward layer whose activation is the slope act(z)/z of the whole z. What a layer adds
to the whole, its biases, is shared out. So Σ_k D(q,k) is the hidden state. All D are held, (query, key, d).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

LEAST = 1e-30  # stands for a z of 0, of which act(z)/z is the slope there


def share_out(
    vectors: Float[Tensor, "query key d"], bias: Float[Tensor, "query d"] | Float[Tensor, " d"] | None
) -> Float[Tensor, "query key d"]:
    """Adds a bias b to each query: to its vectors, |⟨D(q,k), b⟩| / Σ_k |⟨D(q,k), b⟩| of it each ("absdot")."""
    if bias is None:
        return vectors
    biases = bias.expand(len(vectors), -1)
    along = (vectors @ biases[..., None])[..., 0].abs()
    total = along.sum(-1, keepdim=True)
    shares = torch.where(total > 0, along / total, 1 / along.shape[-1])
    return vectors + shares[..., None] * biases[:, None]


def attended(
    vectors: Float[Tensor, "query key d"],
    weights: Float[Tensor, "head query query"],
    value_maps: Float[Tensor, "head d d_v"],
    output_maps: Float[Tensor, "head d_v d"],
) -> Float[Tensor, "query key d"]:
    """Computes Σ_h Σ_t a[h,q,t]·D(t,k)·W_V[h]·W_O[h], without b_V and b_O."""
    total = torch.zeros_like(vectors)
    for a, value_map, output_map in zip(weights, value_maps, output_maps, strict=True):
        total += torch.einsum("qt,tkv->qkv", a, vectors @ value_map) @ output_map
    return total


def slopes(z: Float[Tensor, "query d_ff"], activation: Callable[[Tensor], Tensor]) -> Float[Tensor, "query d_ff"]:
    """Computes act(z)/z of the whole z, through which each of the vectors goes: of GELU, Φ(z)."""
    z = torch.where(z == 0, LEAST, z)
    return activation(z) / z


def fed_forward(
    vectors: Float[Tensor, "query key d"],
    slope: Float[Tensor, "query d_ff"],
    weight_in: Float[Tensor, "d d_ff"],
    bias_in: Float[Tensor, " d_ff"] | None,
    weight_out: Float[Tensor, "d_ff d"],
    bias_out: Float[Tensor, " d"] | None,
) -> Float[Tensor, "query key d"]:
    """Leads vectors through two linear maps and the slopes between them."""
    inside = share_out(vectors @ weight_in, bias_in) * slope[:, None]
    return share_out(inside @ weight_out, bias_out)
