"""The sums of one text: each metric summed over queries, and the number of queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnprobe.values.averaging import mean_of_sums
from attnprobe.values.options import Mean


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

    def averaged(self, mean: Mean) -> Sums:
        """Averages over heads, layers or both, see :func:`attnprobe.values.averaging.mean_of_sums`."""
        return Sums(*mean_of_sums(self.total, self.count, mean))

    def means(self) -> np.ndarray:
        """Computes the mean over queries (layer, head, metric), NaN if there were none."""
        count = self.count[:, None, :]
        means: np.ndarray = np.divide(self.total, count, out=np.full_like(self.total, np.nan), where=count > 0)
        return means
