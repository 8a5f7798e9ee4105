"""The one pass that turns blocks of attention weights into head statistics: sums over queries, and their counts.

Everything a command prints comes from here, whichever way the weights were captured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnprobe.attention.blocks import Block, Memory, exact
from attnprobe.attention.rounding import rounding
from attnprobe.errors import ModelError, TextError
from attnprobe.metrics.diagonals import sum_diagonals, sum_rows
from attnprobe.metrics.kinds import KeyMetric, Metric, OffsetMetric, RowMetric, Rows
from attnprobe.values.tokens import Role, Tokens


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
    """Evaluates metrics on the blocks of texts of one length as they come, layer by layer; keeps no weights.

    Call it with the layers' blocks in order of rows, then read :attr:`sums`.

    Args:
        texts: texts of equally many tokens; by word if ``level`` is "word", and then only one.
        metrics: the chosen metrics by name.
        layers: the layers that will come, in the order of the result.
        heads: how many heads each layer has.
        long_range: the threshold of long_range_share, in tokens.
        queries: "all", or "content" to leave out the queries the tokenizer added.
        level: "token", or "word": weights are summed over the key's pieces and averaged over the query's
            (Clark et al. 2019), so that rows still sum to 1. Blocks must not cut a word.
        profile: whether to keep the sums by offset for :meth:`profile`, also where no metric needs them.
        dtype: the model's, which sets how exactly rows must sum to 1.
        device: where the weights are.
        compiled: sums are taken by :mod:`attnprobe.kernels` instead of torch; only for float32 on a CPU.

    Raises:
        TextError: on a layer whose rows are not probabilities.
    """

    def __init__(
        self,
        texts: Sequence[Tokens],
        metrics: Mapping[str, Metric],
        layers: Sequence[int],
        heads: int,
        *,
        long_range: int,
        queries: str,
        level: str,
        profile: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        compiled: bool = False,
    ) -> None:
        self.compiled = compiled
        self.words = torch.tensor(texts[0].words, device=device) if level == "word" else None
        self.texts = [tokens.by_word() for tokens in texts] if level == "word" else list(texts)
        self.length = len(self.texts[0])
        self.metrics, self.layers, self.heads = list(metrics.values()), list(layers), heads
        self.row_metrics = [metric for metric in self.metrics if isinstance(metric, RowMetric)]
        self.tolerance = rounding(dtype, self.length)
        self.sum_dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64  # mps has no float64
        roles = np.stack([np.asarray(tokens.roles) for tokens in self.texts])
        chosen, is_separator = (roles == Role.CONTENT) | (queries == "all"), roles == Role.SEP
        kept = chosen & ~is_separator
        self.all_chosen, self.chosen = bool(chosen.all()), torch.tensor(chosen, device=device)
        self.not_separators = torch.tensor(kept, device=device)
        self.is_separator = torch.tensor(is_separator, device=device)
        alike = bool((is_separator == is_separator[:1]).all())
        self.separators = np.flatnonzero(is_separator[0]).tolist() if alike else None

        segments = np.stack([np.asarray(tokens.segments) for tokens in self.texts])
        columns = _key_columns(self.metrics, self.texts)
        classes = [chosen] if columns.shape[1] == 1 else [chosen & (segments == segment) for segment in range(3)]
        known = ~np.isnan(columns).any(2)  # (text, class, metric)
        key_counts = (known * np.stack(classes, 1).sum(-1)[..., None]).sum(1)
        self.class_of_query = np.full(chosen.shape, -1, dtype=np.int8)
        for number, every in enumerate(classes):
            self.class_of_query[every] = number
        self.is_no_separator = (~is_separator).astype(np.float32)
        self.query_classes = [None if every.all() else torch.tensor(every, device=device) for every in classes]
        self.columns = torch.tensor(np.where(known[:, :, None], columns, 0.0), dtype=self.sum_dtype, device=device)
        by_offset = offset_functions(self.metrics, self.length, long_range)
        self.of_offset = torch.tensor(by_offset, dtype=self.sum_dtype, device=device)
        kinds = [KeyMetric, OffsetMetric, RowMetric]
        sorted_by_kind = [metric for kind in kinds for metric in self.metrics if isinstance(metric, kind)]
        self.order = [sorted_by_kind.index(metric) for metric in self.metrics]
        offset_counts = [chosen.sum(-1)] * by_offset.shape[1]
        row_counts = [(kept if metric.skips_separators else chosen).sum(-1) for metric in self.row_metrics]
        self.counts = np.array([*key_counts.T, *offset_counts, *row_counts])[self.order].T
        zeros = partial(torch.zeros, len(self.layers), len(texts), heads, dtype=self.sum_dtype, device=device)
        self.by_key = zeros(len(self.query_classes), self.length)
        self.by_offset = zeros(2 * self.length - 1 if profile or by_offset.size else 0)
        self.by_row = zeros(len(self.row_metrics)).movedim(-1, 0)  # (metric, layer, text, head)
        used = {name for metric in self.row_metrics for name in metric.uses}
        self.facts = {
            name: torch.zeros(len(self.layers), len(texts), heads, self.length, dtype=exact(dtype), device=device)
            for name in ("entropy", "largest", "first")
            if name in used or compiled
        }
        self.reach = torch.full((len(self.layers), self.length), self.length, device=device)
        self.has_meaning = np.zeros((len(self.layers), len(self.metrics)), dtype=bool)
        self.n_pooled = np.zeros(len(self.layers), dtype=int)  # rows, in layers that pool tokens
        self.memory = Memory(self.chosen)
        self.open: _LayerSums | None = None

    @property
    def starts(self) -> list[int] | None:
        """The rows where a block may start: the first piece of each word, or any row."""
        return None if self.words is None else word_starts(self.words)

    def counted_by(self, metric: RowMetric) -> Bool[Tensor, "text query"]:
        """The queries that a row metric averages over."""
        return self.not_separators if metric.skips_separators else self.chosen

    @property
    def sums(self) -> list[Sums]:
        """What the layers have added up to, text by text: each metric's total and count from sums over queries."""
        self._close_layer()
        by_key = torch.einsum("lthck,tckm->lthm", self.by_key, self.columns)
        by_offset = self.by_offset @ self.of_offset if self.of_offset.numel() else self.by_offset[..., :0]
        totals = torch.cat([by_key, by_offset, self._by_row().movedim(0, -1)], -1)[..., self.order].cpu().numpy()
        pooled = self.n_pooled[:, None]
        counts = np.where(pooled > 0, pooled, self.counts[:, None]) * self.has_meaning  # (text, layer, metric)
        totals = np.where(counts.swapaxes(0, 1)[:, :, None] > 0, totals, 0.0) + 0.0  # turns -0.0 into 0.0
        return [Sums(totals[:, text], counts[text].astype(float)) for text in range(len(self.texts))]

    def _by_row(self) -> Float[Tensor, "metric layer text head"]:
        """The row metrics summed over queries."""
        rows = Rows(self.reach[:, None, None], **self.facts)
        for column, metric in enumerate(self.row_metrics):
            if "weights" not in metric.uses:
                values = metric.of_rows(rows) * self.counted_by(metric)[:, None]
                self.by_row[column] = values.sum(-1, dtype=self.by_row.dtype)
        return self.by_row

    def profile(self) -> np.ndarray:
        """(layer, head, offset) the weights summed over queries and texts, from offset 1 − length to length − 1.

        Layers that pool tokens hold zeros.
        """
        self._close_layer()
        profile: np.ndarray = self.by_offset.sum(1).cpu().numpy()
        return profile

    def start_layer(self, layer: int) -> _LayerSums:
        """An observer for one layer's blocks; its statistics are final when the next layer starts."""
        self._close_layer()
        self.open = _LayerSums(self, self.layers.index(layer))
        return self.open

    def _close_layer(self) -> None:
        if self.open:
            self.open.close()
        self.open = None


