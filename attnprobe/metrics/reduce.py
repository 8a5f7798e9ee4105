"""The one pass that turns blocks of attention weights into head statistics: sums over queries, and their counts.

Everything a command prints comes from here, whichever way the weights were captured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attnprobe.attention.blocks import Block
from attnprobe.errors import ModelError
from attnprobe.metrics.kinds import KeyMetric, Metric, OffsetMetric, RowMetric, Rows
from attnprobe.tokens import Role, Tokens

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
        return np.divide(self.total, count, out=np.full_like(self.total, np.nan), where=count > 0)


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
    ) -> None:
        self.words = torch.tensor(tokens.words) if level == "word" else None
        self.tokens = tokens.by_word() if level == "word" else tokens
        self.metrics = list(metrics.values())
        self.row_metrics = [metric for metric in self.metrics if isinstance(metric, RowMetric)]
        self.layers, self.heads, self.long_range = list(layers), heads, long_range
        self.tolerance = ROW_SUM_TOLERANCE[dtype]
        chosen = np.array([queries == "all" or role == Role.CONTENT for role in self.tokens.roles])
        segments = np.asarray(self.tokens.segments)
        self.in_segment = np.stack([chosen & (segments == segment) for segment in range(3)])  # (segment, query)
        self.separators = np.asarray(self.tokens.roles) == Role.SEP
        self.total = np.zeros((len(self.layers), heads, len(self.metrics)))
        self.count = np.zeros((len(self.layers), len(self.metrics)))

    @property
    def starts(self) -> list[int] | None:
        """The rows where a block may start: the first piece of each word, or any row."""
        if self.words is None:
            return None
        words = self.words.tolist()
        return [row for row, word in enumerate(words) if row == 0 or word != words[row - 1]]

    @property
    def sums(self) -> Sums:
        return Sums(self.total, self.count)

    def start_layer(self, layer: int) -> _LayerSums:
        """An observer for one layer's blocks; the layer's statistics are final after its last row."""
        return _LayerSums(self, self.layers.index(layer))


class _LayerSums:
    """The running sums of one layer of one text; see the kinds of metric for what each serves."""

    def __init__(self, reducer: Reducer, index: int) -> None:
        self.reducer, self.index = reducer, index
        self.length = len(reducer.tokens)
        self.sums: tuple[Tensor, Tensor, Tensor] | None = None
        self.reach_known = True

    def __call__(self, block: Block) -> None:
        if self.reducer.words is not None:
            block = merge_pieces(block, self.reducer.words.to(block.weights.device))
        weights = block.weights
        check_rows(weights, self.reducer.tolerance, self.reducer.layers[self.index])
        if self.sums is None:
            exact = {"dtype": torch.float32 if weights.device.type == "mps" else torch.float64, "device": weights.device}
            self.in_segment = torch.tensor(self.reducer.in_segment, device=weights.device)
            self.separators = torch.tensor(self.reducer.separators, device=weights.device)
            self.sums = (
                torch.zeros(self.reducer.heads, 3, self.length, **exact),
                torch.zeros(self.reducer.heads, 2 * self.length - 1, **exact),
                torch.zeros(self.reducer.heads, len(self.reducer.row_metrics), **exact),
            )
        by_key, by_offset, by_row = self.sums
        in_segment = self.in_segment[:, block.rows]
        chosen = in_segment.any(0)
        by_key[:, :, block.keys] += torch.matmul(in_segment.to(weights.dtype), weights)
        first = block.keys.start - (block.rows.stop - 1) + self.length - 1  # index of the block's lowest offset
        diagonals = sum_diagonals(weights if chosen.all() else weights * chosen[:, None])
        by_offset[:, first : first + diagonals.shape[-1]] += diagonals
        by_row += self._row_sums(block, chosen, by_row.dtype)
        if block.rows.stop == self.length:
            self._finish(by_key.cpu().numpy(), by_offset.cpu().numpy(), by_row.cpu().numpy())

    def _row_sums(self, block: Block, chosen: Bool[Tensor, " query"], exact: torch.dtype) -> Float[Tensor, "head metric"]:
        self.reach_known &= block.reach_known
        everything = torch.full((block.weights.shape[1],), self.length, device=block.weights.device)
        reach = everything if block.allowed is None else block.allowed.sum(-1)
        first = block.weights[..., 0] if block.keys.start == 0 else torch.zeros_like(block.weights[..., 0])
        rows = Rows(block.weights, reach, first, self.separators[block.keys])
        content = chosen & ~self.separators[block.rows]
        sums = [
            metric.of_rows(rows)[:, content if metric.skips_separators else chosen].to(exact).sum(-1)
            for metric in self.reducer.row_metrics
        ]
        return torch.stack(sums, -1) if sums else block.weights.new_zeros(self.reducer.heads, 0)

    def _finish(self, by_key: np.ndarray, by_offset: np.ndarray, by_row: np.ndarray) -> None:
        reducer = self.reducer
        queries = reducer.in_segment.sum(1)  # (segment,)
        offsets = np.arange(1 - self.length, self.length)
        for column, metric in enumerate(reducer.metrics):
            count = queries.sum()
            if isinstance(metric, KeyMetric):
                total, count = _key_total(metric.column(reducer.tokens), by_key, queries)
            elif isinstance(metric, OffsetMetric):
                total = by_offset @ metric.of_offset(offsets, reducer.long_range).astype(float)
            elif isinstance(metric, RowMetric):
                total = by_row[:, reducer.row_metrics.index(metric)]
                if metric.skips_separators:
                    count = (reducer.in_segment.any(0) & ~reducer.separators).sum()
                if metric.needs_reach and not self.reach_known:
                    total, count = 0.0, 0
            reducer.total[self.index, :, column] = total + 0.0  # turns -0.0 into 0.0
            reducer.count[self.index, column] = count
        self.sums = None


def _key_total(column: np.ndarray | None, by_key: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray | float, int]:
    """Σ over segments and keys of by_key (head, segment, key) · column, and how many queries that covers."""
    if column is None:
        return 0.0, 0
    column = np.broadcast_to(column, by_key.shape[1:]).astype(float)
    covered = ~np.isnan(column).any(-1)
    return np.einsum("hsk,sk->h", by_key[:, covered], column[covered]), int(queries[covered].sum())


def check_rows(weights: Float[Tensor, "head query key"], tolerance: float, layer: int) -> None:
    """Rows of attention are probabilities: they sum to 1 over the keys of the text.

    Raises:
        ModelError: some row does not, or holds a NaN.
    """
    error = (weights.sum(-1) - 1).abs().max()
    if not error <= tolerance:
        raise ModelError(
            f"layer {layer}: attention rows do not sum to 1 (off by {error:.2g})",
            "these are not attention probabilities over the text's tokens, so no statistic of them is given",
        )


def sum_diagonals(weights: Float[Tensor, "head query key"]) -> Float[Tensor, "head offset"]:
    """The sums along the diagonals: element i is Σ a[q,k] over k − q = i − (queries − 1), within the block.

    Each row is laid out with as many zeros before it as there are rows, so that a stride one longer than a row walks
    the diagonals.

    >>> sum_diagonals(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
    tensor([[4., 6., 8., 3.]])
    """
    heads, queries, keys = weights.shape
    width = queries + keys
    padded = weights.new_zeros(heads * queries * width + queries)
    padded[: heads * queries * width].view(heads, queries, width)[..., queries:] = weights
    return padded.as_strided((heads, queries, width - 1), (queries * width, width + 1, 1), 1).sum(1)


def merge_pieces(block: Block, words: Tensor) -> Block:
    """The block between words: weights summed over the key's pieces, averaged over the query's.

    Args:
        words: (token,) the word of each token, counted from 0 in order of position.
    """
    row_words, row_of = words[block.rows].unique_consecutive(return_inverse=True)
    key_words, key_of = words[block.keys].unique_consecutive(return_inverse=True)
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
    return Block(_span(row_words), _span(key_words), merged, allowed, block.reach_known)


def _span(words: Tensor) -> slice:
    return slice(int(words[0]), int(words[-1]) + 1)
