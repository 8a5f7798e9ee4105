"""What one run of a model gives, and what makes a run impossible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from attnprobe.errors import ModelError
from attnprobe.models.interface import NAME
from attnprobe.models.objects import memory_of


@dataclass(frozen=True, eq=False)
class Output:
    """What a model makes of one text, without padding.

    Attributes:
        hidden: the last hidden states; or the one vector of a model that gives no more (DPR).
        logits: (label,), (token, label) or (token, vocabulary), what the task head makes of them; None without a head.
    """

    hidden: Float[Tensor, "*token d_model"]
    logits: Float[Tensor, "*token label"] | None = None


def outputs_of(model: Any, task: Any, inputs: dict[str, Any], lengths: list[int]) -> list[Output]:
    """Runs a model, or the whole that has it inside, on a padded batch.

    Args:
        task: the model with its head, in which ``model`` runs; None: ``model`` alone.
        lengths: how many tokens each text has.
    """
    if task is None:
        hidden = model(**inputs)[0]
        return [Output(_of_text(states, length)) for states, length in zip(hidden, lengths, strict=True)]
    seen: list[Tensor] = []
    handle = model.register_forward_hook(lambda module, arguments, output: seen.append(output[0]))
    try:
        logits = task(**inputs).logits
    finally:
        handle.remove()
    return [
        Output(_of_text(states, length), _of_text(scores, length))
        for states, scores, length in zip(seen[-1], logits, lengths, strict=True)
    ]


def _of_text(states: Float[Tensor, "*position d"], length: int) -> Float[Tensor, "*token d"]:
    """Keeps what belongs to one text, without padding; a vector of the text as it is."""
    return states[:length] if states.ndim > 1 else states


def check_unchanged(whole: Any, origin: Any, is_hooked: bool) -> None:
    """Checks that a model computes as when it was loaded.

    Args:
        whole: the model, with its head if it has one.
        origin: the caller's model in memory whose weights it shares; None if there is none.
        is_hooked: whether its own attention is run, and weights are hooked.

    Raises:
        ModelError: the model was changed.
    """
    if origin is not None and memory_of(origin) != memory_of(whole):
        raise ModelError(
            "the model in memory was changed after it was given: its weights lie elsewhere",
            "load_encoder(model, ...) anew",
        )
    if any(module.training for module in whole.modules()):
        raise ModelError("the model is in training mode, where dropout makes weights random", "call .model.eval()")
    usual = "eager" if is_hooked else NAME
    found = getattr(whole.config, "_attn_implementation", usual)
    if found != usual:
        raise ModelError(f"the model's attention was set to {found!r} after it was loaded", "load it anew")
