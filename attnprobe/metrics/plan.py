"""The plan, fixed before the first block: the queries to average over, and the factors of the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnprobe.attention.blocks import sums_in
from attnprobe.attention.rounding import rounding
from attnprobe.metrics.kinds import CellMetric, Cells, KeyMetric, Metric, OffsetMetric, RowMetric, ValueMetric
from attnprobe.values.tokens import Role, Tokens

Queries = Bool[np.ndarray, "text query"]
Classes = Bool[np.ndarray, "text class query"]
Counts = Int[np.ndarray, "metric text"]
Positions = Int[np.ndarray, "text _"]  # as many as the text with the most cells has


@dataclass(frozen=True)
class Plan:
    """The plan by which metrics are measured on texts of equal length.

    Attributes:
        metrics: in the order of the result.
        words: the word of each token if the texts are measured by word; queries and keys below are then words.
        chosen: the queries that means are taken over.
        separators: which keys are separators.
        classes: the chosen queries: together, or apart by segment if a key metric depends on the query's segment.
        columns: c[k] of the key metrics for each class; 0 if it has no meaning.
        functions: f of the offset metrics, from offset 1 − length to length − 1; of no offsets if nothing needs them.
        cells: the queries and keys of the cells of each cell metric, see :func:`attnprobe.attention.cells.sum_cells`.
        row_queries: the queries that each row metric averages over.
        counts: how many queries each metric averages over, in the order of the result.
        order: the index of each metric among all of them sorted by kind.
        tolerance: how far rounding may move the sum of a row from 1.
    """

    metrics: Sequence[Metric]
    words: Int[Tensor, " token"] | None
    chosen: Queries
    separators: Queries
    classes: Classes
    columns: Float[Tensor, "text class query key_metric"]
    functions: Float[Tensor, "offset offset_metric"]
    cells: Sequence[tuple[Positions, Positions]]
    row_queries: Bool[Tensor, "row_metric text query"]
    counts: Int[np.ndarray, "text metric"]
    order: Sequence[int]
    tolerance: float

    @cached_property
    def row_metrics(self) -> list[RowMetric]:
        """The row metrics."""
        return [metric for metric in self.metrics if isinstance(metric, RowMetric)]

    @cached_property
    def value_metrics(self) -> list[ValueMetric]:
        """The value metrics."""
        return [metric for metric in self.metrics if isinstance(metric, ValueMetric)]

    @property
    def length(self) -> int:
        """The number of queries of each text."""
        return len(self.chosen[0])


def make_plan(
    texts: Sequence[Tokens],
    metrics: Sequence[Metric],
    *,
    long_range: int,
    queries: str,
    level: str,
    profile: bool,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Plan:
    """Makes the plan for some texts; the arguments are those of :class:`attnprobe.metrics.reduce.Reducer`."""
    words = torch.tensor(texts[0].words, device=device) if level == "word" else None
    texts = texts if words is None else [tokens.by_word() for tokens in texts]
    roles = np.array([tokens.roles for tokens in texts])
    chosen, separators = (roles == Role.CONTENT) | (queries == "all"), roles == Role.SEP
    classes, columns, key_counts = _for_keys(metrics, texts, chosen)
    functions, offset_counts = _for_offsets(metrics, chosen, long_range, profile)
    cells, cell_counts = _for_cells(metrics, texts, chosen)
    row_queries, row_counts = _for_rows(metrics, chosen, separators)
    value_counts = np.tile(chosen.sum(-1), (sum(isinstance(metric, ValueMetric) for metric in metrics), 1))
    order = _kind_order(metrics)
    return Plan(
        metrics=metrics,
        words=words,
        chosen=chosen,
        separators=separators,
        classes=classes,
        columns=torch.tensor(columns, dtype=sums_in(device), device=device),
        functions=torch.tensor(functions, dtype=sums_in(device), device=device),
        cells=cells,
        row_queries=torch.tensor(row_queries, device=device),
        counts=np.concatenate([key_counts, offset_counts, cell_counts, row_counts, value_counts])[order].T,
        order=order,
        tolerance=rounding(dtype, chosen.shape[1]),
    )


def _for_keys(
    metrics: Sequence[Metric], texts: Sequence[Tokens], chosen: Queries
) -> tuple[Classes, Float[np.ndarray, "text class query metric"], Counts]:
    """Finds the classes of queries, c[k] of every KeyMetric for each class, and counts the queries that have one."""
    columns = _key_columns([metric for metric in metrics if isinstance(metric, KeyMetric)], texts)
    segments = np.array([tokens.segments for tokens in texts])
    apart = [chosen & (segments == segment) for segment in range(columns.shape[1])]
    classes = np.stack(apart, 1) if len(apart) > 1 else chosen[:, None]
    known = ~np.isnan(columns).any(2)  # (text, class, metric)
    counts = np.einsum("tcm,tc->mt", known, classes.sum(-1))
    return classes, np.where(known[:, :, None], columns, 0.0), counts


def _key_columns(metrics: Sequence[KeyMetric], texts: Sequence[Tokens]) -> Float[np.ndarray, "text class key metric"]:
    """Finds c[k] of each metric, NaN if it has no meaning: for one class of queries, or for each segment."""
    columns = [[metric.column(tokens) for metric in metrics] for tokens in texts]
    by_segment = any(column is not None and column.ndim > 1 for text in columns for column in text)
    values = np.full((len(texts), 3 if by_segment else 1, len(texts[0]), len(metrics)), np.nan)
    for text, metric in np.ndindex(len(texts), len(metrics)):
        if (column := columns[text][metric]) is not None:
            values[text, :, :, metric] = column
    return values


def _for_offsets(
    metrics: Sequence[Metric], chosen: Queries, long_range: int, profile: bool
) -> tuple[Float[np.ndarray, "offset metric"], Counts]:
    """Finds f of every OffsetMetric at all offsets, or at none if nothing needs them, and counts queries."""
    asked = [metric for metric in metrics if isinstance(metric, OffsetMetric)]
    length = chosen.shape[1]
    offsets = np.arange(1 - length, length) if asked or profile else np.arange(0)
    functions = np.array([metric.of_offset(offsets, long_range) for metric in asked], dtype=float)
    return functions.reshape(len(asked), len(offsets)).T, np.tile(chosen.sum(-1), (len(asked), 1))


def _for_cells(
    metrics: Sequence[Metric], texts: Sequence[Tokens], chosen: Queries
) -> tuple[list[tuple[Positions, Positions]], Counts]:
    """Finds the cells of every CellMetric in the rows of the queries that it averages over, and counts these."""
    asked = [metric for metric in metrics if isinstance(metric, CellMetric)]
    planned, counts = [], []
    for metric in asked:
        found = [_cells(metric.cells(tokens), of_text) for tokens, of_text in zip(texts, chosen, strict=True)]
        queries, keys, counted = zip(*found, strict=True)
        planned.append((_aligned(queries, chosen.shape[1]), _aligned(keys, chosen.shape[1])))
        counts.append(np.sum(counted, axis=1))
    return planned, np.array(counts, dtype=int).reshape(len(asked), len(texts))


def _cells(cells: Cells | None, chosen: Bool[np.ndarray, " query"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds queries and keys of a text's cells, ascending by query, and the queries that count."""
    if cells is None:
        return np.zeros(0, int), np.zeros(0, int), np.zeros_like(chosen)
    counted = chosen if cells.counted is None else chosen & cells.counted
    kept = np.flatnonzero(counted[cells.queries])
    order = kept[np.argsort(cells.queries[kept], kind="stable")]
    return cells.queries[order], cells.keys[order], counted


