"""How modules lay out the attention they return -> blocks of rows over the text's own tokens.

To add a layout: one function here, one row in LAYOUTS, its name in the families' rows of ``families.py``. A layout is
given the output of one layer and never builds query × key weights that the model itself does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnprobe.attention.blocks import BLOCK_ROWS, Block, exact, tiles


@dataclass(frozen=True)
class Reach:
    """The keys that the queries of a layer may see.

    Attributes:
        left, right: how many tokens before and after the query at most; None: all.
        block: how many tokens are in a block, if a query sees only the block it is in; None: there are no blocks.
        pooled: whether queries or keys are several tokens pooled into one; they then see all.
    """

    left: int | None = None
    right: int | None = None
    block: int | None = None
    pooled: bool = False

    @property
    def everything(self) -> bool:
        """Whether all queries see all keys."""
        return self.left is None and self.right is None and self.block is None

    def __str__(self) -> str:
        """Describes the reach in words.

        >>> str(Reach()), str(Reach(4, 4)), str(Reach(None, 0)), str(Reach(7, 8))
        ('all tokens', '4 tokens on each side', 'itself and all before', '7 tokens before, 8 after')
        >>> str(Reach(block=128)), str(Reach(pooled=True))
        ('its own block of 128 tokens', 'several tokens pooled into one, so only entropies are given')
        """
        if self.block is not None:
            return f"its own block of {self.block} tokens"
        if self.pooled:
            return "several tokens pooled into one, so only entropies are given"
        if self.left == self.right:
            return "all tokens" if self.left is None else f"{self.left} tokens on each side"
        before = "all" if self.left is None else f"{self.left} tokens"
        after = "all" if self.right is None else self.right
        return f"itself and {before} before" if self.right == 0 else f"{before} before, {after} after"

    def allowed(self, rows: slice, keys: slice, device: torch.device) -> Bool[Tensor, "query key"] | None:
        """Makes the mask; None if all queries see all keys."""
        return None if self.everything else self.mask(rows, keys, device)

    def mask(self, rows: slice, keys: slice, device: torch.device) -> Bool[Tensor, "query key"]:
        """Makes the mask of ``rows`` and ``keys``, True where a query may see a key."""
        query = torch.arange(rows.start, rows.stop, device=device)[:, None]
        key = torch.arange(keys.start, keys.stop, device=device)
        if self.block is not None:
            return query // self.block == key // self.block
        left = rows.stop if self.left is None else self.left
        right = keys.stop if self.right is None else self.right
        return (key >= query - left) & (key <= query + right)


@dataclass(frozen=True)
class Returned:
    """What the attention of one layer returned for a batch.

    Attributes:
        weights: the weights as they are in the model's ``attentions``, batch first; several if a layer calls its
            attention several times.
        output: all that the module returned.
        layer: counted from 0.
        config: the model's.
        reach: which keys a query may see; None if unknown.
        inputs: the arguments of the model.
    """

    weights: Sequence[Tensor]
    output: Any
    layer: int
    config: Any
    reach: Reach | None = None
    inputs: Mapping[str, Tensor] = field(default_factory=dict)


Path = tuple[Any, ...]
Rows = Callable[[Returned, int, int, Sequence[int] | None], Iterator[Block]]


@dataclass(frozen=True)
class Layout:
    """A way of laying out weights.

    Attributes:
        rows: (returned, text, length, starts) -> the blocks of the batch's text, whose first ``length`` positions are
            its tokens; ``starts`` as in :func:`tiles`.
        reach: (config, layer) -> which keys a query may see; None: found out from the weights.
        calls: (config, layer, length) -> how often a layer calls its attention.
        pools: whether some layers have fewer positions than the text, so that texts must be run without padding.
        beside: the path in the module's output to other weights, which would pile up over layers.
    """

    rows: Rows
    reach: Callable[[Any, int], Reach] | None = None
    calls: Callable[[Any, int, int], int] = lambda config, layer, length: 1
    pools: bool = False
    beside: Path | None = None


def square(returned: Returned, text: int, length: int, starts: Sequence[int] | None) -> Iterator[Block]:
    """Reads (batch, head, query, key); tokens appended after the text are dropped (VideoPrism)."""
    yield from _dense(returned.weights[0][text, :, :length, :length], returned.reach, starts)


def scores(returned: Returned, text: int, length: int, starts: Sequence[int] | None) -> Iterator[Block]:
    """Reads scores that are returned before the softmax (SqueezeBERT, ProphetNet)."""
    weights = returned.weights[0][text, :, :length, :length]
    yield from _dense(weights.softmax(-1, dtype=exact(weights.dtype)), returned.reach, starts)


def prompted(returned: Returned, text: int, length: int, starts: Sequence[int] | None) -> Iterator[Block]:
    """Reads weights after tokens that the model puts before the text; their share is missing (CPM-Ant)."""
    shown = slice(-returned.inputs["input_ids"].shape[1], None)
    weights = returned.weights[0][text, :, shown, shown][:, :length, :length]
    yield from _dense(weights, returned.reach, starts, complete=False)


def pooled(returned: Returned, text: int, length: int, starts: Sequence[int] | None) -> Iterator[Block]:
    """Reads layers whose queries, or queries and keys, are several tokens pooled into one (Funnel)."""
    weights = returned.weights[0][text]
    is_pooled = weights.shape[1:] != (length, length)
    yield from _dense(weights, returned.reach, None if is_pooled else starts, pooled=is_pooled)


def characters(returned: Returned, text: int, length: int, starts: Sequence[int] | None) -> Iterator[Block]:
    """Reads chunks of characters, one per call, in layer 0; then molecules of several; then characters (CANINE)."""
    if returned.layer > 0:
        yield from pooled(returned, text, length, starts)
        return
    size = returned.config.local_transformer_stride
    chunks = [weights[text].to(exact(weights.dtype)) for weights in returned.weights]
    missing = size - chunks[-1].shape[-1]
    chunks[-1] = torch.nn.functional.pad(chunks[-1], (0, missing, 0, missing))
    blocks = torch.stack(chunks)
    for _, heads, rows in tiles(blocks.shape[1], length, min(length, 2 * size), starts):
        keys, weights = _unblocked(blocks[:, heads], rows, length, size)
        yield Block(rows, keys, weights[None], heads, allowed=Reach(block=size).mask(rows, keys, weights.device))


def banded(returned: Returned, text: int, length: int, starts: Sequence[int] | None) -> Iterator[Block]:
    """Reads (batch, head, query, global keys + window): window column j is key q − window/2 + j (Longformer, LED).

    Queries with global attention have separate rows, (batch, head, global query, key), returned next.
    """
    weights = returned.weights[0][text]
    side = returned.config.attention_window[returned.layer] // 2
    mask = returned.inputs.get("global_attention_mask")
    n_global = weights.shape[-1] - (2 * side + 1)
    for _, heads, rows in tiles(
        len(weights), length, length if n_global else min(length, 2 * side + BLOCK_ROWS), starts
    ):
        keys = slice(0, length) if n_global else slice(max(0, rows.start - side), min(length, rows.stop + side))
        part = weights[heads, rows].to(exact(weights.dtype))
        dense = _unbanded(part[..., n_global:], rows, keys, side)
        allowed = Reach(side, side).mask(rows, keys, weights.device)
        if mask is not None:
            everywhere = mask[text, :length].nonzero()[:, 0]
            dense[..., everywhere] += part[..., : len(everywhere)]
            is_global = torch.zeros(length, dtype=torch.bool, device=weights.device).index_fill_(0, everywhere, True)
            global_rows = returned.output[-1][text, heads, : len(everywhere), :length].to(dense.dtype)
            here = is_global[rows]
            dense[:, here] = global_rows[:, (everywhere >= rows.start) & (everywhere < rows.stop)]
            allowed = allowed | is_global[keys] | here[:, None]
        yield Block(rows, keys, dense[None], heads, allowed=allowed)


def _unbanded(
    band: Float[Tensor, "head query window"], rows: slice, keys: slice, side: int
) -> Float[Tensor, "head query key"]:
    """Makes rows over ``keys`` from a window around each query, whose diagonals become the rows' columns."""
    heads, queries, window = band.shape
    width = queries + window - 1  # keys from rows.start − side on
    memory = band.new_zeros(heads, queries, width + 1)
    memory.as_strided(band.shape, (queries * (width + 1), width + 2, 1)).copy_(band)
    first = rows.start - side
    dense = band.new_zeros(heads, queries, keys.stop - keys.start)
    low, high = max(keys.start, first), min(keys.stop, first + width)
    dense[..., low - keys.start : high - keys.start] = memory[..., low - first : high - first]
    return dense