def _key_columns(metrics: Sequence[Metric], texts: Sequence[Tokens]) -> np.ndarray:
    """(text, class, key, metric): c[k] of every KeyMetric; NaN where it has no meaning.

    There is one class of queries, or one for each segment where the column of some metric depends on it.
    """
    asked = [[metric.column(tokens) for metric in metrics if isinstance(metric, KeyMetric)] for tokens in texts]
    classes = 3 if any(column is not None and column.ndim > 1 for columns in asked for column in columns) else 1
    values = np.full((len(texts), classes, len(texts[0]), len(asked[0])), np.nan)
    for text, columns in enumerate(asked):
        for place, column in enumerate(columns):
            if column is not None:
                values[text, :, :, place] = column
    return values


def offset_functions(metrics: Sequence[Metric], length: int, long_range: int) -> np.ndarray:
    """(offset, metric): f of every OffsetMetric, from offset 1 − length to length − 1."""
    offsets = np.arange(1 - length, length)
    functions = [metric.of_offset(offsets, long_range) for metric in metrics if isinstance(metric, OffsetMetric)]
    return np.array(functions, dtype=float).reshape(-1, len(offsets)).T


class _LayerSums:
    """The running sums of one layer; see the kinds of metric for what each serves."""

    def __init__(self, reducer: Reducer, index: int) -> None:
        self.reducer, self.index, self.layer = reducer, index, reducer.layers[index]
        self.queries = 0
        self.reach_known, self.complete, self.pooled = True, True, False
        self.by_key, self.by_offset, self.reach = (
            sums[index] for sums in (reducer.by_key, reducer.by_offset, reducer.reach)
        )
        self.facts = {name: its[index] for name, its in reducer.facts.items()}
        self.worst: Tensor | None = None  # how far the sum of a row was from 1

    def __call__(self, block: Block) -> None:
        if self.reducer.words is not None and not block.pooled:
            block = merge_pieces(block, self.reducer.words)
        at = (block.texts, block.heads or slice(0, self.reducer.heads))
        self.queries += (block.rows.stop - block.rows.start) * (at[1].start == block.texts.start == 0)
        self.reach_known &= block.reach_known
        self.complete &= block.complete
        self.pooled |= block.pooled
        if not block.checked or self.reducer.words is not None:
            worst = _distance_from_one(block.weights.sum(-1), block.complete)
            self.worst = worst if self.worst is None else self.worst.maximum(worst)
        if self.reducer.compiled and not block.pooled:
            self._add_compiled(block, at)
        elif not block.pooled:
            self._add_by_key(block, at)
            self._add_by_offset(block, at)
        self._keep_facts(block, at)
        self._add_by_row(block, at)

    def _add_compiled(self, block: Block, at: tuple[slice, slice]) -> None:
        """Both kinds of sums in one pass over the block, which also finds each row's largest and first weight."""
        from attnprobe import kernels

        reducer = self.reducer
        kernels.add_sums(
            block.weights.contiguous().numpy(),
            *(at[0].start, at[1].start, block.rows.start, block.keys.start),
            *(reducer.class_of_query, reducer.is_no_separator),
            *(self.by_key.numpy(), self.by_offset.numpy()),
            *(self.facts["largest"].numpy(), self.facts["first"].numpy()),
        )

    def _add_by_key(self, block: Block, at: tuple[slice, slice]) -> None:
        for place, chosen in enumerate(self.reducer.query_classes):
            weights = _only(chosen, block)
            sums = sum_rows(weights.flatten(0, 1), self.by_key.dtype)
            self.by_key[(*at, place, block.keys)] += sums.view(*weights.shape[:2], -1)

    def _add_by_offset(self, block: Block, at: tuple[slice, slice]) -> None:
        if not self.by_offset.numel():
            return
        weights = _only(None if self.reducer.all_chosen else self.reducer.chosen, block)
        lowest = block.keys.start - (block.rows.stop - 1) + self.reducer.length - 1  # index of the first offset
        offsets = slice(lowest, lowest + weights.shape[2] + weights.shape[3] - 1)
        self.by_offset[(*at, offsets)] += sum_diagonals(weights, self.by_offset.dtype, self.reducer.memory)

    def _keep_facts(self, block: Block, at: tuple[slice, slice]) -> None:
        """Notes what the row metrics read; of rows that are not the text's tokens, their entropy alone."""
        if block.pooled and self.reducer.words is not None:
            return
        if "entropy" in self.facts:
            entropy = block.entropy if block.entropy is not None else entropies(block.weights, self.reducer.memory)
            self.facts["entropy"][(*at, block.rows)] = entropy
        if block.pooled:
            self.reach[block.rows] = block.weights.shape[-1]
            return
        if block.allowed is not None:
            self.reach[block.rows] = block.allowed.sum(-1)
        if self.reducer.compiled:
            return
        if "largest" in self.facts:
            self.facts["largest"][(*at, block.rows)] = largest(block.weights, self._separators(block))
        if "first" in self.facts and block.keys.start == 0:
            self.facts["first"][(*at, block.rows)] = block.weights[..., 0]

    def _separators(self, block: Block) -> Sequence[int] | Tensor:
        """Which of the block's keys are separators, ascending; where texts differ, a mask (text, 1, 1, key)."""
        keys, reducer = block.keys, self.reducer
        if reducer.separators is None:
            return reducer.is_separator[block.texts, None, None, keys]
        return [at - keys.start for at in reducer.separators if keys.start <= at < keys.stop]

    def _add_by_row(self, block: Block, at: tuple[slice, slice]) -> None:
        """Asks the metrics that read the weights themselves."""
        reducer = self.reducer
        for column, metric in enumerate(reducer.row_metrics):
            nothing = (metric.needs_tokens and block.pooled) or (metric.needs_outside and block.complete)
            if "weights" not in metric.uses or nothing:
                continue
            facts = {name: its[(*at, block.rows)] for name, its in self.facts.items()}
            values = metric.of_rows(Rows(self.reach[block.rows], **facts, weights=block.weights))
            if not block.pooled:
                values = values * reducer.counted_by(metric)[block.texts, None, block.rows]
            reducer.by_row[column, self.index][at] += values.sum(-1, dtype=reducer.by_row.dtype)

    def close(self) -> None:
        """Checks that the layer came whole, and notes what it says of which metric.

        Raises:
            TextError: rows of the layer are not probabilities.
            ModelError: not all of them came.
        """
        reducer = self.reducer
        if self.worst is not None:
            _refuse(float(self.worst), reducer.tolerance, self.layer)
        if self.queries != reducer.length and not self.pooled:
            raise ModelError(f"layer {self.layer}: attention came for {self.queries} of {reducer.length} positions")
        if any(sums.isnan().any() for sums in (self.by_key, *self.facts.values())):
            _refuse(math.nan, reducer.tolerance, self.layer)
        reducer.n_pooled[self.index] = self.queries if self.pooled else 0
        reducer.has_meaning[self.index] = [self._has_meaning(metric) for metric in reducer.metrics]

    def _has_meaning(self, metric: Metric) -> bool:
        """Whether the layer's rows say what the metric asks for."""
        reducer = self.reducer
        if self.pooled and (reducer.words is not None or not reducer.all_chosen):
            return False
        if not isinstance(metric, RowMetric):
            return not self.pooled
        unknown = ("reach" in metric.uses and not self.reach_known) or (metric.needs_outside and self.complete)
        return not unknown and not (self.pooled and metric.needs_tokens)


