"""The effects of a change inside a model on what the model makes of a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.models.running import Output
from attnprobe.values.tokens import Role, Tokens

ON_STATES = ("token_change", "cls_change", "pooled_change")
ON_LOGITS = ("logits_change", "prediction_change")


def cosine_change(
    changed: Float[Tensor, "*vector d"], before: Float[Tensor, "*vector d"]
) -> Float[Tensor, " *vector"]:
    """Computes 1 − cos of the angle between vectors as half the square of a distance, so that nothing cancels out.

    NaN where a vector is 0.
    """
    one, other = (vectors.double() / torch.linalg.vector_norm(vectors.double(), dim=-1, keepdim=True) for vectors in (changed, before))
    return (one - other).square().sum(-1) / 2


def effects(changed: Output, before: Output, text: Tokens) -> list[float]:
    """Computes the effects on one text, those of ON_STATES, then of ON_LOGITS if the model has a head."""
    one, other = (torch.atleast_2d(output.hidden.double()) for output in (changed, before))
    by_token = cosine_change(one, other)
    cls = text.positions(Role.CLS)[:1] if len(one) == len(text) else []
    on_states = [by_token.mean(), by_token[cls].mean(), cosine_change(one.mean(0), other.mean(0))]
    return [*map(float, on_states), *on_logits(changed.logits, before.logits)]
