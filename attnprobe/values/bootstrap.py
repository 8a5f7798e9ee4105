"""Means over texts, with a bootstrap whose sums add up: each text draws by itself how often it comes in each sample.

In a plain bootstrap all texts of a sample are drawn together, which needs all of them at once. In a Poisson bootstrap
(Hanley & MacGibbon 2006; Chamandy et al. 2012) a text comes in each sample as often as a draw from Poisson(1) says,
whatever the others do: so samples are sums over texts, which add up over chunks, processes and runs that were killed,
and no text's values are kept. The draws follow from the text's id and a seed alone, on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import shake_128
from itertools import accumulate

import numpy as np

DRAWS = 2000
INTERVAL = (0.025, 0.975)
TOGETHER = 256  # texts whose draws are held at once: 4 MB
CUMULATIVE = list(accumulate(math.exp(-1) / math.factorial(count) for count in range(12)))
BOUNDS = (np.array(CUMULATIVE) * 2**32).astype(np.uint32)
FRACTION = 2.0**40  # what is added up is rounded to this part of its size, so that the order of sums changes no bit


def draw_counts(ids: Sequence[str], seed: int, side: str = "") -> np.ndarray:
    """Draws how often each text comes in each sample: (text, draw), from Poisson(1).

    Args:
        side: a name that makes the draws independent of those for another name.
    """
    keys = (f"{seed}\0{side}\0{name}".encode("utf-8", "surrogatepass") for name in ids)
    numbers = b"".join(shake_128(key).digest(4 * DRAWS) for key in keys)
    counts = np.searchsorted(BOUNDS, np.frombuffer(numbers, dtype="<u4"), side="right")
    return counts.reshape(len(ids), DRAWS).astype(float)


@dataclass(frozen=True)
class Sample:
    """Sufficient statistics of one number per text, for each layer, head and metric; those of more texts add up.

    Attributes:
        n: (layer, metric) how many texts have a number.
        mean: (layer, head, metric) their mean.
        squares: (layer, head, metric) the sum of the squared deviations from ``mean``.
        sums: (draw, layer, head, metric) the numbers summed over the texts of each bootstrap sample.
        counts: (draw, layer, metric) how many numbers that are.
    """

    n: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def empty(cls, shape: Sequence[int], draws: int = DRAWS) -> Sample:
        """Makes the statistics of no text.

        Args:
            shape: how many layers, heads and metrics.
            draws: DRAWS, or 0 for statistics without a bootstrap.
        """
        layers, _, metrics = shape
        by_head = np.zeros(shape)
        counts = np.zeros((draws, layers, metrics))
        return cls(np.zeros((layers, metrics)), by_head, by_head, np.zeros((draws, *shape)), counts)

    def of(self, values: np.ndarray, counts: np.ndarray | None = None) -> Sample:
        """Summarizes texts by their values (text, layer, head, metric), which are all NaN where a text has none.

        Args:
            counts: (text, draw), see :func:`draw_counts`; None: without a bootstrap.
        """
        known = ~np.isnan(values).any(2)
        n, filled = known.sum(0).astype(float), np.where(known[:, :, None], values, 0.0)
        mean = filled.sum(0) / np.maximum(n, 1)[:, None]
        squares = (np.square(filled - mean) * known[:, :, None]).sum(0)
        made = replace(self, n=n, mean=mean, squares=squares)
        if counts is None:
            return made
        return replace(made, sums=_product(counts, _rounded(filled)), counts=_product(counts, known.astype(float)))

    def __add__(self, other: Sample) -> Sample:
        n = self.n + other.n
        share = (other.n / np.maximum(n, 1))[:, None]
        apart = other.mean - self.mean
        squares = self.squares + other.squares + np.square(apart) * self.n[:, None] * share
        return Sample(n, self.mean + apart * share, squares, self.sums + other.sums, self.counts + other.counts)

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Returns the numbers by name, each name after a prefix."""
        return {f"{prefix}.{name}": array for name, array in vars(self).items()}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Sample:
        """Makes the statistics whose :meth:`arrays` are among these."""
        return cls(**{name: arrays[f"{prefix}.{name}"] for name in cls.__dataclass_fields__})

    def variance_of_mean(self) -> np.ndarray:
        """Estimates the variance of the mean: (layer, head, metric), NaN for fewer than two texts."""
        n = np.where(self.n > 1, self.n, np.nan)[:, None]
        variance: np.ndarray = self.squares / (n - 1) / n
        return variance

    def drawn_means(self) -> np.ndarray:
        """Computes the mean of each bootstrap sample: (draw, layer, head, metric), NaN for a sample without texts."""
        counts = np.where(self.counts > 0, self.counts, np.nan)
        means: np.ndarray = self.sums / counts[:, :, None]
        return means


def false_discovery(p_values: np.ndarray) -> np.ndarray:
    """Computes the q-values of p-values (Benjamini & Hochberg 1995), leaving out those that are NaN.

    >>> false_discovery(np.array([0.01, 0.5, np.nan, 0.02])).tolist()
    [0.03, 0.5, nan, 0.03]
    """
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(-p_values[known], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    found = np.full(p_values.shape, np.nan)
    found[order] = np.minimum.accumulate(p_values[order] * len(order) / ranks)
    return found


def _rounded(values: np.ndarray) -> np.ndarray:
    """Rounds each metric's values so that sums of TOGETHER times a few of them are exact."""
    largest = np.abs(values).max(axis=(0, 1, 2), initial=0)
    unit = np.exp2(np.ceil(np.log2(np.where(largest > 0, largest, 1)))) / FRACTION
    rounded: np.ndarray = np.round(values / unit) * unit
    return rounded


def _product(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums values (text, ...) as often as each text was drawn: (draw, ...)."""
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    total: np.ndarray = (counts.T @ flat).reshape(-1, *values.shape[1:])
    return total
