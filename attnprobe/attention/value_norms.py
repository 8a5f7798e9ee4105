"""Contributions: what each key writes for a query, ‖a[q,k]·f(k)‖ with f(k) = v(k)·W_O, after Kobayashi et al. 2020.

A weight is a number, so that ‖a·f‖ = a·‖f‖: no query × key × width tensor is made.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def value_norms(
    value: Float[Tensor, "text head_kv key d_v"], output: Float[Tensor, "head d_v d_out"]
) -> Float[Tensor, "text head key"]:
    """Computes ‖v(k)·W_O‖ of each query head, at least in float32.

    With W_Oᵀ = QR the norms are those of v·Rᵀ, which is as narrow as v. On GPUs the products themselves cost less.

    Args:
        value: fewer heads than ``output`` are shared by consecutive query heads.
        output: the rows of W_O that read each head.
    """
    dtype = torch.promote_types(value.dtype, torch.float32)
    maps, values = output.to(dtype), value.to(dtype)[:, :, None]
    if maps.device.type == "cpu":
        maps = torch.linalg.qr(maps.transpose(1, 2), mode="r").R.transpose(1, 2)
    products = values @ torch.unflatten(maps, 0, (value.shape[1], -1))  # (text, head_kv, head of it, key, d)
    norms: Tensor = torch.linalg.vector_norm(products, dim=-1)
    return norms.flatten(1, 2)


def softmax_with_contributions(
    scores: Float[Tensor, "text head query key"], norms: Float[Tensor, "text head key"], take: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Turns scores into their softmax in place, compiled, and computes contributions, their sums and entropies.

    Args:
        take: returns memory, see :class:`attnprobe.attention.memory.Memory`.
    """
    from attnprobe.attention import kernels

    shares = take("contributions", scores.shape, scores.dtype)
    totals, entropy = (take(name, scores.shape[:3], scores.dtype) for name in ("totals", "entropy"))
    made = (shares, totals, entropy)
    factors = (norms.contiguous(), norms.clamp_min(torch.finfo(norms.dtype).tiny).log())
    kernels.softmax_with_contributions(*(tensor.flatten(0, 1).numpy() for tensor in (scores, *factors, *made)))
    return made


def contributions(
    weights: Float[Tensor, "text head query key"],
    norms: Float[Tensor, "text head key"],
    room: Tensor | None = None,
) -> tuple[Float[Tensor, "text head query key"], Float[Tensor, "text head query"]]:
    """Computes a[q,k]·‖f(k)‖ divided by the row's sum, and these sums; a row that sums to 0 stays 0.

    Args:
        room: where to put the shares; None: in new memory.
    """
    products = torch.mul(weights, norms[:, :, None], out=room)
    totals = products.sum(-1)
    return torch.div(products, torch.where(totals == 0, 1, totals)[..., None], out=room), totals
