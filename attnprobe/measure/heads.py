"""Head means: every metric of every head, averaged over the queries of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import add

from attnprobe.measure.reading import check_options, notes_on, sign_run, windows_of
from attnprobe.measure.running import measure
from attnprobe.metrics import load_metrics
from attnprobe.models.encoder import Encoder
from attnprobe.values.selection import Indices, select
from attnprobe.values.table import Table


def head_table(
    text: str,
    encoder: Encoder,
    metrics: Sequence[str] | None = None,
    *,
    pair: str | None = None,
    layers: Indices = None,
    heads: Indices = None,
    long_range: int = 10,
    queries: str = "all",
    level: str = "token",
    max_length: int | None = None,
    stride: int | None = None,
    global_attention: str = "none",
) -> Table:
    """The rows of :func:`head_stats` as a Table.

    Args:
        pair: the second text of a pair.
        layers, heads: which to report, counted from 0: ``3``, ``[0, 2, -1]``, ``"0-5"``, ``"0,2,-1"``, ``"all"``.
        long_range: threshold of long_range_share, in tokens.
        queries: "all", or "content": average only over tokens of the text, not over added ones.
        level: "token", or "word": weights summed over the key's pieces, averaged over the query's.
        max_length: the most tokens read at once; a longer text is cut.
        stride: reads a longer text in windows that overlap by this many tokens instead; the mean is over the queries of
            all windows.
        global_attention: which tokens Longformer and LED let see and be seen by all: "none" (as the bare model does),
            "cls" (as their classifiers do), or "first", those of the first text (as their question answerers do).
    """
    check_options(long_range=long_range, queries=queries, level=level, global_attention=global_attention)
    chosen = load_metrics(metrics)
    layer_numbers = select(layers, encoder.layers, "layer")
    head_numbers = select(heads, encoder.heads, "head")
    windows = windows_of(
        encoder, text, pair, level=level, max_length=max_length, stride=stride, global_attention=global_attention
    )
    sums = measure(windows, encoder, chosen, layers=layer_numbers, long_range=long_range, queries=queries, level=level)
    means = reduce(add, sums).means()
    rows = [
        (layer, head, *(None if math.isnan(value) else float(value) for value in means[index, head]))
        for index, layer in enumerate(layer_numbers)
        for head in head_numbers
    ]
    notes = notes_on(encoder, windows, global_attention)

    def sign() -> str:
        return sign_run(
            encoder,
            max_length=max_length,
            stride=stride,
            queries=queries,
            level=level,
            long_range=long_range,
            global_attention=global_attention,
        )

    return Table(["layer", "head", *chosen], rows, notes, sign)
