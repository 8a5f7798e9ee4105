"""Capture through transformers' AttentionInterface: our own attention, in blocks, in place of the model's.

Registered once under the name attnprobe. While :func:`listening`, every attention call of the model computes
``attention_in_blocks`` text by text over the valid keys only, and shows the blocks to the listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from attnprobe.attention.blocks import Observer, attention_in_blocks
from attnprobe.models.layouts import Reach

NAME = "attnprobe"
FAR = 2**17  # tokens; more than any encoder reads


@dataclass
class Listener:
    """Who hears of the weights during one forward pass.

    Attributes:
        spans: the valid positions of each text of the batch; padding is outside.
        observe: (layer, text) -> an observer of that text's blocks in that layer, or None to compute without showing.
        starts: per text, the rows where a block may start; None: any.
        calls: attention layers seen so far. Layers are counted by call: ALBERT calls one module many times.
        reach: by layer, which keys a query may see; only where ``finds_reach``, None where a mask does not say.
    """

    spans: Sequence[slice]
    observe: Callable[[int, int], Observer | None]
    starts: Sequence[Sequence[int] | None] | None = None
    finds_reach: bool = False
    calls: int = 0
    reach: list[Reach | None] = field(default_factory=list)


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[Listener]:
    """Shows the weights of the forward passes inside the with-block to the listener."""
    token = _listener.set(listener)
    try:
        yield listener
    finally:
        _listener.reset(token)


def attention(
    module: nn.Module,
    query: Float[Tensor, "batch head query d_k"],
    key: Float[Tensor, "batch head_kv key d_k"],
    value: Float[Tensor, "batch head_kv key d_v"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: Float[Tensor, "#batch #head #query key"] | None = None,
    softcap: float | None = None,
    s_aux: Float[Tensor, " head"] | None = None,
    **rest: Any,
) -> tuple[Float[Tensor, "batch query head d_v"], None]:
    """The function that models call; its signature and result are transformers' AttentionInterface.

    Padding queries get a zero output, which no valid token reads.

    Raises:
        ValueError: the model asks for a term that this function does not compute (caught by the self-check).
    """
    if dropout or rest.get("head_mask") is not None:
        raise ValueError("attention with dropout or a head mask is not computed in blocks")
    listener = _listener.get()
    spans = listener.spans if listener else [slice(0, query.shape[2])] * len(query)
    layer = listener.calls if listener else 0
    output = query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[-1])
    for text, span in enumerate(spans):
        allowed, bias = _masks(attention_mask, position_bias, text, span)
        output[text, span] = attention_in_blocks(
            query[text, :, span],
            key[text, :, span],
            value[text, :, span],
            query.shape[-1] ** -0.5 if scaling is None else float(scaling),
            bias=bias,
            allowed=allowed,
            observe=listener.observe(layer, text) if listener else None,
            starts=listener.starts[text] if listener and listener.starts else None,
            softcap=softcap,
            sinks=s_aux,
        )
    if listener:
        listener.calls += 1
        if listener.finds_reach:
            listener.reach.append(Reach() if attention_mask is None else getattr(attention_mask, "reach", None))
    return output, None


def _masks(mask: Tensor | None, bias: Tensor | None, text: int, span: slice) -> tuple[Tensor | None, Tensor | None]:
    """One text's part of the mask and the bias, over its valid positions; a mask that hides nothing there is None."""
    if bias is not None:
        bias = _part(bias, text, span)
    if mask is None:
        return None, bias
    part = _part(mask, text, span)
    allowed = part[0] if part.dtype == torch.bool else part[0] > torch.finfo(part.dtype).min / 2
    if part.shape[0] > 1 or (part.dtype != torch.bool and bool(part[0][allowed].any())):
        raise ValueError("a mask that differs between heads or carries a bias is not computed in blocks")
    return None if allowed.all() else allowed, bias


def _part(tensor: Tensor, text: int, span: slice) -> Tensor:
    """(batch or 1, head or 1, query or 1, key) -> (head or 1, query or 1, key) of one text's valid positions."""
    part = tensor[text if tensor.shape[0] > 1 else 0]
    return part[:, span if part.shape[1] > 1 else slice(None), span]


def _mask(*arguments: Any, mask_function: Callable[..., Any], **options: Any) -> Tensor | None:
    """True where a query may see a key. Never left out for causal layers, whose mask we would otherwise not know.

    While the reach of layers is being found out, it is never left out at all and carries its reach.
    """
    listener = _listener.get()
    finds_reach = listener is not None and listener.finds_reach
    if finds_reach:
        options["allow_is_bidirectional_skip"] = False
    mask: Tensor | None = sdpa_mask(
        *arguments, mask_function=mask_function, **{**options, "allow_is_causal_skip": False}
    )
    if finds_reach and mask is not None:
        mask.reach = _reach(mask_function)  # type: ignore[attr-defined]  # a tensor takes any attribute
    return mask


def _reach(mask_function: Callable[..., Any]) -> Reach | None:
    """How far a mask lets a query see, asked of a query with FAR keys on each side; None where there are gaps."""
    key = torch.arange(2 * FAR + 1)
    zero = torch.tensor(0)
    try:
        seen = torch.as_tensor(mask_function(zero, zero, torch.tensor(FAR), key)).expand(key.shape).nonzero()[:, 0]
    except (IndexError, RuntimeError):  # it looks positions up in a table of the text
        return None
    left, right = FAR - int(seen[0]), int(seen[-1]) - FAR
    if len(seen) != left + right + 1:
        return None
    return Reach(left if left < FAR else None, right if right < FAR else None)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, _mask)