def entropies(weights: Float[Tensor, "text head query key"], memory: Memory) -> Float[Tensor, "text head query"]:
    """−Σₖ a ln a of each row in nats, with 0·ln 0 = 0."""
    logarithms = memory.take("logarithms", weights.shape, weights.dtype)
    torch.log(weights, out=logarithms)
    return logarithms.mul_(weights).nansum(-1).neg_()  # 0 · ln 0 is NaN and left out


def largest(
    weights: Float[Tensor, "text head query key"], separators: Sequence[int] | Bool[Tensor, "text 1 1 key"]
) -> Float[Tensor, "text head query"]:
    """maxₖ a of each row over the keys that are no separators; 0 where all are.

    Args:
        separators: which keys they are, ascending; where texts differ, a mask.
    """
    if not isinstance(separators, Sequence):
        return weights.masked_fill(separators, 0).amax(-1)
    runs = itertools.pairwise([-1, *separators, weights.shape[-1]])
    found = [weights[..., start + 1 : stop].amax(-1) for start, stop in runs if start + 1 < stop]
    return torch.stack(found).amax(0) if found else weights.new_zeros(weights.shape[:-1])


def check_rows(
    weights: Float[Tensor, "*any query key"], dtype: torch.dtype, layer: int, *, complete: bool = True
) -> None:
    """Rows of attention are probabilities: they sum to 1 over the keys of the text, or to less if not complete.

    Args:
        dtype: the model's, which sets how exactly they do.

    Raises:
        TextError: some row does not, or holds a NaN.
    """
    _refuse(float(_distance_from_one(weights.sum(-1), complete)), rounding(dtype, weights.shape[-1]), layer)


