"""The three kinds of head metric, by what the measuring pass must keep for them.

Throughout, ``a[q,k]`` is the weight query q gives key k in one head. A metric's value for a text is the mean over its
queries, so whatever is linear in ``a`` needs only sums of ``a`` over queries, taken once for all metrics of a kind:

    KeyMetric      Σₖ a[q,k]·c[k]     from the sums by key
    OffsetMetric   Σₖ a[q,k]·f(k−q)   from the sums by offset (the diagonals)
    RowMetric      g(a[q,·])          from each row, while it is there
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numpy as np

from attnprobe.tokens import Tokens

if TYPE_CHECKING:
    from torch import Tensor

    from attnprobe.attention.blocks import Memory


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What every metric says of itself.

    Attributes:
        formula: for one query q; the reported value is its mean over queries.
        unit: of the value, with its range where it has one.
        source: who introduced it, and what differs from them.
    """

    formula: str
    unit: str
    source: str


@dataclass(frozen=True, kw_only=True)
class KeyMetric(Metric):
    """Σₖ a[q,k]·c[k].

    Attributes:
        column: Tokens -> c, an array (key,), or (segment, key) where it depends on the query's segment (0: added
            token, 1: first text, 2: second). NaN for a whole segment leaves its queries out. None: no meaning for
            this text.
    """

    column: Callable[[Tokens], np.ndarray | None]


@dataclass(frozen=True, kw_only=True)
class OffsetMetric(Metric):
    """Σₖ a[q,k]·f(k−q).

    Attributes:
        of_offset: (offsets k−q, long_range threshold) -> f, an array like the offsets.
    """

    of_offset: Callable[[np.ndarray, int], np.ndarray]


class Rows:
    """Some rows of some heads' weights, in some texts, and what a RowMetric may want of them.

    Attributes:
        weights: (text, head, query, key), only keys that some of these queries can reach.
        reach: (query,) how many keys each query can reach.
        first: (text, head, query) the weight on the text's first token.
        separators: which of the keys are separators, ascending; where texts differ, a mask (text, 1, 1, key).
    """

    def __init__(
        self, weights: Tensor, reach: Tensor, first: Tensor, separators: Sequence[int] | Tensor, memory: Memory
    ) -> None:
        self.weights, self.reach, self.first, self.separators = weights, reach, first, separators
        self._memory = memory

    @cached_property
    def entropy(self) -> Tensor:
        """−Σₖ a ln a in nats, (text, head, query), with 0·ln 0 = 0; shared by the metrics built on it."""
        import torch

        logarithms = self._memory.take("logarithms", self.weights.shape, self.weights.dtype)
        torch.log(self.weights, out=logarithms)
        return logarithms.mul_(self.weights).nansum(-1).neg_()  # 0 · ln 0 is NaN and left out

    @property
    def largest(self) -> Tensor:
        """maxₖ a over the keys that are no separators, (text, head, query); 0 where all are."""
        if not isinstance(self.separators, Sequence):
            return self.weights.masked_fill(self.separators, 0).amax(-1)
        bounds = [-1, *self.separators, self.weights.shape[-1]]
        runs = [(start + 1, stop) for start, stop in itertools.pairwise(bounds) if start + 1 < stop]
        none = self.weights.new_zeros(self.weights.shape[:-1])
        return reduce(lambda a, b: a.maximum(b), (self.weights[..., start:stop].amax(-1) for start, stop in runs), none)


@dataclass(frozen=True, kw_only=True)
class RowMetric(Metric):
    """g(a[q,·]), any function of one row of weights.

    Attributes:
        of_rows: Rows -> (text, head, query).
        needs_reach: whether it uses ``Rows.reach``; empty for layers whose reach is not known.
        needs_tokens: whether it must know what a key or query stands for; empty for layers that pool tokens.
        needs_outside: whether it is about what falls on no token; empty for layers where nothing can.
        skips_separators: whether separators are left out of its mean as queries.
    """

    of_rows: Callable[[Rows], Tensor]
    needs_reach: bool = False
    needs_tokens: bool = True
    needs_outside: bool = False
    skips_separators: bool = False
