"""The effects of a change inside a model on what the model makes of some texts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.models.running import Output
from attnprobe.values.tokens import Role, Tokens

ON_STATES = ("token_change", "cls_change", "pooled_change")
ON_LOGITS = ("logits_change", "prediction_change")


def cosine_change(one: Float[Tensor, "*vector d"], other: Float[Tensor, "*vector d"]) -> Float[Tensor, " *vector"]:
    """Computes 1 − cos of the angle between vectors, as half the squared distance of the unit vectors.

    Written so, nothing cancels out where the angle is small. NaN where a vector is 0.
    """
    units = [each.double() / torch.linalg.vector_norm(each.double(), dim=-1, keepdim=True) for each in (one, other)]
    half: Tensor = (units[0] - units[1]).square().sum(-1) / 2
    return half


def on_states(
    changed: Float[Tensor, "copy text token d_model"],
    before: Float[Tensor, "text token d_model"],
    texts: Sequence[Tokens],
) -> Float[Tensor, "copy text effect"]:
    """Computes how far hidden states turn: mean over tokens, of the classification token, of the mean over tokens."""
    changed, before = changed.double(), before.double()
    by_token = cosine_change(changed, before)
    of_cls = torch.full_like(by_token[..., 0], torch.nan)
    for number, text in enumerate(texts):
        for at in text.positions(Role.CLS)[:1]:
            of_cls[:, number] = by_token[:, number, at if by_token.shape[2] > 1 else 0]
    return torch.stack([by_token.mean(2), of_cls, cosine_change(changed.mean(2), before.mean(1))], -1)


def on_logits(
    changed: Float[Tensor, "copy text *token label"], before: Float[Tensor, "text *token label"], answer: str
) -> Float[Tensor, "copy text effect"]:
    """Computes how far logits move, and the share of predictions that change; of tokens the mean over all.

    Args:
        answer: what logits mean, see :class:`attnprobe.models.tasks.Task`. Those of a number predict nothing else.
    """
    changed, before = changed.double(), before.double()
    distance = torch.linalg.vector_norm(changed - before, dim=-1)
    if answer == "number":
        differs = torch.full_like(distance, torch.nan)
    elif answer == "multiple":
        differs = ((changed > 0) != (before > 0)).double().mean(-1)
    else:
        differs = (changed.argmax(-1) != before.argmax(-1)).double()
    return torch.stack([effect.flatten(2).mean(2) if effect.ndim > 2 else effect for effect in (distance, differs)], -1)


def effects(
    copies: Sequence[Sequence[Output]], before: Sequence[Output], texts: Sequence[Tokens], answer: str | None
) -> Float[Tensor, "copy text effect"]:
    """Computes all effects on texts of one length: those of ON_STATES, and of ON_LOGITS if there is an answer.

    Args:
        copies: the outputs of the texts, one for each change.
    """
    found = on_states(torch.stack([_hidden(copy) for copy in copies]), _hidden(before), texts)
    if answer is None:
        return found
    return torch.cat([found, on_logits(torch.stack([_logits(copy) for copy in copies]), _logits(before), answer)], -1)


def _hidden(outputs: Sequence[Output]) -> Float[Tensor, "text token d_model"]:
    return torch.stack([output.hidden.reshape(-1, output.hidden.shape[-1]) for output in outputs])


def _logits(outputs: Sequence[Output]) -> Float[Tensor, "text *token label"]:
    return torch.stack([output.logits for output in outputs if output.logits is not None])