def neighbours(returned: Returned, text: int, length: int, starts: Sequence[int] | None) -> Iterator[Block]:
    """Reads (batch, block, head, query, key): keys of the block and its two neighbours, then side tokens (LongT5)."""
    weights = returned.weights[0][text].transpose(0, 1)
    size = weights.shape[2]
    reach = Reach(size - 1, size - 1)
    complete = weights.shape[-1] == 3 * size
    for _, heads, rows in tiles(len(weights), length, min(length, 4 * size), starts):
        blocks = weights[heads, :, :, : 3 * size].transpose(0, 1)
        keys, dense = _unblocked(blocks, rows, length, size, before=size)
        mask = reach.mask(rows, keys, dense.device)
        yield Block(rows, keys, dense[None], heads, allowed=mask, complete=complete)


def staggered(returned: Returned, text: int, length: int, starts: Sequence[int] | None) -> Iterator[Block]:
    """Reads (batch, head, block, query, side tokens + block); in odd layers half a block early (Pegasus-X)."""
    weights, config = returned.weights[0][text], returned.config
    size = config.block_size
    shift = size // 2 if config.stagger_local_blocks and returned.layer % 2 else 0
    reach = Reach(block=size)
    for _, heads, rows in tiles(len(weights), length, min(length, 2 * size), starts):
        blocks = weights[heads, ..., -size:].transpose(0, 1)
        keys, dense = _unblocked(blocks, rows, length, size, start=-shift)
        allowed = reach.mask(_shifted(rows, shift), _shifted(keys, shift), dense.device)
        yield Block(rows, keys, dense[None], heads, allowed=allowed, complete=False)


