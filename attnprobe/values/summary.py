"""Head statistics over many texts: sums that add up, from whichever process, and the tables made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.errors import UsageError
from attnprobe.values.averaging import Numbers, mean_of_sums, mean_over
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.options import Mean
from attnprobe.values.signature import model_of
from attnprobe.values.table import Cell, Table

if TYPE_CHECKING:
    import pandas

LABELS = ("layers", "heads", "metrics", "signature", "averaged")
COLUMNS = ["layer", "head", "metric", "mean", "std", "ci_low", "ci_high", "token_mean", "n_texts", "n_tokens"]


@dataclass(frozen=True, repr=False)
class Summary:
    """Sufficient statistics of many texts: enough for means, deviations and intervals, over texts and over tokens.

    ``a + b`` is the summary of the texts of both (Chan, Golub & LeVeque 1979); sum() adds up any number.

    Attributes:
        layers, heads, metrics: the labels of the axes below.
        signature: what the numbers depend on; summaries with unequal signatures do not add up.
        n_texts: (layer, metric) how many texts have a value.
        mean: (layer, head, metric) the mean of the texts' values.
        squares: (layer, head, metric) the sum of the texts' squared deviations from ``mean``.
        total: (layer, head, metric) the metric summed over all queries of all texts.
        n_queries: (layer, metric) how many queries ``total`` sums over.
        offsets: (layer, head, offset) the weights summed over all queries, by key − query, from −m to m; m = 0 and
            nothing but zeros if no profile was asked for.
        n_profiled: how many queries ``offsets`` sums over.
        averaged: what is averaged within each text before it is summarized; the number of such an axis is None.
    """

    layers: Numbers
    heads: Numbers
    metrics: tuple[str, ...]
    signature: str
    n_texts: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    total: np.ndarray
    n_queries: np.ndarray
    offsets: np.ndarray
    n_profiled: np.ndarray
    averaged: Mean = Mean()  # noqa: RUF009 (immutable)

    def __repr__(self) -> str:
        heads = f"{len(self.layers)} layers × {len(self.heads)} heads × {len(self.metrics)} metrics"
        texts = f"{int(self.n_texts.max(initial=0)):,} texts"
        return one_line("Summary", model_of(self.signature), heads, texts)

    def _repr_html_(self) -> str:
        """Shows the means over texts of the first heads."""
        table = self.means()
        return html_table(repr(self), table.columns, table.rows)

    @classmethod
    def empty(
        cls,
        layers: Sequence[int | None],
        heads: Sequence[int | None],
        metrics: Sequence[str],
        signature: str = "",
        averaged: Mean = Mean(),  # noqa: B008 (immutable)
    ) -> Summary:
        """The summary of no text."""
        by_layer = np.zeros((len(layers), len(metrics)))
        by_head = np.zeros((len(layers), len(heads), len(metrics)))
        offsets, labels = np.zeros((len(layers), len(heads), 1)), (tuple(layers), tuple(heads), tuple(metrics))
        return cls(*labels, signature, by_layer, by_head, by_head, by_head, by_layer, offsets, np.zeros(()), averaged)

    def of(self, totals: np.ndarray, counts: np.ndarray) -> Summary:
        """Summarizes texts by their sums (text, layer, head, metric) over (text, layer, metric) queries."""
        if not len(totals):
            return self
        has_value = (counts > 0)[:, :, None]
        values = np.divide(totals, counts[:, :, None], out=np.zeros_like(totals), where=has_value)
        n_texts = (counts > 0).sum(0).astype(float)
        mean = values.sum(0) / np.maximum(n_texts, 1)[:, None]
        values -= mean
        squares = np.einsum("tlhm,tlhm,tlm->lhm", values, values, counts > 0)
        return replace(self, n_texts=n_texts, mean=mean, squares=squares, total=totals.sum(0), n_queries=counts.sum(0))

    def of_texts(self, texts: Sequence[Any], together: Offsets | None) -> Summary:
        """Summarizes measured texts, whose ``found`` holds their sums, and their weights by offset."""
        totals = np.array([text.found.total for text in texts])
        counts = np.array([text.found.count for text in texts])
        summary = self.of(*mean_of_sums(totals, counts, self.averaged)) if len(texts) else self
        if together is None:
            return summary
        pooled = ~together.sums.any((1, 2), keepdims=True)  # layers that pool tokens hold zeros
        offsets = np.nan_to_num(mean_over(np.where(pooled, np.nan, together.sums), self.averaged))
        return summary.with_profile(offsets, together.n_queries)

    def __add__(self, other: Summary) -> Summary:
        """Summarizes the texts of both.

        Raises:
            UsageError: the layers, heads, metrics or signatures differ.
        """
        check_alike(self, other, LABELS)
        n = self.n_texts + other.n_texts
        share = (other.n_texts / np.maximum(n, 1))[:, None]
        apart = other.mean - self.mean
        return replace(
            self,
            n_texts=n,
            mean=self.mean + apart * share,
            squares=self.squares + other.squares + np.square(apart) * self.n_texts[:, None] * share,
            total=self.total + other.total,
            n_queries=self.n_queries + other.n_queries,
            offsets=_add_centred(self.offsets, other.offsets),
            n_profiled=self.n_profiled + other.n_profiled,
        )

    def __radd__(self, other: int) -> Summary:
        """Lets sum() start from 0."""
        return self if other == 0 else NotImplemented

    def with_profile(self, offsets: np.ndarray, n_queries: int = 0) -> Summary:
        """Adds weights by key − query; see ``offsets``."""
        return replace(self, offsets=_add_centred(self.offsets, offsets), n_profiled=self.n_profiled + n_queries)

    def table(self) -> Table:
        """Makes a table with one row per layer, head and metric.

        ``mean``, ``std`` and the 95 % interval ``ci_low`` … ``ci_high`` are over texts, each counted once (macro): the
        standard deviation divides by n − 1, the interval is Student's t. ``token_mean`` is over all queries of all
        texts (micro). ``n_texts`` and ``n_tokens`` count both. Missing if no text has a value.
        """
        from scipy.special import stdtrit

        n = self.n_texts[:, None]
        with np.errstate(all="ignore"):
            mean = np.where(n > 0, self.mean, np.nan)
            std = np.where(n > 1, np.sqrt(self.squares / (n - 1)), np.nan)
            margin = stdtrit(np.maximum(n - 1, 1), 0.975) * std / np.sqrt(n)
            token_mean = np.where(self.n_queries[:, None] > 0, self.total / self.n_queries[:, None], np.nan)
        columns = [mean, std, mean - margin, mean + margin, token_mean]
        rows: list[Sequence[Cell]] = [
            (
                layer,
                head,
                metric,
                *(None if np.isnan(column[i, j, k]) else float(column[i, j, k]) for column in columns),
                int(self.n_texts[i, k]),
                int(self.n_queries[i, k]),
            )
            for i, layer in enumerate(self.layers)
            for j, head in enumerate(self.heads)
            for k, metric in enumerate(self.metrics)
        ]
        return Table(COLUMNS, rows, sign=self._sign)

    def to_frame(self) -> pandas.DataFrame:
        """Returns the table as a DataFrame."""
        return self.table().to_frame()

    def means(self, title: str = "") -> Table:
        """Makes a table of the means over texts: one row per layer and head, one column per metric."""
        means = np.where(self.n_texts[:, None] > 0, self.mean, np.nan)
        rows: list[Sequence[Cell]] = [
            (layer, head, *(None if np.isnan(value) else float(value) for value in means[i, j]))
            for i, layer in enumerate(self.layers)
            for j, head in enumerate(self.heads)
        ]
        axes = [axis for axis, numbers in (("layers", self.layers), ("heads", self.heads)) if None in numbers]
        notes = {"title": title, "mean": f"mean of {' and '.join(axes)}" if axes else ""}
        return Table(["layer", "head", *self.metrics], rows, notes, sign=self._sign)

    def profile(self) -> Table:
        """Makes a table of the weight at each offset key − query, per layer and head, as the mean over all queries."""
        side = self.offsets.shape[-1] // 2
        shares = self.offsets / max(float(self.n_profiled), 1.0)
        rows = [
            (layer, head, offset, float(shares[i, j, offset + side]))
            for i, layer in enumerate(self.layers)
            for j, head in enumerate(self.heads)
            for offset in range(-side, side + 1)
        ]
        return Table(["layer", "head", "offset", "share"], rows, sign=self._sign)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal summary."""
        return {name: np.asarray(array) for name, array in vars(self).items() if name not in LABELS}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Summary:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary with these labels has such arrays.
        """
        check_arrays(arrays, self.arrays(), growing=["offsets"])
        numbers: dict[str, Any] = {**arrays}
        return replace(self, **numbers)

    def tables(self) -> dict[str, Callable[[], Table]]:
        """The functions that make the tables ``summary`` and ``profile``."""
        return {"summary": self.table, "profile": self.profile}

    def overview(self, title: str) -> Table:
        """Makes the table of means that a terminal shows."""
        return self.means(title)

    def _sign(self) -> str:
        return self.signature


@dataclass(frozen=True)
class Offsets:
    """The weights of some texts of one length, summed by key − query.

    Attributes:
        sums: (layer, head, offset), from −m to m.
        n_queries: how many queries ``sums`` sums over.
    """

    sums: np.ndarray
    n_queries: int

    def __add__(self, other: Offsets) -> Offsets:
        return Offsets(_add_centred(self.sums, other.sums), self.n_queries + other.n_queries)


def check_alike(one: object, other: object, names: Iterable[str]) -> None:
    """Checks that two summaries add up: that their attributes of these names are equal.

    Raises:
        UsageError: one differs.
    """
    for name in names:
        first, second = getattr(one, name), getattr(other, name)
        if first != second:
            raise UsageError(f"summaries of unlike {name} do not add up: {first} and {second}")


def check_arrays(
    arrays: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], growing: Collection[str] = ()
) -> None:
    """Refuses arrays whose names, types or shapes differ from those expected.

    Args:
        growing: the names of arrays whose last axis has any odd length.

    Raises:
        ValueError: the arrays are refused.
    """
    if set(arrays) != set(expected):
        raise ValueError("wrong names")
    for name, like in expected.items():
        shape = arrays[name].shape
        if name in growing and len(shape) == like.ndim and shape[-1] % 2:
            shape = (*shape[:-1], like.shape[-1])
        if arrays[name].dtype != like.dtype or shape != like.shape:
            raise ValueError(f"wrong {name}")


def _add_centred(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Adds two arrays, aligned by the middle of their last axis."""
    if one.shape[-1] < other.shape[-1]:
        one, other = other, one
    margin = (one.shape[-1] - other.shape[-1]) // 2
    total = one.copy()
    total[..., margin : margin + other.shape[-1]] += other
    return total
