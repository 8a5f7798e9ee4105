"""The one pass that turns blocks of attention weights into head statistics: sums over queries, and their counts.

Everything a command prints comes from here, whichever way the weights were captured.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnprobe.attention.blocks import Block
from attnprobe.errors import ModelError
from attnprobe.metrics.kinds import KeyMetric, Metric, OffsetMetric, RowMetric, Rows
from attnprobe.tokens import Role, Tokens

GROUP = 8  # rows whose sum float32 still holds to 1e-7
ROW_SUM_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 1e-2}


@dataclass(frozen=True)
class Sums:
    """Per-text sufficient statistics: what is needed for any mean, and for adding texts or windows up.

    Attributes:
        total: (layer, head, metric) the metric summed over queries.
        count: (layer, metric) how many queries; 0 where the metric has no meaning.
    """

    total: np.ndarray
    count: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.total + other.total, self.count + other.count)

    def means(self) -> np.ndarray:
        """(layer, head, metric): the mean over queries, NaN where there were none."""
        count = self.count[:, None, :]
        means: np.ndarray = np.divide(self.total, count, out=np.full_like(self.total, np.nan), where=count > 0)
        return means


class Reducer:
    """Evaluates metrics on one text's blocks as they come, layer by layer; keeps no weights.

    Call it with the layers' blocks in order of rows, then read :attr:`sums`.

    Args:
        tokens: the text, by word if ``level`` is "word".
        metrics: the chosen metrics by name.
        layers: the layers that will come, in the order of the result.
        heads: how many heads each layer has.
        long_range: the threshold of long_range_share, in tokens.
        queries: "all", or "content" to leave out the queries the tokenizer added.
        level: "token", or "word": weights are summed over the key's pieces and averaged over the query's
            (Clark et al. 2019), so that rows still sum to 1. Blocks must not cut a word.
        dtype: the model's, which sets how exactly rows must sum to 1.
        device: where the weights are.

    Raises:
        ModelError: on a block whose rows are not probabilities.
    """

    def __init__(
        self,
        tokens: Tokens,
        metrics: Mapping[str, Metric],
        layers: Sequence[int],
        heads: int,
        *,
        long_range: int,
        queries: str,
        level: str,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.words = torch.tensor(tokens.words, device=device) if level == "word" else None
        self.tokens = tokens.by_word() if level == "word" else tokens
        self.metrics = list(metrics.values())
        self.row_metrics = [metric for metric in self.metrics if isinstance(metric, RowMetric)]
        self.has_offset_metrics = any(isinstance(metric, OffsetMetric) for metric in self.metrics)
        self.layers, self.heads, self.long_range = list(layers), heads, long_range
        self.tolerance = ROW_SUM_TOLERANCE[dtype]
        self.sum_dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64  # mps has no float64
        roles, segments = np.asarray(self.tokens.roles), np.asarray(self.tokens.segments)
        chosen = (roles == Role.CONTENT) | (queries == "all")
        self.segments = np.where(chosen, segments, -1).tolist()  # −1: not averaged over as a query
        self.queries = np.array([self.segments.count(segment) for segment in range(3)])
        self.all_chosen, self.chosen = bool(chosen.all()), torch.tensor(chosen, device=device)
        self.separator_places = self.tokens.positions(Role.SEP)
        self.not_separators = torch.tensor(chosen & (roles != Role.SEP), device=device)
        self.total = np.zeros((len(self.layers), heads, len(self.metrics)))
        self.count = np.zeros((len(self.layers), len(self.metrics)))
        self.open: _LayerSums | None = None

    @property
    def starts(self) -> list[int] | None:
        """The rows where a block may start: the first piece of each word, or any row."""
        if self.words is None:
            return None
        words = self.words.tolist()
        return [row for row, word in enumerate(words) if row == 0 or word != words[row - 1]]

    def counted(self, metric: RowMetric) -> Bool[Tensor, " query"]:
        """The queries that a row metric averages over."""
        return self.not_separators if metric.skips_separators else self.chosen

    def runs(self, rows: slice) -> Iterator[tuple[int, slice]]:
        """(segment, which of these rows) for each run of chosen rows of one segment."""
        start = rows.start
        for segment, run in itertools.groupby(self.segments[rows]):
            stop = start + len(list(run))
            if segment >= 0:
                yield segment, slice(start - rows.start, stop - rows.start)
            start = stop

    @property
    def sums(self) -> Sums:
        """What the layers so far have added up to."""
        self._close_layer()
        return Sums(self.total, self.count)

    def start_layer(self, layer: int) -> _LayerSums:
        """An observer for one layer's blocks; its statistics are final when the next layer starts."""
        self._close_layer()
        self.open = _LayerSums(self, self.layers.index(layer))
        return self.open

    def _close_layer(self) -> None:
        if self.open:
            self.open.close()
        self.open = None


