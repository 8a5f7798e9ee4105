"""Head means: every metric of every head, averaged over the queries of a text."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from attnprobe.errors import PartialMeanWarning
from attnprobe.measure.kinds import Found, Measured
from attnprobe.measure.reading import notes_on, sign, weighing, windows_of
from attnprobe.measure.running import added, measure
from attnprobe.metrics import check_names, load_metrics
from attnprobe.metrics.kinds import Metric, ValueMetric
from attnprobe.metrics.reduce import Reducer
from attnprobe.metrics.sums import Sums
from attnprobe.models.encoder import Encoder
from attnprobe.values.averaging import averaged_axes, named_mean, partly_empty, signed_mean
from attnprobe.values.options import Averaging, Mean, Reading, Running, SequenceReading, take
from attnprobe.values.rows import HEAD_COLUMNS, RowBlock
from attnprobe.values.selection import Indices, select
from attnprobe.values.summary import Offsets, Summary
from attnprobe.values.table import Table
from attnprobe.values.tokens import Role, Tokens


@dataclass(frozen=True)
class HeadMeans:
    """Measures head means, for ``heads`` and ``corpus``.

    Attributes:
        metrics: names from METRICS.
        layers, heads: the numbers of those to report, ascending.
        averaging: the queries that means are taken over.
        mean: what the summary, and the table of one text, average over; rows of texts are by head.
        level: "token" or "word", see :class:`attnprobe.values.options.Reading`.
        profile: whether the summary also gets the weights by key − query.
    """

    metrics: tuple[str, ...]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    averaging: Averaging = Averaging()  # noqa: RUF009 (immutable)
    mean: Mean = Mean()  # noqa: RUF009
    level: str = "token"
    profile: bool = False

    @classmethod
    def choose(cls, encoder: Encoder, reading: Reading, **options: Any) -> HeadMeans:
        """Chooses the metrics and heads to measure.

        Args:
            options: metrics, layers and heads, None for all; profile; those of
                :class:`attnprobe.values.options.Averaging` and :class:`attnprobe.values.options.Mean`.

        Raises:
            UsageError: a metric or option is unknown, or a layer or head out of range.
        """
        beside = ("metrics", "layers", "heads", "profile", *SequenceReading.names(), *Running.names())
        averaging, mean = take(options, Averaging, Mean, beside=beside)
        return cls(
            tuple(check_names(options.get("metrics"))),
            tuple(select(options.get("layers"), encoder.layers, "layer")),
            tuple(select(options.get("heads"), encoder.heads, "head")),
            averaging,
            mean,
            reading.level,
            options.get("profile", False),
        )

    @property
    def reads_values(self) -> bool:
        """Whether blocks must carry the norms of values."""
        return any(isinstance(metric, ValueMetric) for metric in _loaded(self.metrics).values())

    @property
    def alone(self) -> bool:
        """Whether each text comes by itself: at level "word", since words differ between texts of one length."""
        return self.level == "word"

    @property
    def columns(self) -> dict[str, str]:
        """The columns ``layer`` and ``head``, then the metrics."""
        return {**HEAD_COLUMNS, **dict.fromkeys(self.metrics, "float32")}

    @property
    def size(self) -> int:
        """How many numbers the rows of a text hold."""
        return len(self.layers) * len(self.heads) * len(self.metrics)

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        return {"metrics": self.metrics, "layers": self.layers, "heads": self.heads, "profile": self.profile}

    def signed(self) -> dict[str, object]:
        """The options that the means depend on."""
        return {**self.averaging.signed(), **signed_mean(self.mean, self.layers, self.heads)}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> HeadListener:
        """Makes a listener that reduces the weights at once and keeps none of them."""
        reducer = Reducer(
            texts,
            _loaded(self.metrics),
            self.layers,
            encoder.heads,
            long_range=self.averaging.long_range,
            queries=self.averaging.queries,
            level=self.level,
            profile=self.profile,
            dtype=encoder.dtype,
            device=encoder.device,
            compiled=encoder.compiled,
        )
        return HeadListener(self, reducer, texts)

    def rows(self, texts: Sequence[Measured]) -> list[RowBlock]:
        """Makes a row per text, layer and head."""
        shape = (len(texts), len(self.layers), len(self.heads), len(self.metrics))
        totals = np.array([text.found.total for text in texts]).reshape(shape)
        counts = np.array([text.found.count for text in texts]).reshape(shape[0], shape[1], 1, shape[3])
        values = np.full(shape, np.nan, dtype=np.float32)
        np.divide(totals, counts, out=values, where=counts > 0, casting="same_kind")
        ids, n_tokens = [text.id for text in texts], [text.n_tokens for text in texts]
        return [RowBlock.of_heads(ids, n_tokens, self.layers, self.heads, self.metrics, values)]

    def empty(self, signature: str) -> Summary:
        """The summary of no text."""
        return Summary.empty(*averaged_axes(self.mean, self.layers, self.heads), self.metrics, signature, self.mean)

    def n_queries(self, text: Tokens) -> int:
        """Counts the queries of a text that means are taken over."""
        text = text.by_word() if self.level == "word" else text
        return len(text) if self.averaging.queries == "all" else list(text.roles).count(Role.CONTENT)


@dataclass(frozen=True)
class HeadListener:
    """Reduces the weights of some texts of one length."""

    measurement: HeadMeans
    reducer: Reducer
    texts: Sequence[Tokens]

    @property
    def starts(self) -> list[int] | None:
        """The first piece of each word, or any row."""
        return self.reducer.starts

    def start_layer(self, layer: int) -> Any:
        """Returns the observer of the layer's blocks."""
        return self.reducer.start_layer(layer)

    def finish(self) -> Found:
        """Returns the sums of each text, and the profile of all if it was asked for."""
        heads = list(self.measurement.heads)
        sums = [replace(found, total=found.total[:, heads]) for found in self.reducer.sums]
        if not self.measurement.profile:
            return Found(sums)
        n_queries = sum(map(self.measurement.n_queries, self.texts))
        return Found(sums, Offsets(self.reducer.profile()[:, heads], n_queries))


