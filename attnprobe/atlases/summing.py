"""Sums up statistics, shares and contributions of the same texts by one plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from attnprobe.analyses.shares import HeadShares, metrics_of_shares
from attnprobe.atlases.by_norm import ContributionListener
from attnprobe.attention.blocks import Observer
from attnprobe.measure.heads import HeadMeans
from attnprobe.measure.kinds import Found, Listener, Measurement
from attnprobe.metrics import load_metrics
from attnprobe.metrics.reduce import Reducer
from attnprobe.metrics.sums import Sums
from attnprobe.models.encoder import Encoder
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class SharingListener:
    """Reads some metrics from a reducer that sums up more, for others.

    Attributes:
        reducer: of some texts of one length.
        sums: returns those of the reducer, once all layers have come.
        metrics, heads: the indices of those that are read.
        leads: whether this listener shows the blocks to the reducer; others that share it only read its sums.
    """

    reducer: Reducer
    sums: Callable[[], Sequence[Sums]]
    metrics: Sequence[int]
    heads: Sequence[int]
    leads: bool = True

    @property
    def starts(self) -> list[int] | None:
        """The rows where a block may start."""
        return self.reducer.starts

    def start_layer(self, layer: int) -> Observer | None:
        """Returns the reducer's observer of the layer's blocks, or None if another listener does."""
        return self.reducer.start_layer(layer) if self.leads else None

    def finish(self) -> Found:
        """Returns the sums of each text."""
        return Found([self._picked(sums) for sums in self.sums()])

    def _picked(self, sums: Sums) -> Sums:
        return Sums(sums.total[:, self.heads][..., self.metrics], sums.count[:, self.metrics])


def listeners_together(
    members: Mapping[str, Measurement], texts: Sequence[Tokens], encoder: Encoder
) -> dict[str, Listener]:
    """Makes the listeners of statistics, patterns and norms for texts of one length.

    One plan serves all three, and one reducer the first two, whose metrics are largely the same.
    """
    means, shares = members["statistics"], members["patterns"]
    assert isinstance(means, HeadMeans)
    assert isinstance(shares, HeadShares)
    metrics = {**load_metrics(means.metrics), **metrics_of_shares()}
    reducer = Reducer(
        texts,
        metrics,
        means.layers,
        encoder.heads,
        long_range=means.averaging.long_range,
        queries=means.averaging.queries,
        level=means.level,
        dtype=encoder.dtype,
        device=encoder.device,
        compiled=encoder.compiled,
    )
    sums, names, heads = cache(lambda: reducer.sums), list(metrics), list(means.heads)
    of_means, of_shares = ([names.index(name) for name in some] for some in (means.metrics, metrics_of_shares()))
    made: dict[str, Listener] = {
        "statistics": SharingListener(reducer, sums, of_means, heads),
        "patterns": SharingListener(reducer, sums, of_shares, list(shares.heads), leads=False),
    }
    if "norms" in members:
        of_norms = reducer.another()
        made["norms"] = ContributionListener(SharingListener(of_norms, lambda: of_norms.sums, of_means, heads))
    return made