class _LayerSums:
    """The running sums of one layer of one text; see the kinds of metric for what each serves."""

    def __init__(self, reducer: Reducer, index: int) -> None:
        self.reducer, self.index, self.layer = reducer, index, reducer.layers[index]
        self.length, self.queries = len(reducer.tokens), 0
        self.reach_known, self.complete, self.pooled = True, True, False
        zeros = partial(torch.zeros, dtype=reducer.sum_dtype, device=reducer.chosen.device)
        self.by_key = zeros(reducer.heads, 3, self.length)
        self.by_offset = zeros(reducer.heads, 2 * self.length - 1)
        self.by_row = zeros(reducer.heads, len(reducer.row_metrics))

    def __call__(self, block: Block) -> None:
        check_rows(block.weights, self.reducer.tolerance, self.layer, complete=block.complete)
        if self.reducer.words is not None and not block.pooled:
            block = merge_pieces(block, self.reducer.words)
        heads = block.heads or slice(0, self.reducer.heads)
        self.queries += (block.rows.stop - block.rows.start) * (heads.start == 0)
        self.reach_known &= block.reach_known
        self.complete &= block.complete
        self.pooled |= block.pooled
        if not block.pooled:
            self._add_by_key(block, heads)
            self._add_by_offset(block, heads)
        self._add_by_row(block, heads)

    def _add_by_key(self, block: Block, heads: slice) -> None:
        for segment, rows in self.reducer.runs(block.rows):
            self.by_key[heads, segment, block.keys] += sum_rows(block.weights[:, rows], self.by_key.dtype)

    def _add_by_offset(self, block: Block, heads: slice) -> None:
        if not self.reducer.has_offset_metrics:
            return
        weights, diagonals = copy_with_diagonals(block.weights)
        if not self.reducer.all_chosen:
            weights *= self.reducer.chosen[block.rows, None]
        lowest = block.keys.start - (block.rows.stop - 1) + self.length - 1  # index of the block's first offset
        self.by_offset[heads, lowest : lowest + diagonals.shape[-1]] += sum_rows(diagonals, self.by_offset.dtype)

    def _add_by_row(self, block: Block, heads: slice) -> None:
        rows = self._rows(block)
        for column, metric in enumerate(self.reducer.row_metrics):
            if (metric.needs_tokens and block.pooled) or (metric.needs_outside and block.complete):
                continue
            values = metric.of_rows(rows)
            if not block.pooled and not (self.reducer.all_chosen and not metric.skips_separators):
                values = values[:, self.reducer.counted(metric)[block.rows]]
            self.by_row[heads, column] += values.sum(-1, dtype=self.by_row.dtype)

    def _rows(self, block: Block) -> Rows:
        weights, keys = block.weights, block.keys
        if block.allowed is None:
            seen = weights.shape[2] if block.pooled else self.length
            reach = torch.full((weights.shape[1],), seen, device=weights.device)
        else:
            reach = block.allowed.sum(-1)
        first = weights[..., 0] if keys.start == 0 else torch.zeros_like(weights[..., 0])
        separators = [at - keys.start for at in self.reducer.separator_places if keys.start <= at < keys.stop]
        return Rows(weights, reach, first, separators)

    def close(self) -> None:
        """From sums over queries to each metric's total and count.

        Raises:
            ModelError: not every row of the layer came.
        """
        if self.queries != self.length and not self.pooled:
            raise ModelError(f"layer {self.layer}: attention came for {self.queries} of {self.length} positions")
        by_key, by_offset, by_row = (sums.cpu().numpy() for sums in (self.by_key, self.by_offset, self.by_row))
        reducer = self.reducer
        offsets = np.arange(1 - self.length, self.length)
        for column, metric in enumerate(reducer.metrics):
            count = int(reducer.queries.sum()) * (not self.pooled)
            if isinstance(metric, KeyMetric):
                total, covered = _key_total(metric.column(reducer.tokens), by_key, reducer.queries)
                count = min(count, covered)
            elif isinstance(metric, OffsetMetric):
                total = by_offset @ metric.of_offset(offsets, reducer.long_range).astype(float)
            elif isinstance(metric, RowMetric):
                total, count = by_row[:, reducer.row_metrics.index(metric)], self._row_count(metric)
            reducer.total[self.index, :, column] = total + 0.0 if count else 0.0  # + 0.0 turns -0.0 into 0.0
            reducer.count[self.index, column] = count

    def _row_count(self, metric: RowMetric) -> int:
        """How many rows the metric was summed over; 0 where it has no meaning in this layer."""
        reducer = self.reducer
        unknown = metric.needs_reach and not self.reach_known
        if unknown or (metric.needs_outside and self.complete):
            return 0
        if self.pooled:
            return 0 if metric.needs_tokens or reducer.words is not None or not reducer.all_chosen else self.queries
        return int(reducer.counted(metric).sum())


