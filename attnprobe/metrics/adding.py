"""The sums that accumulate block by block, and two ways to add a block: with torch, or compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attnprobe.attention.blocks import Block
from attnprobe.attention.diagonals import sum_diagonals, sum_rows
from attnprobe.attention.memory import Memory
from attnprobe.attention.rows import largest
from attnprobe.metrics.plan import Plan


@dataclass(frozen=True)
class WeightSums:
    """Sums of weights over queries, for all layers; or for one, without the first axis.

    Attributes:
        by_key: Σ a[q,k] over the queries q of each class.
        by_offset: Σ a[q,q+i] over the chosen queries, for each offset i from 1 − length to length − 1; or no offsets.
        by_cell: Σ a[q,k] over the cells of each cell metric.
        by_row: Σ g(a[q,·]) over the queries of each row metric.
        by_value: Σ g(‖v(k)·W_O‖) over the chosen tokens k of each value metric.
        empty: whether a row of the head sums to 0, so that no metric of its weights has a meaning.
        row_values: the values of each row that row metrics read, by name in :class:`attnprobe.metrics.kinds.Rows`.
        reach: how many keys each query can reach.
    """

    by_key: Float[Tensor, "*layer text head class query"]
    by_offset: Float[Tensor, "*layer text head offset"]
    by_cell: Float[Tensor, "*layer text head cell_metric"]
    by_row: Float[Tensor, "*layer text head row_metric"]
    by_value: Float[Tensor, "*layer text head value_metric"]
    empty: Bool[Tensor, "*layer text head"]
    row_values: Mapping[str, Float[Tensor, "*layer text head query"]]
    reach: Int[Tensor, "*layer query"]

    @classmethod
    def zeros(cls, plan: Plan, layers: int, heads: int, kept: Sequence[str], dtype: torch.dtype) -> WeightSums:
        """Makes the sums over no queries.

        Args:
            kept: the names of ``row_values``.
            dtype: the weights'.
        """
        texts, classes, length = plan.classes.shape
        zeros, shape = plan.columns.new_zeros, (layers, texts, heads)
        return cls(
            by_key=zeros(*shape, classes, length),
            by_offset=zeros(*shape, len(plan.functions)),
            by_cell=zeros(*shape, len(plan.cells)),
            by_row=zeros(*shape, len(plan.row_metrics)),
            by_value=zeros(*shape, len(plan.value_metrics)),
            empty=zeros(*shape, dtype=torch.bool),
            row_values={name: zeros(*shape, length, dtype=dtype) for name in kept},
            reach=plan.columns.new_full((layers, length), length, dtype=torch.int64),
        )

    def of_layer(self, index: int) -> WeightSums:
        """Returns the sums of one layer, in the same memory."""
        row_values = {name: values[index] for name, values in self.row_values.items()}
        sums = (self.by_key[index], self.by_offset[index], self.by_cell[index], self.by_row[index])
        return WeightSums(*sums, self.by_value[index], self.empty[index], row_values, self.reach[index])


class TorchAdder:
    """Adds blocks with torch, in several passes through memory, each only if a metric needs it.

    Attributes:
        kept: the names of the row values that metrics read.
    """

    def __init__(self, plan: Plan, memory: Memory) -> None:
        used = {name for metric in plan.row_metrics for name in metric.uses}
        self.kept: Sequence[str] = [name for name in ("entropy", "largest", "first") if name in used]
        self.memory, self.device = memory, plan.columns.device
        self.classes = [self._mask(plan.classes[:, number]) for number in range(plan.classes.shape[1])]
        self.chosen = self._mask(plan.chosen)
        alike = (plan.separators == plan.separators[0]).all()
        positions, mask = np.flatnonzero(plan.separators[0]).tolist(), torch.tensor(plan.separators, device=self.device)
        self.separators: list[int] | Tensor = positions if alike else mask

    def _mask(self, queries: Bool[np.ndarray, "text query"]) -> Bool[Tensor, "text query"] | None:
        """Moves queries to the weights' device; None stands for all of them."""
        return None if queries.all() else torch.tensor(queries, device=self.device)

    def add(self, block: Block, at: tuple[slice, slice], sums: WeightSums) -> None:
        """Adds a block of some texts and heads of one layer."""
        for number, queries in enumerate(self.classes):
            weights = _only(queries, block)
            by_key = sum_rows(weights.flatten(0, 1), sums.by_key.dtype)
            sums.by_key[(*at, number, block.keys)] += by_key.view(*weights.shape[:2], -1)
        if sums.by_offset.numel():
            weights = _only(self.chosen, block)
            by_offset = sum_diagonals(weights, sums.by_offset.dtype, self.memory)
            lowest = block.keys.start - (block.rows.stop - 1) + sums.reach.shape[-1] - 1  # index of the first offset
            sums.by_offset[(*at, slice(lowest, lowest + by_offset.shape[-1]))] += by_offset
        if "largest" in sums.row_values:
            sums.row_values["largest"][(*at, block.rows)] = largest(block.weights, self._separators(block))
        if "first" in sums.row_values and block.keys.start == 0:
            sums.row_values["first"][(*at, block.rows)] = block.weights[..., 0]

    def _separators(self, block: Block) -> Sequence[int] | Bool[Tensor, "text 1 1 key"]:
        """Finds the block's keys that are separators, ascending; as a mask if texts differ."""
        if isinstance(self.separators, Tensor):
            return self.separators[block.texts, None, None, block.keys]
        return [at - block.keys.start for at in self.separators if block.keys.start <= at < block.keys.stop]


class CompiledAdder:
    """Adds blocks in one compiled pass, which finds all row values; only for float32 on a CPU."""

    kept: Sequence[str] = ("entropy", "largest", "first")

    def __init__(self, plan: Plan) -> None:
        in_class = plan.classes.any(1)
        self.class_of_query = np.where(in_class, plan.classes.argmax(1), -1).astype(np.int8)
        self.is_no_separator = (~plan.separators).astype(np.float32)

    def add(self, block: Block, at: tuple[slice, slice], sums: WeightSums) -> None:
        """Adds a block of some texts and heads of one layer."""
        from attnprobe.attention import kernels

        kernels.add_sums(
            block.weights.contiguous().numpy(),
            *(at[0].start, at[1].start, block.rows.start, block.keys.start),
            *(self.class_of_query, self.is_no_separator),
            *(sums.by_key.numpy(), sums.by_offset.numpy()),
            *(sums.row_values["largest"].numpy(), sums.row_values["first"].numpy()),
        )


Adder = TorchAdder | CompiledAdder


def _only(queries: Bool[Tensor, "texts queries"] | None, block: Block) -> Float[Tensor, "text head query key"]:
    """Sets the block's weights to zero in the rows of other queries; None: keeps all."""
    return block.weights if queries is None else block.weights * queries[block.texts, None, block.rows, None]
