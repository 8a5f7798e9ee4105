"""Turns blocks of attention weights into head statistics, sums over queries and their counts, in one pass.

All head statistics are computed here, however the weights are captured. ``kinds.py`` defines metrics, ``plan.py`` fixes
what is known before the first block, ``adding.py`` accumulates, ``layer.py`` takes each block, ``sums.py`` has results.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.blocks import exact
from attnprobe.attention.memory import Memory
from attnprobe.attention.rows import word_starts
from attnprobe.metrics.adding import Adder, CompiledAdder, TorchAdder, WeightSums
from attnprobe.metrics.kinds import Metric, Rows, ValueMetric
from attnprobe.metrics.layer import LayerObserver
from attnprobe.metrics.plan import make_plan
from attnprobe.metrics.sums import Sums
from attnprobe.values.tokens import Tokens


class Reducer:
    """Evaluates metrics on the blocks of texts of one length as they come, layer by layer; keeps no weights.

    Pass each layer's blocks, in order of rows, to the observer of :meth:`start_layer`; then read :attr:`sums`.

    Args:
        texts: texts of equally many tokens; by word if ``level`` is "word", and then only one.
        metrics: the chosen metrics by name.
        layers: the layers that will come, in the order of the result.
        heads: how many heads each layer has.
        long_range: the threshold of long_range_share, in tokens.
        queries: "all", or "content" to leave out the queries the tokenizer added.
        level: "token", or "word": weights are summed over the key's pieces and averaged over the query's
            (Clark et al. 2019), so that rows still sum to 1. Blocks must not cut a word.
        profile: whether to keep the sums by offset for :meth:`profile`, even if no metric needs them.
        dtype: the model's, which sets how exactly rows must sum to 1.
        device: where the weights are.
        compiled: whether :mod:`attnprobe.attention.kernels` takes the sums instead of torch; only for float32 on a CPU.

    Raises:
        TextError: the rows of a layer are not probabilities.
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
        self.plan = make_plan(
            texts,
            list(metrics.values()),
            long_range=long_range,
            queries=queries,
            level=level,
            profile=profile,
            dtype=dtype,
            device=device,
        )
        self.layers, self.memory = list(layers), Memory(self.plan.columns)
        self.adder: Adder = CompiledAdder(self.plan) if compiled else TorchAdder(self.plan, self.memory)
        self.heads, self.dtype = heads, exact(dtype)
        self._start()

    def _start(self) -> None:
        """Makes the sums over no blocks."""
        self.weight_sums = WeightSums.zeros(self.plan, len(self.layers), self.heads, self.adder.kept, self.dtype)
        self.counts = np.zeros((len(self.layers), *self.plan.counts.shape), dtype=int)  # (layer, text, metric)
        self.open: LayerObserver | None = None

    def another(self) -> Reducer:
        """Makes a reducer by the same plan, for other weights of the same texts."""
        made = copy.copy(self)
        made._start()
        return made

    @property
    def starts(self) -> list[int] | None:
        """The rows where a block may start: the first piece of each word, or any row."""
        return None if self.plan.words is None else word_starts(self.plan.words)

    def start_layer(self, layer: int) -> LayerObserver:
        """Returns an observer for one layer's blocks; the statistics are final when the next layer starts."""
        self._close_layer()
        sums = self.weight_sums.of_layer(self.layers.index(layer))
        self.open = LayerObserver(self.plan, self.adder, sums, self.memory, layer)
        return self.open

    def _close_layer(self) -> None:
        if self.open:
            self.open.check()
            self.counts[self.layers.index(self.open.layer)] = self.open.counts()
        self.open = None

    @property
    def sums(self) -> list[Sums]:
        """The totals and counts of each text."""
        self._close_layer()
        totals = self._totals().cpu().numpy()
        totals = np.where(self.counts[:, :, None] > 0, totals, 0.0) + 0.0  # turns -0.0 into 0.0
        of_weights = np.array([not isinstance(metric, ValueMetric) for metric in self.plan.metrics], dtype=bool)
        totals[self.weight_sums.empty.cpu().numpy()[..., None] & of_weights] = np.nan
        return [Sums(totals[:, text], self.counts[:, text].astype(float)) for text in range(totals.shape[1])]

    def profile(self) -> np.ndarray:
        """Sums weights over queries and texts: (layer, head, offset), from offset 1 − length to length − 1.

        Layers that pool tokens hold zeros.
        """
        self._close_layer()
        profile: np.ndarray = self.weight_sums.by_offset.sum(1).cpu().numpy()
        return profile

    def _totals(self) -> Float[Tensor, "layer text head metric"]:
        """Computes each metric summed over queries from the sums of weights."""
        plan, sums = self.plan, self.weight_sums
        by_key = torch.einsum("lthck,tckm->lthm", sums.by_key, plan.columns)
        by_offset = sums.by_offset @ plan.functions
        return torch.cat([by_key, by_offset, sums.by_cell, self._by_row(), sums.by_value], -1)[..., plan.order]

    def _by_row(self) -> Float[Tensor, "layer text head row_metric"]:
        """Sums the row metrics over queries; those that read no weights are computed here, for all layers at once."""
        by_row = self.weight_sums.by_row
        rows = Rows(self.weight_sums.reach[:, None, None], **self.weight_sums.row_values)
        for column, metric in enumerate(self.plan.row_metrics):
            if "weights" not in metric.uses:
                values = metric.of_rows(rows) * self.plan.row_queries[column, :, None]
                by_row[..., column] = values.sum(-1, dtype=by_row.dtype)
        return by_row