def _key_total(column: np.ndarray | None, by_key: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, int]:
    """Σ over segments and keys of by_key (head, segment, key) · column, and how many queries that covers."""
    if column is None:
        return np.zeros(len(by_key)), 0
    column = np.broadcast_to(column, by_key.shape[1:]).astype(float)
    covered = ~np.isnan(column).any(-1)
    return np.einsum("hsk,sk->h", by_key[:, covered], column[covered]), int(queries[covered].sum())


def check_rows(
    weights: Float[Tensor, "head query key"], tolerance: float, layer: int, *, complete: bool = True
) -> None:
    """Rows of attention are probabilities: they sum to 1 over the keys of the text, or to less if not complete.

    Raises:
        ModelError: some row does not, or holds a NaN.
    """
    error = weights.sum(-1) - 1
    worst = (error.abs() if complete else error).max()
    if not worst <= tolerance:
        raise ModelError(
            f"layer {layer}: attention rows do not sum to 1 (off by {worst:.2g})",
            "these are not attention probabilities over the text's tokens, so no statistic of them is given",
        )


def sum_rows(rows: Float[Tensor, "head query any"], dtype: torch.dtype) -> Float[Tensor, "head any"]:
    """The sum over queries, taken in ``dtype`` but for small groups of rows, which is faster and nearly as exact."""
    heads, queries, width = rows.shape
    whole = queries - queries % GROUP
    groups = rows[:, :whole].view(heads, whole // GROUP, GROUP, width).sum(2)
    return groups.sum(1, dtype=dtype) + rows[:, whole:].sum(1, dtype=dtype)


def copy_with_diagonals(
    weights: Float[Tensor, "head query key"],
) -> tuple[Float[Tensor, "head query key"], Float[Tensor, "head query offset"]]:
    """A copy of the weights, and a view of that copy in which column i holds a[q,k] with k − q = i − (queries − 1).

    Each row is laid out behind as many zeros as there are rows, so that a stride one longer than a row walks the
    diagonals.

    >>> copy, diagonals = copy_with_diagonals(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
    >>> diagonals
    tensor([[[0., 1., 2., 3.],
             [4., 5., 6., 0.]]])
    """
    heads, queries, keys = weights.shape
    width = queries + keys
    memory = weights.new_empty(heads * queries * width + queries)
    memory[heads * queries * width :] = 0
    rows = memory[: heads * queries * width].view(heads, queries, width)
    rows[..., :queries] = 0
    copy = rows[..., queries:].copy_(weights)
    return copy, memory.as_strided((heads, queries, width - 1), (queries * width, width + 1, 1), 1)


def merge_pieces(block: Block, words: Tensor) -> Block:
    """The block between words: weights summed over the key's pieces, averaged over the query's.

    Args:
        words: (token,) the word of each token, counted from 0 in order of position.
    """
    row_words, row_of = torch.unique_consecutive(words[block.rows], return_inverse=True)
    key_words, key_of = torch.unique_consecutive(words[block.keys], return_inverse=True)
    heads = block.weights.shape[0]
    by_key = block.weights.new_zeros(heads, block.weights.shape[1], len(key_words))
    by_key.index_add_(2, key_of, block.weights)
    merged = block.weights.new_zeros(heads, len(row_words), len(key_words))
    merged.index_add_(1, row_of, by_key)
    merged /= torch.bincount(row_of)[:, None]
    allowed = block.allowed
    if allowed is not None:
        pairs = torch.zeros(len(row_words), len(key_words), dtype=torch.int32, device=allowed.device)
        allowed = pairs.index_put_((row_of[:, None], key_of[None, :]), allowed.int(), accumulate=True) > 0
    return replace(block, rows=_span(row_words), keys=_span(key_words), weights=merged, allowed=allowed)


def _span(words: Tensor) -> slice:
    return slice(int(words[0]), int(words[-1]) + 1)
