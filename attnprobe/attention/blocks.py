"""Computes the attention of ``textbook.py`` in blocks of texts, heads and query rows, each shown and dropped.

No query × key tensor is ever held, so memory hardly grows with length. The operations and their order are those of
transformers' eager attention; only the shapes of products differ, and so at most the rounding of sums.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnprobe.attention.memory import Memory
from attnprobe.attention.threads import Pool
from attnprobe.attention.value_norms import contributions, softmax_with_contributions

BLOCK_ELEMENTS = 2**20  # weights in one block: 4 MiB in float32; benchmarks/corpora.py found it best
GPU_ELEMENTS = 2**24  # on a GPU, where each call costs more than its work: 64 MiB in float32
BLOCK_ROWS = 128  # fewer rows to a block make matrix products slow; long texts give up heads first


@dataclass(frozen=True)
class Block:
    """The weights of some texts, heads and query rows in one layer. Texts measured together have the same length.

    Attributes:
        rows: the queries of the block.
        keys: the keys of the block; others have weight 0 in all of these rows.
        weights: (text, head, query, key) in float32 or float64; read-only, and valid only while the observer is called,
            unless the run is for gradients.
        heads: the heads of the block; None: all.
        texts: the texts of the block; by default the first.
        allowed: (query, key) True where the query may see the key; None: all queries see all keys of the text.
        reach_known: False if the weights came without the mask, so that ``allowed`` is unknown.
        complete: False if a row may sum to less than 1, the rest falling on no token of the text.
        pooled: whether queries or keys are not the text's tokens but several of them pooled into one.
        checked: whether the rows were computed by softmax here, so that they sum to 1 unless they hold a NaN.
        entropy: (text, head, query) of each row in nats if the softmax computed it; valid as long as the weights.
        value_norms: (text, head, key) ‖f(k)‖ of all keys of the text, see :mod:`attnprobe.attention.value_norms`;
            None: not asked for.
        totals: (text, head, query) if the weights are contributions, what each row summed to before it was divided; 0
            for a row that is empty; of a word, the mean of its pieces', 0 if one is empty.
    """

    rows: slice
    keys: slice
    weights: Float[Tensor, "text head query key"]
    heads: slice | None = None
    texts: slice = field(default_factory=lambda: slice(0, 1))
    allowed: Bool[Tensor, "query key"] | None = None
    reach_known: bool = True
    complete: bool = True
    pooled: bool = False
    checked: bool = False
    entropy: Float[Tensor, "text head query"] | None = None
    value_norms: Float[Tensor, "text head every_key"] | None = None
    totals: Float[Tensor, "text head query"] | None = None

    def as_contributions(self) -> Block:
        """Returns a block that shows contributions of keys instead of weights; its norms must be known."""
        assert self.value_norms is not None
        return self.showing(*contributions(self.weights, self.value_norms[..., self.keys]))

    def showing(self, shares: Tensor, totals: Tensor, entropy: Tensor | None = None) -> Block:
        """Returns a block that shows these contributions, whose rows sum to 1, or to 0 where the total is 0."""
        whole = not bool((totals == 0).any())
        return replace(self, weights=shares, totals=totals, complete=whole, checked=True, entropy=entropy)


Observer = Callable[[Block], None]


def exact(dtype: torch.dtype) -> torch.dtype:
    """Returns the dtype in which weights of a model of ``dtype`` are kept: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def sums_in(device: torch.device | str) -> torch.dtype:
    """Returns the dtype in which weights on a device are added up; mps has no float64."""
    return torch.float32 if torch.device(device).type == "mps" else torch.float64


