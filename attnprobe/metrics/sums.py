"""What is left of one text: each metric summed over queries, and how many queries there were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sums:
    """Per-text sufficient statistics: what is needed for any mean, and for adding texts or windows up.

    Attributes:
        total: (layer, head, metric) the metric summed over queries.
        count: (layer, metric) how many queries; 0 where the metric has no meaning.
    """

    total: np.ndarray
    count: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.total + other.total, self.count + other.count)

    def means(self) -> np.ndarray:
        """(layer, head, metric): the mean over queries, NaN where there were none."""
        count = self.count[:, None, :]
        means: np.ndarray = np.divide(self.total, count, out=np.full_like(self.total, np.nan), where=count > 0)
        return means
