"""Computes what heat maps show: weights, or a statistic by layer and head."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnprobe.measure.heads import head_table
from attnprobe.measure.weights import keep_weights
from attnprobe.metrics import load_metrics
from attnprobe.models.encoder import Encoder
from attnprobe.values.attention import Attention
from attnprobe.values.options import Averaging, Reading, take


@dataclass(frozen=True)
class StatMap:
    """A statistic of heads.

    Attributes:
        name: of the metric.
        values: (layer, head); NaN where it has no meaning.
        layers, heads: the numbers of the axes, counted from 0.
        notes, sign: as in :class:`attnprobe.values.table.Table`.
    """

    name: str
    values: np.ndarray
    layers: Sequence[int]
    heads: Sequence[int]
    notes: Mapping[str, Any]
    sign: Callable[[], str] | None

    @property
    def limits(self) -> tuple[float, float]:
        """The ends of the scale: the highest value and 0, or the lowest value if it is below 0."""
        known = self.values[~np.isnan(self.values)]
        return min(0.0, *known) if known.size else 0.0, max(0.0, *known) if known.size else 0.0

    @property
    def label(self) -> str:
        """The metric and its unit."""
        unit = load_metrics([self.name])[self.name].unit
        return f"{self.name} ({re.split('[,;]', unit)[0]})"


Picture = Attention | StatMap


def take_picture(text: str, encoder: Encoder, stat: str | None = None, **options: Any) -> Picture:
    """Computes what is drawn of a text: weights, or a metric if ``stat`` names one.

    Args:
        options: layers, heads, pair, long_range, and those of :class:`attnprobe.values.options.Reading` but ``stride``.
    """
    beside = {name: options.pop(name) for name in ("layers", "heads", "pair") if name in options}
    take(options, Reading, Averaging, beside=("layers", "heads", "pair"), without=("stride", "queries"))
    if stat is None:
        options.pop("long_range", None)
        return keep_weights(text, encoder, **beside, **options)
    table = head_table(text, encoder, [stat], **beside, **options)
    layers, heads = (sorted(set(table.column(axis))) for axis in ("layer", "head"))
    values = np.array(table.column(stat), dtype=float).reshape(len(layers), len(heads))
    return StatMap(stat, values, layers, heads, table.notes, table.sign)


def title(picture: Picture) -> str:
    """Names what is drawn, and the model."""
    model = picture.notes["model"]
    if isinstance(picture, StatMap):
        return f"{model}: {picture.label}"
    names = [
        f"{axis} {numbers[0]}"
        for axis, numbers in (("layer", picture.layers), ("head", picture.heads))
        if len(numbers) == 1
    ]
    unit = "tokens" if picture.key_tokens is picture.pieces else "words"
    return ", ".join([model, *names, f"{len(picture.key_tokens)} {unit}"])