@cache
def _loaded(names: tuple[str, ...]) -> dict[str, Metric]:
    return load_metrics(names)


def head_table(
    text: str,
    encoder: Encoder,
    metrics: Sequence[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = None,
    heads: Indices = None,
    **options: Any,
) -> Table:
    """Returns the rows of :func:`attnprobe.head_stats` as a Table.

    Args:
        pair: the second text of a pair.
        layers, heads: those to report, counted from 0: ``3``, ``[0, 2, -1]``, ``"0-5"``, ``"0,2,-1"``, ``"all"``.
        options: those of SequenceReading, Averaging and Mean in :mod:`attnprobe.values.options`.

    Warns:
        PartialMeanWarning: a mean over layers leaves out those where a metric has no meaning.
    """
    reading, averaging, mean = take(options, SequenceReading, Averaging, Mean, beside=("pair", "layers", "heads"))
    chosen = {"metrics": metrics, "layers": layers, "heads": heads, **vars(averaging), **vars(mean)}
    measurement = HeadMeans.choose(encoder, reading, **chosen)
    windows = windows_of(encoder, text, pair, reading)
    weighed = weighing(encoder, reading, measurement).for_length(max(map(len, windows)))
    sums = added(measure(windows, weighed, measurement).texts)
    return table_of(measurement, sums, encoder, windows, reading)


def table_of(
    measurement: HeadMeans, sums: Sums, encoder: Encoder, windows: Sequence[Tokens], reading: Reading
) -> Table:
    """Makes a row per layer and head of one text, or for their means, given the sums."""
    mean, means = measurement.mean, sums.averaged(measurement.mean).means()
    layers, heads = averaged_axes(mean, measurement.layers, measurement.heads)
    for remark in partly_empty(sums.count, measurement.metrics, mean):
        warnings.warn(remark, PartialMeanWarning, stacklevel=3)
    rows = [
        (layer, head, *(None if math.isnan(value) else float(value) for value in means[i, j]))
        for i, layer in enumerate(layers)
        for j, head in enumerate(heads)
    ]
    return Table(
        ["layer", "head", *measurement.metrics],
        rows,
        {**notes_on(encoder, windows, reading), "mean": named_mean(mean, measurement.layers, measurement.heads)},
        lambda: sign(encoder, reading, **measurement.signed()),
    )
