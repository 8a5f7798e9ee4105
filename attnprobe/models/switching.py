"""Switches heads off while a model runs: what is put in place of a head's context, or of its weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from itertools import groupby
from operator import itemgetter, or_
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnprobe.attention.blocks import Block
from attnprobe.models.edits import Edit
from attnprobe.models.outlets import Outlet, check_edit
from attnprobe.values.switches import Head, Off

Context = Float[Tensor, "text query head d_v"]

_lock = Lock()
_blocks: WeakKeyDictionary[Any, dict[object, Off | None]] = WeakKeyDictionary()  # by encoder, those it is in


def zeroed(context: Context, heads: Sequence[int]) -> Context:
    """Puts 0 in place of these heads' contexts, as if W_O had no columns for them; b_O stays."""
    changed = context.clone()
    changed[:, :, heads] = 0
    return changed


def averaged(context: Context, heads: Sequence[int]) -> Context:
    """Puts its mean over the text's positions in place of each of these heads' contexts."""
    changed = context.clone()
    changed[:, :, heads] = context[:, :, heads].mean(1, keepdim=True)
    return changed


def even(block: Block, heads: Sequence[int]) -> Float[Tensor, "text head query key"] | None:
    """Puts 1 / (keys that the query may see) in place of these heads' weights; None if the block has none of them."""
    size = block.weights.shape[1]
    first = 0 if block.heads is None else block.heads.start
    here = [head - first for head in heads if 0 <= head - first < size]
    if not here:
        return None
    changed = block.weights.clone()
    changed[:, here] = evenly(block.weights[0, 0], block.allowed)
    return changed


def evenly(like: Float[Tensor, "query key"], allowed: Bool[Tensor, "query key"] | None) -> Float[Tensor, "query key"]:
    """Makes weights of 1 / (keys that the query may see)."""
    seen = torch.ones_like(like) if allowed is None else allowed.to(like.dtype)
    return seen / seen.sum(-1, keepdim=True).clamp(min=1)


def edit_of(off: Off) -> Edit:
    """Makes the edit that switches heads off in a run."""
    zero, mean, uniform = (_by_layer(heads) for heads in (off.zero, off.mean, off.uniform))

    def context(layer: int, texts: slice, whole: Context) -> Context:
        whole = zeroed(whole, zero[layer]) if layer in zero else whole
        return averaged(whole, mean[layer]) if layer in mean else whole

    def weights(layer: int, texts: slice, block: Block) -> Tensor | None:
        return even(block, uniform[layer]) if layer in uniform else None

    return Edit(weights=weights if uniform else None, context=context if zero or mean else None)


def _by_layer(chosen: Iterable[Head]) -> dict[int, list[int]]:
    """Lists the heads of each layer that has some."""
    return {layer: [head for _, head in some] for layer, some in groupby(sorted(chosen), itemgetter(0))}


def without_heads(encoder: Any, heads: Any, how: str) -> Any:
    """Returns an encoder of the same model in whose runs these heads are off; see :meth:`Encoder.heads_off`."""
    off, outlets = _asked(encoder, heads, how)
    return replace(encoder, outlets=outlets, off=added(encoder.off, off))


@contextmanager
def switched(encoder: Any, heads: Any, how: str) -> Iterator[None]:
    """Adds heads to those that an encoder has switched off, inside a with-block; see :meth:`Encoder.heads_off`.

    Blocks of several threads may end in any order: each takes away what it added.
    """
    off, outlets = _asked(encoder, heads, how)
    key = object()
    with _lock:
        object.__setattr__(encoder, "outlets", outlets)  # the encoder is frozen for all others
        blocks = _blocks.setdefault(encoder, {None: encoder.off})
        blocks[key] = off
        _settle(encoder, blocks)
    try:
        yield
    finally:
        with _lock:
            del blocks[key]
            _settle(encoder, blocks)


def _settle(encoder: Any, blocks: Mapping[object, Off | None]) -> None:
    """Makes an encoder switch off the heads of all blocks that it is in."""
    object.__setattr__(encoder, "off", added(*blocks.values()))


def added(*offs: Off | None) -> Off | None:
    """Adds heads to those that are off; the last says how a head is that comes twice."""
    return reduce(or_, filter(None, offs), Off()) or None


def _asked(encoder: Any, heads: Any, how: str) -> tuple[Off, tuple[Outlet, ...]]:
    """Reads which heads to switch off, and finds the outlets that this takes; none where weights are not hooked.

    Raises:
        UsageError: these are no heads of the model.
        ModelError: the model's heads cannot be changed.
    """
    off = Off.of(heads, how, encoder.layers, encoder.heads)
    is_sought = encoder.tap and encoder.editable and not (encoder.outlets or off.uniform)
    found = encoder.editable(encoder) if is_sought else encoder
    check_edit(found, edit_of(off))
    return off, found.outlets