def _unblocked(
    blocks: Float[Tensor, "block head query key"], rows: slice, length: int, size: int, start: int = 0, before: int = 0
) -> tuple[slice, Float[Tensor, "head query key"]]:
    """Makes some rows over their keys; block n holds rows from start + n·size on, keys from ``before`` earlier on."""
    first, last = (rows.start - start) // size, (rows.stop - 1 - start) // size
    width = (last - first) * size + blocks.shape[-1]
    dense = blocks.new_zeros(blocks.shape[1], (last - first + 1) * size, width, dtype=exact(blocks.dtype))
    for place, block in enumerate(blocks[first : last + 1]):
        at = place * size
        dense[:, at : at + size, at : at + blocks.shape[-1]] = block
    top, left = start + first * size, start + first * size - before
    keys = slice(max(0, left), min(length, left + width))
    return keys, dense[:, rows.start - top : rows.stop - top, keys.start - left : keys.stop - left]


def _shifted(places: slice, by: int) -> slice:
    return slice(places.start + by, places.stop + by)


def _dense(
    weights: Float[Tensor, "head query key"],
    reach: Reach | None,
    starts: Sequence[int] | None,
    complete: bool = True,
    pooled: bool = False,
) -> Iterator[Block]:
    """Makes all rows over all keys."""
    keys = slice(0, weights.shape[2])
    for _, heads, rows in tiles(len(weights), weights.shape[1], weights.shape[2], starts):
        part = weights[None, heads, rows]
        allowed = reach.allowed(rows, keys, weights.device) if reach else None
        known = reach is not None
        yield Block(
            rows, keys, part.to(exact(part.dtype)), heads,
            allowed=allowed, reach_known=known, complete=complete, pooled=pooled,
        )  # fmt: skip


def _canine_reach(config: Any, layer: int) -> Reach:
    if layer == 0:
        return Reach(block=config.local_transformer_stride)
    return Reach(pooled=layer <= config.num_hidden_layers)


def _funnel_reach(config: Any, layer: int) -> Reach:
    layers = [size * repeats for size, repeats in zip(config.block_sizes, config.block_repeats, strict=True)]
    return Reach(pooled=layers[0] <= layer < sum(layers))


def _gpt_neo_reach(config: Any, layer: int) -> Reach:
    return Reach(config.window_size - 1 if config.attention_layers[layer] == "local" else None, 0)


def _canine_calls(config: Any, layer: int, length: int) -> int:
    return 1 if layer else -(-length // config.local_transformer_stride)


LAYOUTS = {
    "square": Layout(square),
    "scores": Layout(scores),
    "prompted": Layout(prompted),
    "appended": Layout(square),  # one token more than the text, which the text does not see
    "alternating": Layout(square, _gpt_neo_reach),  # whose windows are wider than the text that is tried at load
    "pooled": Layout(pooled, _funnel_reach, pools=True),
    "characters": Layout(characters, _canine_reach, _canine_calls, pools=True),
    "banded": Layout(banded, lambda config, layer: Reach(*[config.attention_window[layer] // 2] * 2), beside=(2,)),
    "neighbours": Layout(neighbours, lambda config, layer: Reach(config.local_radius, config.local_radius)),
    "staggered": Layout(staggered, lambda config, layer: Reach(block=config.block_size), beside=(2, "global")),
}
