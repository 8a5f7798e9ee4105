"""The sums of one text: each metric summed over queries, and the number of queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sums:
    """Sufficient statistics of one text, for any mean; those of windows or texts add up.

    Attributes:
        total: (layer, head, metric) the metric summed over queries.
        count: (layer, metric) how many queries; 0 if the metric has no meaning.
    """

    total: np.ndarray
    count: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.total + other.total, self.count + other.count)

    def means(self) -> np.ndarray:
        """Computes the mean over queries (layer, head, metric), NaN if there were none."""
        count = self.count[:, None, :]
        means: np.ndarray = np.divide(self.total, count, out=np.full_like(self.total, np.nan), where=count > 0)
        return means