def _distance_from_one(sums: Tensor, complete: bool) -> Tensor:
    error = sums - 1
    return (error.abs_() if complete else error).max()


def _refuse(worst: float, tolerance: float, layer: int) -> None:
    if not worst <= tolerance:
        found = "they hold NaN" if math.isnan(worst) else f"off by {worst:.2g}"
        raise TextError(
            f"layer {layer}: attention rows do not sum to 1 ({found})",
            "these are not attention probabilities over the text's tokens, so no statistic of them is given",
        )


def _only(chosen: Bool[Tensor, "every position"] | None, block: Block) -> Float[Tensor, "text head query key"]:
    """The block's weights, zero in the rows of queries that are not chosen; None: all are."""
    if chosen is None:
        return block.weights
    return block.weights * chosen[block.texts, None, block.rows, None]


def word_starts(words: Tensor) -> list[int]:
    """The first piece of each word, where a block of rows may start whose pieces are to be merged.

    >>> word_starts(torch.tensor([0, 1, 1, 2]))
    [0, 1, 3]
    """
    numbers = words.tolist()
    return [row for row, word in enumerate(numbers) if row == 0 or word != numbers[row - 1]]


def merge_pieces(block: Block, words: Tensor) -> Block:
    """The block between words: weights summed over the key's pieces, averaged over the query's.

    Args:
        words: (token,) the word of each token, counted from 0 in order of position.
    """
    row_words, row_of = torch.unique_consecutive(words[block.rows], return_inverse=True)
    key_words, key_of = torch.unique_consecutive(words[block.keys], return_inverse=True)
    texts, heads, rows, _ = block.weights.shape
    by_key = block.weights.new_zeros(texts, heads, rows, len(key_words))
    by_key.index_add_(3, key_of, block.weights)
    merged = block.weights.new_zeros(texts, heads, len(row_words), len(key_words))
    merged.index_add_(2, row_of, by_key)
    merged /= torch.bincount(row_of)[:, None]
    allowed = block.allowed
    if allowed is not None:
        pairs = torch.zeros(len(row_words), len(key_words), dtype=torch.int32, device=allowed.device)
        allowed = pairs.index_put_((row_of[:, None], key_of[None, :]), allowed.int(), accumulate=True) > 0
    return replace(block, rows=_span(row_words), keys=_span(key_words), weights=merged, allowed=allowed, entropy=None)


def _span(words: Tensor) -> slice:
    return slice(int(words[0]), int(words[-1]) + 1)