def _aligned(positions: Sequence[np.ndarray], beyond: int) -> Positions:
    """Joins the positions of several texts, shorter lists filled with a position beyond the text."""
    aligned = np.full((len(positions), max(map(len, positions))), beyond, dtype=np.int32)
    for row, of_text in zip(aligned, positions, strict=True):
        row[: len(of_text)] = of_text
    return aligned


def _for_rows(
    metrics: Sequence[Metric], chosen: Queries, separators: Queries
) -> tuple[Bool[np.ndarray, "metric text query"], Counts]:
    """Finds the queries that every RowMetric averages over, and counts them."""
    asked = [metric for metric in metrics if isinstance(metric, RowMetric)]
    queries = [chosen & ~separators if metric.skips_separators else chosen for metric in asked]
    found = np.array(queries, dtype=bool).reshape(len(asked), *chosen.shape)
    return found, found.sum(-1)


def _kind_order(metrics: Sequence[Metric]) -> list[int]:
    """Finds the index of each metric among all of them sorted by kind: by key, by offset, by cell, by row, by value."""
    kinds = (KeyMetric, OffsetMetric, CellMetric, RowMetric, ValueMetric)
    by_kind: list[Metric] = [metric for kind in kinds for metric in metrics if isinstance(metric, kind)]
    return [by_kind.index(metric) for metric in metrics]
