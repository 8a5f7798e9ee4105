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
from attnprobe.models.edits import Edit
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


@dataclass(frozen=True)
class Group:
    """Texts of one length that stand side by side in a batch and are observed together.

    Attributes:
        number: the observer is asked for by this number.
        texts: which texts of the batch.
        span: their valid positions; padding is outside.
        starts: the rows where a block may start; None: any.
    """

    number: int
    texts: slice
    span: slice
    starts: Sequence[int] | None = None

    def counted_from(self, first: int) -> Group:
        """The same group in a batch that begins with another text."""
        return replace(self, texts=slice(self.texts.start - first, self.texts.stop - first))


def each_alone(spans: Sequence[slice]) -> list[Group]:
    """Every text of a batch as a group of its own.

    Args:
        spans: the valid positions of each text.
    """
    return [Group(number, slice(number, number + 1), span) for number, span in enumerate(spans)]


@dataclass
class Listener:
    """Receives the weights during one forward pass.

    Attributes:
        groups: the texts of the batch, in its order.
        observe: (layer, group) -> an observer of that group's blocks in that layer, or None to compute without showing.
        compiled: see :func:`attnprobe.attention.blocks.attention_in_blocks`.
        on_call: is called with what each attention is computed from, before it is computed.
        edit: what is changed in the attention.
        first_text: the number of the batch's first text among those of the whole run, by which edits know them.
        gradients: see :func:`attnprobe.attention.blocks.attention_in_blocks`.
        finds_reach: whether to note in ``reach`` how far each layer sees.
        calls: attention layers seen so far. Layers are counted by call: ALBERT calls one module many times.
        reach: by layer, which keys a query may see; None where a mask does not say.
        masks: the masks made so far, each with its reach.
    """

    groups: Sequence[Group]
    observe: Callable[[int, int], Observer | None]
    compiled: bool = False
    on_call: Callable[[Call], None] | None = None
    edit: Edit | None = None
    first_text: int = 0
    gradients: bool = False
    finds_reach: bool = False
    calls: int = 0
    reach: list[Reach | None] = field(default_factory=list)
    masks: list[tuple[Tensor, Reach | None]] = field(default_factory=list)

    def changed(self, layer: int, texts: slice, context: Float[Tensor, "text query head d_v"]) -> Tensor:
        """The context of some of the batch's texts as the edit changes it."""
        if self.edit is None or self.edit.context is None:
            return context
        texts = slice(texts.start + self.first_text, texts.stop + self.first_text)
        return self.edit.context(layer, texts, context).to(context.dtype)

    def reach_of(self, mask: Tensor | None) -> Reach | None:
        """The reach of a mask that was made while this listens; None: not known."""
        return Reach() if mask is None else next((reach for made, reach in self.masks if made is mask), None)


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def present_listener() -> Listener | None:
    """The listener of the run that asks; other runs, in other threads or around this one, have others."""
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
    listener = _listener.get() or _deaf(query)
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    batch = Call(listener.calls, query, key, value, scale, position_bias, None, softcap, s_aux)
    parts = [part for group in listener.groups for part in _attend(batch, attention_mask, group, listener)]
    listener.calls += 1
    if listener.finds_reach:
        listener.reach.append(listener.reach_of(attention_mask))
    return _joined(parts, batch), None


def _deaf(query: Tensor) -> Listener:
    """A listener that observes nothing, for a model that runs by itself."""
    groups = each_alone([slice(0, query.shape[2])] * len(query))
    return Listener(groups, lambda layer, group: None, gradients=torch.is_grad_enabled())


Part = tuple[slice, slice, Tensor]  # texts, their valid positions, (text, query, head, d_v)


def _attend(batch: Call, mask: Tensor | None, group: Group, listener: Listener) -> Iterator[Part]:
    """The attention of a group's texts, those that share a mask at a time, shown to the group's observer."""
    observe, edit = listener.observe(batch.layer, group.number), listener.edit
    edit_blocks = edit.of_blocks(batch.layer, listener.first_text + group.texts.start) if edit else None
    for texts, allowed, bias in _masked(mask, batch.bias, group):
        query, key, value = (tensor[texts, :, group.span] for tensor in (batch.query, batch.key, batch.value))
        call = replace(batch, query=query, key=key, value=value, bias=bias, allowed=allowed)
        if listener.on_call:
            listener.on_call(call)
        context = attention_in_blocks(
            query,
            key,
            value,
            call.scale,
            bias=bias,
            allowed=allowed,
            observe=observe,
            starts=group.starts,
            softcap=call.softcap,
            sinks=call.sinks,
            compiled=listener.compiled,
            first_text=texts.start - group.texts.start,
            edit=edit_blocks,
            gradients=listener.gradients,
        )
        yield texts, group.span, listener.changed(batch.layer, texts, context)


def _joined(parts: Sequence[Part], batch: Call) -> Float[Tensor, "batch query head d_v"]:
    """The batch's attention; zeros where it is padded."""
    texts, heads, queries, _ = batch.query.shape
    whole = parts[0][2]
    if whole.shape[:2] == (texts, queries):
        return whole
    output = batch.query.new_zeros(texts, queries, heads, batch.value.shape[-1])
    for some, span, context in parts:
        output[some, span] = context
    return output


def _masked(
    mask: Tensor | None, bias: Tensor | None, group: Group
) -> Iterator[tuple[slice, Tensor | None, Tensor | None]]:
    """The texts that share a mask, with that mask (None if it hides nothing) and their bias, over valid positions.

    Raises:
        ValueError: the mask does what ``attention_in_blocks`` does not.
    """
    biases = None if bias is None else _valid(bias, group)
    if mask is None:
        yield group.texts, None, biases
        return
    masks = _valid(mask, group)
    allowed = masks if masks.dtype == torch.bool else masks > torch.finfo(masks.dtype).min / 2
    if masks.shape[1] > 1 or (masks.dtype != torch.bool and bool(masks[allowed].any())):
        raise ValueError("a mask that differs between heads or carries a bias is not computed in blocks")
    if allowed.all():
        yield group.texts, None, biases
    elif len(allowed) == 1 or bool((allowed == allowed[:1]).all()):
        yield group.texts, allowed[0, 0], biases
    else:
        for place in range(len(allowed)):
            own = biases if biases is None or len(biases) == 1 else biases[place : place + 1]
            text = group.texts.start + place
            yield slice(text, text + 1), None if allowed[place].all() else allowed[place, 0], own


def _valid(tensor: Tensor, group: Group) -> Tensor:
    """(text or 1, head or 1, query or 1, key) of a group's valid positions."""
    some = tensor[group.texts] if tensor.shape[0] > 1 else tensor
    return some[:, :, group.span if some.shape[2] > 1 else slice(None), group.span]


def _mask(*arguments: Any, mask_function: Callable[..., Any], **options: Any) -> Tensor | None:
    """True where a query may see a key. Never left out for causal layers, whose mask we would otherwise not know.

    While the reach of layers is being found out, it is never left out at all, and the listener notes its reach.
    """
    listener = _listener.get()
    finding = listener if listener and listener.finds_reach else None
    if finding:
        options["allow_is_bidirectional_skip"] = False
    mask: Tensor | None = sdpa_mask(
        *arguments, mask_function=mask_function, **{**options, "allow_is_causal_skip": False}
    )
    if finding and mask is not None:
        finding.masks.append((mask, _reach(mask_function)))
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
