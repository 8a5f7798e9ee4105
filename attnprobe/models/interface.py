"""Captures weights through transformers' AttentionInterface, by attention in blocks in place of the model's.

Registered once under the name attnprobe. While :func:`listening`, every attention call of the model computes
``attention_in_blocks`` over the valid keys only, texts of one length together, and shows the blocks to the listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from attnprobe.attention.blocks import Observer, attention_in_blocks
from attnprobe.attention.threads import Pool
from attnprobe.models.edits import Edit
from attnprobe.models.layouts import Reach
from attnprobe.models.sources import ValueNorms

NAME = "attnprobe"
FAR = 2**17  # tokens; more than any encoder reads


@dataclass(frozen=True)
class Call:
    """The arguments of one layer's attention, for texts of one length; see ``attention_in_blocks``."""

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
    """Neighbouring texts of one length in a batch, which are observed together.

    Attributes:
        number: the group's number, by which the observer is requested.
        texts: the slice of the batch.
        span: the valid positions; padding is outside.
        starts: the rows where a block may start; None: any.
    """

    number: int
    texts: slice
    span: slice
    starts: Sequence[int] | None = None

    def counted_from(self, first: int) -> Group:
        """Returns the same group in a batch that begins with another text."""
        return replace(self, texts=slice(self.texts.start - first, self.texts.stop - first))


def each_alone(spans: Sequence[slice]) -> list[Group]:
    """Makes a group of each text of a batch.

    Args:
        spans: the valid positions of each text.
    """
    return [Group(number, slice(number, number + 1), span) for number, span in enumerate(spans)]


def passes(groups: Sequence[Group], *, together: bool) -> list[list[Group]]:
    """Splits groups into forward passes: all in one, or one for each length, where padding would change weights."""
    if together:
        return [list(groups)]
    return [list(alike) for _, alike in groupby(groups, lambda group: group.span.stop)]


@dataclass
class Listener:
    """Receives the weights during one forward pass.

    Attributes:
        groups: the texts of the batch, in its order.
        observe: (layer, group) -> an observer of that group's blocks in that layer, or None to compute without showing.
        compiled, pool: see :func:`attnprobe.attention.blocks.attention_in_blocks`.
        on_call: called with the arguments of each attention, before it is computed.
        on_returned: called with the layer, a tensor of weights that a hooked module returns, and the permutation that
            brings the axes to (text, head, query, key).
        edit: the changes to the attention.
        first_text: the index of the batch's first text in the whole run, by which edits count texts.
        gradients: see :func:`attnprobe.attention.blocks.attention_in_blocks`.
        finds_reach: whether to note in ``reach`` how far each layer sees.
        calls: how many attention layers ran so far. Layers are counted by call: ALBERT calls one module many times.
        reach: by layer, which keys a query may see; None if a mask does not show it.
        masks: the masks made so far, each with the reach.
        value_norms: what contributions are made with; None: blocks show weights.
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
    pool: Pool | None = None
    value_norms: ValueNorms | None = None
    on_returned: Callable[[int, Tensor, tuple[int, ...]], None] | None = None

    def changed(self, layer: int, texts: slice, context: Float[Tensor, "text query head d_v"]) -> Tensor:
        """Edits the context of some of the batch's texts."""
        if self.edit is None or self.edit.context is None:
            return context
        texts = slice(texts.start + self.first_text, texts.stop + self.first_text)
        return self.edit.context(layer, texts, context).to(context.dtype)

    def reach_of(self, mask: Tensor | None) -> Reach | None:
        """Returns the reach of a mask that was made during this run; None if unknown."""
        return Reach() if mask is None else next((reach for made, reach in self.masks if made is mask), None)


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def present_listener() -> Listener | None:
    """Returns the listener of the current run; other runs, in other threads or around this one, have others."""
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
    """Computes attention for models, with the signature and result of transformers' AttentionInterface.

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
    """Makes a listener that observes nothing, for a model that runs outside of attnprobe."""
    groups = each_alone([slice(0, query.shape[2])] * len(query))
    return Listener(groups, lambda layer, group: None, gradients=torch.is_grad_enabled())


Part = tuple[slice, slice, Tensor]  # texts, their valid positions, (text, query, head, d_v)


def _attend(batch: Call, mask: Tensor | None, group: Group, listener: Listener) -> Iterator[Part]:
    """Computes the attention of a group, mask by mask, and shows it to the group's observer."""
    observe, edit, norms = listener.observe(batch.layer, group.number), listener.edit, listener.value_norms
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
            pool=listener.pool,
            value_norms=norms.of_values(batch.layer, value) if norms and observe else None,
            as_contributions=norms is not None and norms.shown,
        )
        yield texts, group.span, listener.changed(batch.layer, texts, context)


def _joined(parts: Sequence[Part], batch: Call) -> Float[Tensor, "batch query head d_v"]:
    """Joins the batch's attention, with zeros for padding."""
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
    """Groups texts that share a mask, with the mask (None if it hides nothing) and their bias, over valid positions.

    Raises:
        ValueError: ``attention_in_blocks`` cannot apply the mask.
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
        for index in range(len(allowed)):
            of_text = biases if biases is None or len(biases) == 1 else biases[index : index + 1]
            text = group.texts.start + index
            yield slice(text, text + 1), None if allowed[index].all() else allowed[index, 0], of_text


def _valid(tensor: Tensor, group: Group) -> Tensor:
    """(text or 1, head or 1, query or 1, key) of a group's valid positions."""
    some = tensor[group.texts] if tensor.shape[0] > 1 else tensor
    return some[:, :, group.span if some.shape[2] > 1 else slice(None), group.span]


def _mask(*arguments: Any, mask_function: Callable[..., Any], **options: Any) -> Tensor | None:
    """Makes the mask, True where a query may see a key; causal layers always get one, or it would be unknown.

    While the reach of layers is being found, all layers get one, and the listener notes the reach.
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
    """Finds how far a mask lets a query see, for a query with FAR keys on each side; None if there are gaps."""
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
