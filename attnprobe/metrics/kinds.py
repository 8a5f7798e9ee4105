"""The five kinds of head metric, by the sums that the measuring pass must keep for them.

Throughout, ``a[q,k]`` is the weight query q gives key k in one head. A metric's value for a text is the mean over its
queries, so a metric that is linear in ``a`` needs only sums of ``a`` over queries, shared by all metrics of a kind:

    KeyMetric      Σₖ a[q,k]·c[k]     from the sums by key
    OffsetMetric   Σₖ a[q,k]·f(k−q)   from the sums by offset (the diagonals)
    CellMetric     Σₖ a[q,k] over chosen cells (q,k), which are gathered from each block
    RowMetric      g(a[q,·])          from each row, while it is in memory
    ValueMetric    g(‖v(k)·W_O‖)      of each key, whatever its weights; the mean is over the same tokens as keys
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.values.tokens import Tokens

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What all metrics declare.

    Attributes:
        formula: the value for one query q; the reported value is the mean over queries.
        unit: of the value, with the range if it has one.
        source: who introduced the metric, and how this one differs.
    """

    formula: str
    unit: str
    source: str


@dataclass(frozen=True, kw_only=True)
class KeyMetric(Metric):
    """Σₖ a[q,k]·c[k].

    Attributes:
        column: Tokens -> c, an array (key,), or (segment, key) if it depends on the query's segment (0: added token,
            1: first text, 2: second). NaN for a whole segment leaves its queries out. None: the metric has no meaning
            for this text.
    """

    column: Callable[[Tokens], np.ndarray | None]


@dataclass(frozen=True, kw_only=True)
class OffsetMetric(Metric):
    """Σₖ a[q,k]·f(k−q).

    Attributes:
        of_offset: (offsets k−q, long_range threshold) -> f, an array like the offsets.
    """

    of_offset: Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Cells:
    """Cells of a text's weights, each once, in any order.

    Attributes:
        queries, keys: (cell,) the positions.
        counted: (query,) the queries that the mean is taken over; None: all.
    """

    queries: np.ndarray
    keys: np.ndarray
    counted: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class CellMetric(Metric):
    """Σₖ a[q,k]·1[(q,k) ∈ cells].

    Attributes:
        cells: Tokens -> the cells. None: the metric has no meaning for this text.
    """

    cells: Callable[[Tokens], Cells | None]


@dataclass(frozen=True)
class Rows:
    """The values of rows that a RowMetric may read; None for those that it does not name in ``uses``.

    Attributes:
        reach: (..., query) how many keys each query can reach.
        entropy: (..., query) −Σₖ a ln a in nats, with 0·ln 0 = 0.
        largest: (..., query) maxₖ a over the keys that are no separators; 0 if all are.
        first: (..., query) the weight on the text's first token.
        weights: (text, head, query, key) of one block, only keys that some of these queries can reach.
    """

    reach: Tensor
    entropy: Tensor | None = None
    largest: Tensor | None = None
    first: Tensor | None = None
    weights: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class RowMetric(Metric):
    """g(a[q,·]), any function of one row of weights.

    Attributes:
        of_rows: Rows -> (..., query).
        uses: the attributes of Rows that are read. With "weights", ``of_rows`` is called block by block, else once for
            all layers. A metric that uses "reach" is empty for layers whose reach is unknown.
        needs_tokens: whether the metric has no meaning if tokens are pooled; it is then empty for layers that pool.
        needs_outside: whether the metric is about attention to no token; it is empty for layers where rows sum to 1.
        skips_separators: whether separators are left out of the mean as queries.
    """

    of_rows: Callable[[Any], Tensor]
    uses: tuple[str, ...] = ("weights",)
    needs_tokens: bool = True
    needs_outside: bool = False
    skips_separators: bool = False


@dataclass(frozen=True, kw_only=True)
class ValueMetric(Metric):
    """g(‖v(k)·W_O‖), any function of the length of what a key would add.

    Attributes:
        of_norms: (..., key) the lengths -> (..., key).
    """

    of_norms: Callable[[Any], Tensor]
