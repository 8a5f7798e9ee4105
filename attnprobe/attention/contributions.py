"""Contributions: what each key writes for a query, ‖a[q,k]·f(k)‖ with f(k) = v(k)·W_O, after Kobayashi et al. 2020.

A weight is a number, so that ‖a·f‖ = a·‖f‖: no query × key × width tensor is made.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def value_norms(
    value: Float[Tensor, "text head_kv key d_v"], output: Float[Tensor, "head d_v d_out"], dtype: torch.dtype
) -> Float[Tensor, "text head key"]:
    """Computes ‖v(k)·W_O‖ of each query head, as √(v·W_O·W_Oᵀ·vᵀ), in which d_out is summed over once for all keys.

    Args:
        value: fewer heads than ``output`` are shared by consecutive query heads.
        output: the rows of W_O that read each head.
        dtype: in which squares are added up.
    """
    rows, values = output.to(dtype), value.to(dtype)[:, :, None]
    products = torch.unflatten(rows @ rows.transpose(1, 2), 0, (value.shape[1], -1))  # (head_kv, head of it, d_v, d_v)
    squares: Tensor = (values @ products).mul(values).sum(-1).flatten(1, 2)
    return squares.clamp_min(0).sqrt().to(torch.promote_types(value.dtype, torch.float32))


def contributions(
    weights: Float[Tensor, "text head query key"], norms: Float[Tensor, "text head key"], room: Tensor | None
) -> tuple[Float[Tensor, "text head query key"], Float[Tensor, "text head query"]]:
    """Computes a[q,k]·‖f(k)‖ divided by the row's sum, and these sums; a row that sums to 0 stays 0.

    Args:
        room: where to put the shares; None: in new memory.
    """
    products = torch.mul(weights, norms[:, :, None], out=room)
    totals = products.sum(-1)
    return torch.div(products, torch.where(totals == 0, 1, totals)[..., None], out=room), totals