def tiles(
    heads: int,
    queries: int,
    keys: int,
    starts: Sequence[int] | None = None,
    texts: int = 1,
    elements: int | None = None,
) -> Iterator[tuple[slice, slice, slice]]:
    """Splits texts, heads and query rows into blocks that hold about as many weights as ``elements`` says.

    Several texts come whole. A text that is too large for one block comes alone, all rows of some heads before those of
    the next.

    Args:
        keys: how many keys a row holds.
        starts: the rows where a block may start (ascending, 0 first); None: any.
        elements: None: BLOCK_ELEMENTS.

    >>> [(heads.stop, rows.stop) for _, heads, rows in tiles(2, 3, BLOCK_ELEMENTS // 2)]
    [(1, 2), (1, 3), (2, 2), (2, 3)]
    """
    elements = elements or BLOCK_ELEMENTS
    at_once = max(1, elements // (heads * queries * keys))
    together = min(heads, max(1, elements // (min(queries, BLOCK_ROWS) * keys)))
    rows = row_blocks(queries, together * keys, starts, elements) if at_once == 1 else [slice(0, queries)]
    for text in range(0, texts, at_once):
        for head in range(0, heads, together):
            for block in rows:
                yield slice(text, min(text + at_once, texts)), slice(head, min(head + together, heads)), block


def row_blocks(
    queries: int, row_elements: int, starts: Sequence[int] | None = None, elements: int | None = None
) -> list[slice]:
    """Splits query rows into blocks, in order, as many in each as ``elements`` allows, at least one.

    Args:
        row_elements: how many weights one row has, over all heads of a block.
        starts: the rows where a block may start (ascending, 0 first); None: any.
        elements: how many weights a block may hold; None: BLOCK_ELEMENTS.

    >>> row_blocks(5, BLOCK_ELEMENTS // 2, starts=[0, 3, 4])
    [slice(0, 3, None), slice(3, 5, None)]
    """
    size = max(1, (elements or BLOCK_ELEMENTS) // row_elements)
    cuts = range(queries + 1) if starts is None else [*starts, queries]
    blocks, start = [], 0
    while start < queries:
        furthest = bisect.bisect_right(cuts, start + size) - 1
        stop = cuts[furthest] if cuts[furthest] > start else cuts[furthest + 1]
        blocks.append(slice(start, stop))
        start = stop
    return blocks


def attention_in_blocks(
    query: Float[Tensor, "text head query d_k"],
    key: Float[Tensor, "text head_kv key d_k"],
    value: Float[Tensor, "text head_kv key d_v"],
    scale: float,
    bias: Float[Tensor, "#text #head #query key"] | None = None,
    allowed: Bool[Tensor, "#query key"] | None = None,
    observe: Observer | None = None,
    starts: Sequence[int] | None = None,
    *,
    softcap: float | None = None,
    sinks: Float[Tensor, " head"] | None = None,
    compiled: bool = False,
    first_text: int = 0,
    edit: Callable[[Block], Tensor | None] | None = None,
    gradients: bool = False,
    pool: Pool | None = None,
    value_norms: Float[Tensor, "text head key"] | None = None,
    as_contributions: bool = False,
) -> Float[Tensor, "text query head d_v"]:
    """Computes softmax(QKᵀ·scale + bias)V of texts of one length; each block is shown to ``observe`` and dropped.

    Args:
        key, value: consecutive query heads may share one (grouped-query attention, Ainslie et al. 2023).
        bias: added to the scaled scores.
        allowed: True where a query may see a key; keys that no row of a block may see are not computed.
        starts: rows where a block may start, see :func:`tiles`.
        softcap: c of c·tanh(score / c), which bounds the scaled scores (Gemma 2, Riviere et al. 2024).
        sinks: one more score for every row of a head, whose weight falls on no key (gpt-oss, OpenAI 2025).
        compiled: whether softmax is that of :mod:`attnprobe.attention.kernels`, without sinks; float32 on a CPU only.
        first_text: the number that the first of these texts has in the blocks.
        edit: gives the weights that V is multiplied by in place of a block's, once that was shown; None: the block's.
        gradients: overwrites no tensor that a gradient needs, so that blocks add up in memory; not with ``compiled``.
        pool: the threads that compute, and show to ``observe``, each head apart; None: blocks hold several heads.
        value_norms: those that blocks carry; with ``as_contributions``, ``observe`` is shown what they make of weights.
    """
    texts, heads, queries, _ = query.shape
    query, key, value = (_for_heads(tensor, heads) for tensor in (query, key, value))
    output = query.new_empty(texts, queries, heads, value.shape[-1])
    memory = None if gradients else Memory(query)

    def compute(some: slice, chosen: slice, rows: slice) -> None:
        mask = None if allowed is None else allowed[_at(rows, allowed.shape[0])]
        keys = slice(0, key.shape[2]) if mask is None else _reached(mask)
        scores = _scores(query[some, chosen, rows], key[some, chosen, keys], scale, memory)
        added = None if bias is None else _block_of(bias, some, chosen, rows)[..., keys]
        scores = _with_terms(scores, softcap, added, None if gradients else scores)
        if mask is not None:
            mask = mask[:, keys].expand(scores.shape[2:])
            scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
        norms = None if value_norms is None else value_norms[some, chosen]
        factors = norms[..., keys] if norms is not None and as_contributions else None
        weights, entropy, made = _softmax(scores, None if sinks is None else sinks[chosen], memory, compiled, factors)
        whole, shown = sinks is None, slice(some.start + first_text, some.stop + first_text)
        block = Block(rows, keys, weights, chosen, shown, mask, True, whole, False, whole, entropy, norms)
        if observe is not None:
            observe(block.showing(*made) if made else block)
        weights = _edited(block, edit)
        output[some, rows, chosen] = torch.matmul(weights.to(value.dtype), value[some, chosen, keys]).transpose(1, 2)

    _visit_tiles(compute, heads, queries, _widest(allowed, key.shape[2]), starts, texts, pool, _most(query))
    return output


def _most(like: Tensor) -> int:
    return GPU_ELEMENTS if like.is_cuda else BLOCK_ELEMENTS


def _visit_tiles(
    compute: Callable[[slice, slice, slice], None],
    heads: int,
    queries: int,
    keys: int,
    starts: Sequence[int] | None,
    texts: int,
    pool: Pool | None,
    elements: int,
) -> None:
    """Computes all blocks, one after another, or those of each head in a thread of the pool; see :func:`tiles`."""
    if pool is None:
        for tile in tiles(heads, queries, keys, starts, texts, elements):
            compute(*tile)
        return

    def compute_head(head: int) -> None:
        for some, _, rows in tiles(1, queries, keys, starts, texts, elements):
            compute(some, slice(head, head + 1), rows)

    pool.each(heads, compute_head)


def _edited(block: Block, edit: Callable[[Block], Tensor | None] | None) -> Float[Tensor, "text head query key"]:
    """Returns the weights that the edit gives in place of a block's, else the block's."""
    edited = edit(block) if edit else None
    return block.weights if edited is None else edited


def _for_heads(tensor: Float[Tensor, "text group token d"], heads: int) -> Float[Tensor, "text head token d"]:
    """Repeats vectors that consecutive heads share, so that each head has one; contiguous."""
    shared = heads // tensor.shape[1]
    return (tensor.repeat_interleave(shared, 1) if shared > 1 else tensor).contiguous()


def _scores(
    query: Float[Tensor, "text head query d_k"],
    key: Float[Tensor, "text head key d_k"],
    scale: float,
    memory: Memory | None,
) -> Float[Tensor, "text head query key"]:
    """Computes QKᵀ·scale; the factor is applied inside the product, which rounds as eager attention does."""
    texts, heads, queries, _ = query.shape
    batch = texts * heads
    room = memory.take("scores", (batch, queries, key.shape[2]), query.dtype) if memory else None
    keys = key.reshape(batch, *key.shape[2:]).transpose(1, 2)
    added = query.new_empty(1, 1, 1) if room is None else room  # times 0
    scores = torch.baddbmm(added, query.reshape(batch, *query.shape[2:]), keys, beta=0, alpha=scale, out=room)
    return scores.view(texts, heads, queries, -1)


def _with_terms(
    scores: Float[Tensor, "text head query key"], softcap: float | None, bias: Tensor | None, room: Tensor | None
) -> Float[Tensor, "text head query key"]:
    """Bounds the scores, c·tanh(score / c) in the room where there is one, and adds the bias."""
    if softcap is not None:
        scores = torch.mul(torch.tanh(torch.div(scores, softcap, out=room), out=room), softcap, out=room)
    if bias is not None:
        scores += bias
    return scores


def _softmax(
    scores: Float[Tensor, "text head query key"],
    sinks: Float[Tensor, " head"] | None,
    memory: Memory | None,
    compiled: bool,
    norms: Float[Tensor, "text head key"] | None,
) -> tuple[Float[Tensor, "text head query key"], Float[Tensor, "text head query"] | None, tuple[Tensor, ...] | None]:
    """Computes the rows' softmax, at least in float32, their entropies if these cost nothing, and contributions.

    With sinks, the share that falls on them is left out.

    Args:
        norms: what contributions are made with; None: they are not, and None is returned.
    """
    if memory and compiled and sinks is None:
        if norms is None:
            return *_softmax_with_entropy(scores, memory), None
        return scores, None, softmax_with_contributions(scores, norms, memory.take)
    dtype = exact(scores.dtype)
    if sinks is None:
        room = memory.take("weights", scores.shape, dtype) if memory else None
        weights = torch.softmax(scores, -1, dtype=dtype, out=room)
    else:
        extra = sinks[:, None, None].expand(scores.shape[0], -1, scores.shape[2], 1)
        weights = torch.softmax(torch.cat([scores, extra], -1), -1, dtype=dtype)[..., :-1]
    if norms is None:
        return weights, None, None
    room = memory.take("contributions", scores.shape, dtype) if memory else None
    return weights, None, contributions(weights, norms, room)


def _softmax_with_entropy(
    scores: Float[Tensor, "text head query key"], memory: Memory
) -> tuple[Float[Tensor, "text head query key"], Float[Tensor, "text head query"]]:
    """Turns scores into their softmax in place, and computes the rows' entropies."""
    from attnprobe.attention import kernels

    entropy = memory.take("entropy", scores.shape[:3], scores.dtype)
    kernels.softmax(scores.view(-1, scores.shape[3]).numpy(), entropy.view(-1).numpy())
    return scores, entropy


def _block_of(
    bias: Float[Tensor, "#text #head #query key"], texts: slice, heads: slice, rows: slice
) -> Float[Tensor, "some_texts some_heads some_queries key"]:
    """Cuts out the bias of a block, with all keys."""
    return bias[_at(texts, bias.shape[0]), _at(heads, bias.shape[1]), _at(rows, bias.shape[2])]


def _at(some: slice, size: int) -> slice:
    """Slices an axis of this size; all of it if the size is 1, which stands for any index."""
    return some if size > 1 else slice(None)


def _widest(allowed: Bool[Tensor, "#query key"] | None, keys: int) -> int:
    """Bounds the keys that a block of rows holds: all, or those that one row may see, and BLOCK_ROWS more."""
    return keys if allowed is None else min(keys, int(allowed.sum(-1).max()) + BLOCK_ROWS)


def _reached(mask: Bool[Tensor, "query key"]) -> slice:
    """Finds the shortest run of keys that holds all keys some query may see; all keys if no query sees any."""
    seen: Int[Tensor, " seen"] = mask.any(0).nonzero()[:, 0]
    return slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, mask.shape[1])
