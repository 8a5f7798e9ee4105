"""Blocks of rows, as runs over many texts give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class RowBlock:
    """The rows of consecutive texts, layer by layer and head by head.

    Attributes:
        ids: of the texts.
        n_tokens: how many tokens of each were read.
        layers, heads, metrics: what the axes of ``values`` stand for.
        values: (text, layer, head, metric) in float32; NaN where a metric has no meaning.
    """

    ids: Sequence[str]
    n_tokens: Sequence[int]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    metrics: tuple[str, ...]
    values: np.ndarray

    @property
    def columns(self) -> list[str]:
        """``id, n_tokens, layer, head``, then the metrics."""
        return ["id", "n_tokens", "layer", "head", *self.metrics]

    def __len__(self) -> int:
        return len(self.ids) * len(self.layers) * len(self.heads)

    def to_frame(self) -> pandas.DataFrame:
        """One row per text, layer and head."""
        import pandas

        texts, per_text = len(self.ids), len(self.layers) * len(self.heads)
        frame = pandas.DataFrame(self.values.reshape(-1, len(self.metrics)), columns=list(self.metrics))
        frame.insert(0, "head", np.tile(self.heads, texts * len(self.layers)))
        frame.insert(0, "layer", np.tile(np.repeat(self.layers, len(self.heads)), texts))
        frame.insert(0, "n_tokens", np.repeat(np.asarray(self.n_tokens, dtype=int), per_text))
        frame.insert(0, "id", np.repeat(np.asarray(self.ids, dtype=object), per_text))
        return frame
