"""What a token writes into another through a layer: the vectors behind the weights, measured by their norms.

A head's weight a[h,q,k] scales f_h(k) = v_h(k)·W_O[h], with b_V in v and without b_O, which belongs to no token. All
heads together write T(q,k) = Σ_h a[h,q,k]·f_h(k) of k into q; with the residual connection around the attention it is
t(q,k) = T(q,k) + [q=k]·x(q).

A norm is linear once it is known by what it divides: γ⊙(t − mean t)/σ(q), with the σ of the whole vector. So every
function here is given f, x and a after any norms, as :class:`attnprobe.analyses.written.Stage` makes them, and none of
them holds a tensor query × key × d, but one block of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import vector_norm

BLOCK = 2**20  # numbers of a block of vectors; 8 MiB in float64
LONG = 128  # tokens from which ALTI's distances are computed by a compiled loop


def written_by_heads(
    values: Float[Tensor, "head key d_v"], maps: Float[Tensor, "head d_v d"]
) -> Float[Tensor, "head key d"]:
    """Computes f_h(k) = v_h(k)·W_O[h] (Kobayashi et al. 2020, equation 4)."""
    return values @ maps


def norms(
    weights: Float[Tensor, "head query key"],
    f: Float[Tensor, "head key d"],
    x: Float[Tensor, "query d"] | None = None,
) -> Float[Tensor, "query key"]:
    """Computes ‖Σ_h a[h,q,k]·f_h(k) + [q=k]·x(q)‖ (Kobayashi et al. 2020, equation 5; 2021 with x).

    The square is αᵀGα, with α = a[:,q,k] and G[h,g] = f_h(k)·f_g(k), and at q = k also 2·Σ_h α_h f_h(q)·x(q) + ‖x(q)‖²:
    n·H²·d + n²·H² multiplications instead of n²·H·d.
    """
    gram = torch.einsum("hkd,gkd->khg", f, f)
    alpha = weights.permute(2, 1, 0)
    squared: Tensor = ((alpha @ gram) * alpha).sum(-1).T
    if x is not None:
        at_itself = weights.diagonal(dim1=1, dim2=2)
        squared.diagonal().add_(2 * torch.einsum("hq,hqd,qd->q", at_itself, f, x) + x.square().sum(-1))
    return torch.sqrt(squared.clamp(min=0))


def mixing_ratios(
    weights: Float[Tensor, "head query key"],
    f: Float[Tensor, "head key d"],
    x: Float[Tensor, "query d"] | None = None,
) -> Float[Tensor, " query"]:
    """Computes ‖Σ_{k≠q} t(q,k)‖ / (‖Σ_{k≠q} t(q,k)‖ + ‖t(q,q)‖) (Kobayashi et al. 2021, equation 9)."""
    to_itself = written_into_itself(weights, f)
    others = torch.einsum("hqk,hkd->qd", weights, f) - to_itself
    mixed, kept = vector_norm(others, dim=-1), vector_norm(to_itself if x is None else to_itself + x, dim=-1)
    ratios: Tensor = mixed / (mixed + kept)
    return ratios


def written_into_itself(
    weights: Float[Tensor, "head token token"], f: Float[Tensor, "head token d"]
) -> Float[Tensor, "token d"]:
    """Computes T(q,q)."""
    return torch.einsum("hq,hqd->qd", weights.diagonal(dim1=1, dim2=2), f)


def alti(
    weights: Float[Tensor, "head query key"],
    f: Float[Tensor, "head key d"],
    x: Float[Tensor, "query d"],
    y: Float[Tensor, "query d"],
) -> Float[Tensor, "query key"]:
    """Computes max(0, ‖y(q)‖₁ − ‖y(q) − t(q,k)‖₁) (Ferrando et al. 2022, equations 8 and 9).

    Args:
        y: what all t(q,k) and the biases are together.
    """
    far = _distances(weights, f, y)
    far.diagonal().copy_((y - written_into_itself(weights, f) - x).abs().sum(-1))
    return (y.abs().sum(-1, keepdim=True) - far).clamp(min=0)


def _distances(
    weights: Float[Tensor, "head query key"], f: Float[Tensor, "head key d"], y: Float[Tensor, "query d"]
) -> Float[Tensor, "query key"]:
    """Computes ‖y(q) − T(q,k)‖₁, by a compiled loop where that pays the time it takes to load."""
    far = y.new_empty(weights.shape[1:])
    if weights.shape[2] >= LONG:
        from attnprobe.attention import kernels

        kernels.distances(*(tensor.contiguous().numpy() for tensor in (weights, f, y)), far.numpy())
        return far
    for keys in spans(weights.shape[2], weights.shape[1] * y.shape[1]):
        without = torch.baddbmm(y[None], weights[:, :, keys].permute(2, 1, 0), f[:, keys].transpose(0, 1), alpha=-1)
        far[:, keys] = vector_norm(without, 1, dim=-1).T
    return far


def value_zeroing(
    weights: Float[Tensor, "head query key"],
    f: Float[Tensor, "head key d"],
    whole: Float[Tensor, "query d"],
    tail: Callable[[Tensor], Tensor],
) -> Float[Tensor, "query key"]:
    """Computes 1 − cos(out(q), out(q) with v(k) = 0 in all heads) (Mohebbi et al. 2023, equation 7).

    Nothing is attended anew: without v(k) the layer goes on with ``whole(q) − T(q,k)``. NaN where a vector is 0.

    Args:
        whole: x + attention + b_O.
        tail: turns (..., d) of it into the layer's output.
    """
    out, changes = tail(whole), whole.new_empty(weights.shape[1:])
    for queries in spans(weights.shape[1], weights.shape[2] * whole.shape[1]):
        written = weights[:, queries].permute(2, 1, 0) @ f.transpose(0, 1)
        without = tail(whole[queries, None] - written.transpose(0, 1))
        likeness = (without @ out[queries, :, None])[..., 0]
        changes[queries] = 1 - likeness / (vector_norm(without, dim=-1) * vector_norm(out[queries, None], dim=-1))
    return changes


def spans(count: int, numbers: int) -> Iterator[slice]:
    """Yields slices of so many tokens, with about BLOCK numbers each if a token has so many."""
    size = max(1, BLOCK // numbers)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
