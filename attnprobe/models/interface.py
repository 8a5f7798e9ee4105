"""Capture through transformers' AttentionInterface: our own attention, in blocks, in place of the model's.

Registered once under the name attnprobe. While :func:`listening`, every attention call of the model computes
``attention_in_blocks`` over the valid keys only, texts of one length together, and shows the blocks to the listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from attnprobe.attention.blocks import Observer, attention_in_blocks
from attnprobe.models.layouts import Reach

NAME = "attnprobe"
FAR = 2**17  # tokens; more than any encoder reads


@dataclass(frozen=True)
class Call:
    """What one layer's attention is called with, for texts of one length; see ``attention_in_blocks``."""

    layer: int
    query: Float[Tensor, "text head query d_k"]
    key: Float[Tensor, "text head_kv key d_k"]
    value: Float[Tensor, "text head_kv key d_v"]
    scale: float
    bias: Float[Tensor, "#text #head #query key"] | None
    allowed: Bool[Tensor, "#query key"] | None
    softcap: float | None
    sinks: Float[Tensor, " head"] | None


@dataclass
class Listener:
    """Who hears of the weights during one forward pass.

    Attributes:
        spans: the valid positions of each text of the batch; padding is outside.
        observe: (layer, group) -> an observer of that group's blocks in that layer, or None to compute without showing.
        groups: which texts are observed together, all of one length; None: each by itself.
        starts: per group, the rows where a block may start; None: any.
        compiled: see :func:`attnprobe.attention.blocks.attention_in_blocks`.
        calls: attention layers seen so far. Layers are counted by call: ALBERT calls one module many times.
        reach: by layer, which keys a query may see; only where ``finds_reach``, None where a mask does not say.
        witness: who hears of every call of an attention before it is computed.
    """

    spans: Sequence[slice]
    observe: Callable[[int, int], Observer | None]
    groups: Sequence[Sequence[int]] | None = None
    starts: Sequence[Sequence[int] | None] | None = None
    finds_reach: bool = False
    compiled: bool = False
    calls: int = 0
    reach: list[Reach | None] = field(default_factory=list)
    witness: Callable[[Call], None] | None = None

    def __post_init__(self) -> None:
        self.groups = self.groups or [[text] for text in range(len(self.spans))]

    def members(self) -> Iterator[tuple[int, list[int], slice, Sequence[int] | None]]:
        """Each group: its number, its texts, their valid positions, the rows where a block may start."""
        for number, texts in enumerate(self.groups or ()):
            yield number, list(texts), self.spans[texts[0]], self.starts[number] if self.starts else None


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def present_listener() -> Listener | None:
    """Who listens to the run that asks; other runs, in other threads or around this one, are none of its business."""
    return _listener.get()


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
    listener = _listener.get() or Listener([slice(0, query.shape[2])] * len(query), lambda layer, group: None)
    output: Tensor | None = None
    for number, texts, span, starts in listener.members():
        observe = listener.observe(listener.calls, number)
        for some, allowed, bias in _masked(attention_mask, position_bias, texts, span):
            at = _together(some)
            scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
            q, k, v = (each[at][:, :, span] for each in (query, key, value))
            if listener.witness:
                listener.witness(Call(listener.calls, q, k, v, scale, bias, allowed, softcap, s_aux))
            part = attention_in_blocks(
                q,
                k,
                v,
                scale,
                bias=bias,
                allowed=allowed,
                observe=_shifted(observe, texts.index(some[0])),
                starts=starts,
                softcap=softcap,
                sinks=s_aux,
                compiled=listener.compiled,
            )
            if part.shape[:2] == (query.shape[0], query.shape[2]):
                output = part
            else:
                if output is None:
                    output = query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[-1])
                output[at, span] = part
    listener.calls += 1
    if listener.finds_reach:
        listener.reach.append(Reach() if attention_mask is None else getattr(attention_mask, "reach", None))
    assert output is not None
    return output, None


def _together(texts: list[int]) -> slice | list[int]:
    """Texts that stand side by side as a slice, which is read without a copy."""
    first, stop = texts[0], texts[0] + len(texts)
    return slice(first, stop) if texts == list(range(first, stop)) else texts


def _shifted(observe: Observer | None, by: int) -> Observer | None:
    """The observer of a group, for blocks whose texts are counted from one further on."""
    if observe is None or by == 0:
        return observe
    return lambda block: observe(replace(block, texts=slice(block.texts.start + by, block.texts.stop + by)))


def _masked(
    mask: Tensor | None, bias: Tensor | None, texts: list[int], span: slice
) -> Iterator[tuple[list[int], Tensor | None, Tensor | None]]:
    """The texts that share a mask, with that mask (None if it hides nothing) and their bias, over valid positions.

    Raises:
        ValueError: the mask does what ``attention_in_blocks`` does not.
    """
    biases = None if bias is None else _part(bias, texts, span)
    if mask is None:
        yield texts, None, biases
        return
    part = _part(mask, texts, span)
    allowed = part if part.dtype == torch.bool else part > torch.finfo(part.dtype).min / 2
    if part.shape[1] > 1 or (part.dtype != torch.bool and bool(part[allowed].any())):
        raise ValueError("a mask that differs between heads or carries a bias is not computed in blocks")
    if allowed.all():
        yield texts, None, biases
    elif len(allowed) == 1 or bool((allowed == allowed[:1]).all()):
        yield texts, allowed[0, 0], biases
    else:
        for place, text in enumerate(texts):
            own = biases if biases is None or len(biases) == 1 else biases[place : place + 1]
            yield [text], None if allowed[place].all() else allowed[place, 0], own


def _part(tensor: Tensor, texts: list[int], span: slice) -> Tensor:
    """(batch or 1, head or 1, query or 1, key) of these texts' valid positions."""
    part = tensor[_together(texts)] if tensor.shape[0] > 1 else tensor
    return part[:, :, span if part.shape[2] > 1 else slice(None), span]


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
