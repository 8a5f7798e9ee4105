"""Adds up the blocks of one layer, and checks the layer's rows."""

from __future__ import annotations

import math
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnprobe.attention.blocks import Block
from attnprobe.attention.cells import sum_cells
from attnprobe.attention.memory import Memory
from attnprobe.attention.rows import check_distance, distance_from_one, entropies, merge_pieces
from attnprobe.errors import ModelError
from attnprobe.metrics.adding import Adder, WeightSums
from attnprobe.metrics.kinds import Metric, RowMetric, Rows
from attnprobe.metrics.plan import Plan


class LayerObserver:
    """Adds up the blocks of one layer; is called with each block, in order of rows, of several heads also at a time.

    Args:
        plan: of the blocks' texts.
        adder: adds to the sums by key and by offset, and finds row values.
        sums: of the layer, to be added to.
        memory: for tensors that are needed only while a block is added.
        layer: the number of the layer, for messages.
    """

    def __init__(self, plan: Plan, adder: Adder, sums: WeightSums, memory: Memory, layer: int) -> None:
        self.plan, self.adder, self.sums, self.memory, self.layer = plan, adder, sums, memory, layer
        self.n_queries, self.noting = 0, Lock()
        self.reach_known, self.complete, self.pooled = True, True, False
        self.distance: Float[Tensor, ""] | None = None  # how far the sum of a row was from 1

    def __call__(self, block: Block) -> None:
        """Adds a block; if it pools tokens, only for metrics that need no tokens."""
        if self.plan.words is not None and not block.pooled:
            block = merge_pieces(block, self.plan.words)
        at = (block.texts, block.heads or slice(0, block.weights.shape[1]))
        with self.noting:
            self._note(block, at)
        if block.pooled and self.plan.words is not None:
            return
        if not block.pooled:
            self.adder.add(block, at, self.sums)
            for column, (queries, keys) in enumerate(self.plan.cells):
                self.sums.by_cell[(*at, column)] += sum_cells(block, queries, keys, self.sums.by_cell.dtype)
        self._keep_entropy_and_reach(block, at)
        self._add_by_row(block, at)
        if block.totals is not None and not block.complete:
            self.sums.empty[at] |= (block.totals == 0).any(-1)
        if self.plan.value_metrics and block.rows.start == 0:
            self._add_by_value(block, at)

    def _note(self, block: Block, at: tuple[slice, slice]) -> None:
        """Notes how many queries came, and what is known about their rows."""
        if at[0].start == at[1].start == 0:
            self.n_queries += block.rows.stop - block.rows.start
        self.reach_known &= block.reach_known
        self.complete &= block.complete
        self.pooled |= block.pooled
        if not block.checked:
            distance = distance_from_one(block.weights, block.complete)
            self.distance = distance if self.distance is None else self.distance.maximum(distance)

    def _keep_entropy_and_reach(self, block: Block, at: tuple[slice, slice]) -> None:
        """Keeps each row's entropy, and how many keys it can reach."""
        if "entropy" in self.sums.row_values:
            entropy = entropies(block.weights, self.memory) if block.entropy is None else block.entropy
            self.sums.row_values["entropy"][(*at, block.rows)] = entropy
        if block.pooled:
            self.sums.reach[block.rows] = block.weights.shape[-1]
        elif block.allowed is not None:
            self.sums.reach[block.rows] = block.allowed.sum(-1)

    def _add_by_row(self, block: Block, at: tuple[slice, slice]) -> None:
        """Adds up the row metrics that read the weights themselves."""
        for column, metric in enumerate(self.plan.row_metrics):
            if "weights" not in metric.uses or not _has_meaning(metric, block.pooled, block.complete):
                continue
            row_values = {name: values[(*at, block.rows)] for name, values in self.sums.row_values.items()}
            values = metric.of_rows(Rows(self.sums.reach[block.rows], **row_values, weights=block.weights))
            if not block.pooled:
                values = values * self.plan.row_queries[column, block.texts, None, block.rows]
            self.sums.by_row[(*at, column)] += values.sum(-1, dtype=self.sums.by_row.dtype)

    def _add_by_value(self, block: Block, at: tuple[slice, slice]) -> None:
        """Adds up the value metrics over the chosen tokens of the block's texts.

        Raises:
            ModelError: the block does not carry the norms of values.
        """
        norms = block.value_norms
        if norms is None:
            raise ModelError(f"layer {self.layer}: the values of this model are not known")
        if self.plan.words is not None:
            norms = norms.new_zeros(*norms.shape[:2], self.plan.length).index_add_(2, self.plan.words, norms)
        chosen = torch.as_tensor(self.plan.chosen[block.texts, None], device=norms.device)
        for column, metric in enumerate(self.plan.value_metrics):
            values = metric.of_norms(norms) * chosen
            self.sums.by_value[(*at, column)] += values.sum(-1, dtype=self.sums.by_value.dtype)

    def check(self) -> None:
        """Checks that all rows of the layer arrived, and that they are probabilities.

        Raises:
            TextError: a row is not a probability distribution.
            ModelError: some rows did not arrive.
        """
        if self.distance is not None:
            check_distance(float(self.distance), self.plan.tolerance, self.layer)
        if self.n_queries != self.plan.length and not self.pooled:
            raise ModelError(f"layer {self.layer}: attention came for {self.n_queries} of {self.plan.length} positions")
        sums = (self.sums.by_key, *self.sums.row_values.values())
        if torch.stack([values.isnan().any() for values in sums]).any():
            check_distance(math.nan, self.plan.tolerance, self.layer)

    def counts(self) -> Int[np.ndarray, "text metric"]:
        """Counts the queries that each metric averages over; 0 if the layer's rows do not define it."""
        counts = np.full_like(self.plan.counts, self.n_queries) if self.pooled else self.plan.counts
        return counts * [self._defines(metric) for metric in self.plan.metrics]

    def _defines(self, metric: Metric) -> bool:
        """Tests whether the layer's rows define the metric."""
        if self.pooled and (self.plan.words is not None or not self.plan.chosen.all()):
            return False
        if not isinstance(metric, RowMetric):
            return not self.pooled
        return _has_meaning(metric, self.pooled, self.complete) and (self.reach_known or "reach" not in metric.uses)


def _has_meaning(metric: RowMetric, pooled: bool, complete: bool) -> bool:
    """Tests whether the metric has a meaning for rows that are pooled, or complete."""
    return not (pooled and metric.needs_tokens) and not (complete and metric.needs_outside)
