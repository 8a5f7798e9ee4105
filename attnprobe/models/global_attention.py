"""Sets the tokens that Longformer and LED let see, and be seen by, all others."""

from __future__ import annotations

import inspect
from dataclasses import replace

from attnprobe.errors import UsageError
from attnprobe.models.encoder import Encoder
from attnprobe.values.tokens import Role, Tokens


def check_global_attention(encoder: Encoder) -> None:
    """Checks that the model has global attention.

    Raises:
        UsageError: the model has no global attention.
    """
    if "global_attention_mask" not in inspect.signature(encoder.model.forward).parameters:
        raise UsageError(f"{encoder.location.short_name} has no global attention", "only Longformer and LED have it")


def with_global_attention(encoder: Encoder, tokens: Tokens, which: str) -> Tokens:
    """Sets global attention on the classification token ("cls") or the first text ("first").

    Raises:
        UsageError: the model has no global attention, or the text has no such token.
    """
    check_global_attention(encoder)
    chosen = [
        role == Role.CLS if which == "cls" else segment == 1
        for role, segment in zip(tokens.roles, tokens.segments, strict=True)
    ]
    if not any(chosen):
        raise UsageError("no classification token for global attention")
    return replace(tokens, inputs={**tokens.inputs, "global_attention_mask": list(map(int, chosen))})
