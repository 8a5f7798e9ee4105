"""How much each weight of attention did for a number F that the model computes: gradients times weights."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def times_gradient(
    weights: Float[Tensor, "head query key"],
    values: Float[Tensor, "head key d_v"],
    gradient: Float[Tensor, "query head d_v"],
) -> Float[Tensor, "head query key"]:
    """Computes a ⊙ ∂F/∂a, signed: how much F would change, to first order, by taking a weight away.

    A head's context is Σₖ a[q,k]·v[k], so that ∂F/∂a[q,k] = ⟨∂F/∂context[q], v[k]⟩: no gradient of a weight is kept.
    Over all queries and keys it adds up to the derivative of F by a factor of the head.

    Args:
        values: as they are summed up, b_V included; heads that share keys and values have equal ones.
        gradient: ∂F/∂context.
    """
    return weights * torch.einsum("qhd,hkd->hqk", gradient, values)


def propagated(
    relevance: Float[Tensor, "query key"], weighted: Float[Tensor, "head query key"]
) -> Float[Tensor, "query key"]:
    """Takes relevance through one layer: R + Ā·R, Ā the mean over heads of what is positive in a ⊙ ∂F/∂a.

    The rule of Chefer et al. 2021 (ICCV, equations 5 and 6) for self-attention; R starts as I before the first layer.
    """
    return relevance + weighted.clamp(min=0).mean(0) @ relevance
