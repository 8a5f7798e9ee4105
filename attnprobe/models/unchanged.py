"""Checks that a model still computes as when it was loaded."""

from __future__ import annotations

from typing import Any

from attnprobe.errors import ModelError
from attnprobe.models.objects import memory_of


def check_unchanged(model: Any, origin: Any, attention: str) -> None:
    """Checks that the model was not changed since it was loaded.

    Args:
        origin: the caller's model in memory whose weights are shared; None if there is none.
        attention: the name of the attention function that it was loaded with.

    Raises:
        ModelError: the model was changed.
    """
    if origin is not None and memory_of(origin) != memory_of(model):
        raise ModelError(
            "the model in memory was changed after it was given: its weights lie elsewhere",
            "load_encoder(model, ...) anew",
        )
    if any(module.training for module in model.modules()):
        raise ModelError("the model is in training mode, where dropout makes weights random", "call .model.eval()")
    found = getattr(model.config, "_attn_implementation", attention)
    if found != attention:
        raise ModelError(f"the model's attention was set to {found!r} after it was loaded", "load it anew")
