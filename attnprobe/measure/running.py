"""The one pass of the model, in which weights are reduced while they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from attnprobe.attention.blocks import Observer
from attnprobe.metrics.kinds import Metric
from attnprobe.metrics.reduce import Reducer, Sums
from attnprobe.models.encoder import Encoder
from attnprobe.values.tokens import Tokens

if TYPE_CHECKING:
    pass


def measure(
    texts: Sequence[Tokens],
    encoder: Encoder,
    metrics: dict[str, Metric],
    *,
    layers: Sequence[int],
    long_range: int,
    queries: str,
    level: str,
    profiles: list[np.ndarray] | None = None,
) -> list[Sums]:
    """Runs one batch and reduces each text's weights while the model computes them.

    Args:
        profiles: where to put the weights' sums by offset, (layer, head, offset), an array per length of text.
    """
    groups = [[index] for index in range(len(texts))] if level == "word" else encoder.groups(texts)
    reducers = [
        Reducer(
            [texts[index] for index in group],
            metrics,
            layers,
            encoder.heads,
            long_range=int(long_range),
            queries=queries,
            level=level,
            profile=profiles is not None,
            dtype=encoder.dtype,
            device=encoder.device,
            compiled=encoder.compiled,
        )
        for group in groups
    ]

    def observe(layer: int, group: int) -> Observer | None:
        return reducers[group].start_layer(layer) if layer in layers else None

    encoder.observe(texts, observe, groups, [reducer.starts for reducer in reducers])
    if profiles is not None:
        profiles += [reducer.profile() for reducer in reducers]
    order = [index for group in groups for index in group]
    sums = dict(zip(order, (its for reducer in reducers for its in reducer.sums), strict=True))
    return [sums[index] for index in range(len(texts))]
