"""What changed between two models, or two corpora: differences per head and metric, with intervals and q-values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.pictures import StatMap
from attnprobe.errors import UsageError
from attnprobe.values.arguments import nearest
from attnprobe.values.bootstrap import DRAWS, INTERVAL, TOGETHER, Sample, draw_counts, false_discovery
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.signature import model_of
from attnprobe.values.summary import check_alike, check_arrays
from attnprobe.values.table import Cell, Table, Tabled

if TYPE_CHECKING:
    from attnprobe.measure.kinds import Measured

CHANGES: Mapping[str, str] = {
    "layer": "counted from 0",
    "head": "counted from 0",
    "metric": "a head statistic, see attnprobe metrics",
    "mean_a": "its mean over texts in A",
    "mean_b": "its mean over the same texts in B; of two corpora, over B's texts",
    "difference": "mean_b − mean_a",
    "ci_low": "the lower end of the difference's 95 % interval, by a bootstrap over texts; takes 2 texts",
    "ci_high": "its upper end",
    "q_value": "the share of chance hits among all rows with a q-value as small as this one's (Benjamini–Hochberg)",
    "n_texts": "how many texts have a value; of two corpora, those of both",
}
PASSES = 0.05  # the q-value up to which a difference counts as found
FEW = 20  # texts below which a normal approximation is rough


@dataclass(frozen=True, repr=False)
class Comparison(Tabled):
    """Sufficient statistics of head metrics in A and B over many texts; those of more texts add up.

    Attributes:
        layers, heads, metrics: the labels of the axes.
        signature: what the numbers depend on, as those of A, with what B has otherwise in parts named ``b_...``.
        seed: of the bootstrap.
        paired: whether A and B are of the same texts.
        first: of A's values, without a bootstrap if they are paired.
        second: of the differences B − A if they are paired, else of B's values.
        said: further remarks on how the numbers came about.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    metrics: tuple[str, ...]
    signature: str
    seed: int
    paired: bool
    first: Sample
    second: Sample
    said: tuple[str, ...] = ()

    @classmethod
    def empty(
        cls,
        layers: Sequence[int],
        heads: Sequence[int],
        metrics: Sequence[str],
        signature: str,
        *,
        seed: int = 0,
        paired: bool = True,
        said: Sequence[str] = (),
    ) -> Comparison:
        """Makes the comparison of no text."""
        shape = len(layers), len(heads), len(metrics)
        first = Sample.empty(shape, 0) if paired else Sample.empty(shape)
        labels = tuple(layers), tuple(heads), tuple(metrics)
        return cls(*labels, signature, seed, paired, first, Sample.empty(shape), tuple(said))

    def __repr__(self) -> str:
        cells = f"{len(self.layers)} layers × {len(self.heads)} heads × {len(self.metrics)} metrics"
        return one_line("Comparison", " → ".join(self.names), cells, f"{int(self.n_texts.max(initial=0)):,} texts")

    def _repr_html_(self) -> str:
        """Shows the rows of the first heads."""
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    @property
    def names(self) -> tuple[str, str]:
        """The names of the models A and B."""
        return model_of(self.signature) or "A", model_of(self.signature, "b_") or "B"

    def of_pairs(self, ids: Sequence[str], a: np.ndarray, b: np.ndarray) -> Comparison:
        """Adds texts by their values in A and in B, each (text, layer, head, metric), NaN where there is none."""
        first, second = self.first, self.second
        for start in range(0, len(ids), TOGETHER):
            some = slice(start, start + TOGETHER)
            changes = b[some] - a[some]
            first = first + first.of(np.where(np.isnan(changes), np.nan, a[some]))
            second = second + second.of(changes, draw_counts(ids[some], self.seed))
        return replace(self, first=first, second=second)

    def of_side(self, side: str, ids: Sequence[str], values: np.ndarray) -> Comparison:
        """Adds texts of one of two corpora, ``first`` or ``second``."""
        total: Sample = getattr(self, side)
        for start in range(0, len(ids), TOGETHER):
            some = slice(start, start + TOGETHER)
            total = total + total.of(values[some], draw_counts(ids[some], self.seed, side))
        return replace(self, first=total) if side == "first" else replace(self, second=total)

    def of_texts(self, texts: Sequence[Measured], together: Any) -> Comparison:
        """Summarizes texts that two models measured, see :mod:`attnprobe.analyses.comparing`."""
        if not texts:
            return self
        a, b = (np.array([getattr(text.found, side).means() for text in texts]) for side in ("a", "b"))
        return self.of_pairs([text.id for text in texts], a, b)

    def __add__(self, other: Comparison) -> Comparison:
        """Summarizes the texts of both.

        Raises:
            UsageError: the layers, heads, metrics, signatures or seeds differ.
        """
        check_alike(self, other, ("layers", "heads", "metrics", "signature", "seed", "paired"))
        return replace(self, first=self.first + other.first, second=self.second + other.second)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal comparison."""
        return self.first.arrays("first") | self.second.arrays("second")

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Comparison:
        """Makes the comparison whose :meth:`arrays` these are.

        Raises:
            ValueError: no comparison with these labels has such arrays.
        """
        check_arrays(arrays, self.arrays())
        return replace(self, first=Sample.restored(arrays, "first"), second=Sample.restored(arrays, "second"))

    @property
    def n_texts(self) -> np.ndarray:
        """How many texts have a value: (layer, metric)."""
        return self.second.n if self.paired else self.first.n + self.second.n

    @cached_property
    def numbers(self) -> dict[str, np.ndarray]:
        """The columns of numbers by name, each (layer, head, metric), NaN where one is missing."""
        known = self.second.n > 0 if self.paired else (self.first.n > 0) & (self.second.n > 0)
        before = np.where(known[:, None], self.first.mean, np.nan)
        change = self.second.mean if self.paired else self.second.mean - self.first.mean
        change = np.where(known[:, None], change, np.nan)
        low, high = self._interval()
        found = {"mean_a": before, "mean_b": before + change, "difference": change, "ci_low": low, "ci_high": high}
        return {**found, "q_value": self._q_values(change)}

    def _enough(self) -> np.ndarray:
        """Tests where there are at least two texts, so that something can be said of others: (layer, 1, metric)."""
        enough: np.ndarray = self.second.n > 1 if self.paired else (self.first.n > 1) & (self.second.n > 1)
        return enough[:, None]

    def _interval(self) -> np.ndarray:
        """The interval's ends, by percentiles of the bootstrap samples: (2, layer, head, metric)."""
        means = self.second.drawn_means()
        if not self.paired:
            means = means - self.first.drawn_means()
        drawn = np.where(self._enough(), means, np.nan)
        drawn = np.where(np.isnan(drawn).all(0), 0, drawn)
        ends: np.ndarray = np.nanquantile(drawn, INTERVAL, axis=0)
        return np.where(self._enough(), ends, np.nan)

    def _q_values(self, change: np.ndarray) -> np.ndarray:
        """Corrects the two-sided p-values of a t-test, Welch's if texts are not paired, for the number of rows."""
        from scipy.special import stdtr

        samples = [self.second] if self.paired else [self.first, self.second]
        variances = np.array([sample.variance_of_mean() for sample in samples])
        degrees = np.array([np.maximum(sample.n - 1, 1)[:, None] for sample in samples])
        with np.errstate(divide="ignore", invalid="ignore"):
            freedom = np.square(variances.sum(0)) / (np.square(variances) / degrees).sum(0)
            size = np.where(change == 0, 0, np.abs(change) / np.sqrt(variances.sum(0)))
            p_values = np.where(size == 0, 1, np.where(np.isinf(size), 0, 2 * stdtr(freedom, -size)))
        return false_discovery(np.where(self._enough(), p_values, np.nan).ravel()).reshape(change.shape)

    def table(self) -> Table:
        """Makes the table with a row per layer, head and metric; see CHANGES for the columns."""
        return Table(list(CHANGES), list(self._rows()), sign=lambda: self.signature)

    def _rows(self) -> Iterator[Sequence[Cell]]:
        for (i, layer), (j, head), (k, metric) in _product(self.layers, self.heads, self.metrics):
            cells = [float(column[i, j, k]) for column in self.numbers.values()]
            shown = (None if math.isnan(cell) else cell for cell in cells)
            yield (layer, head, metric, *shown, int(self.n_texts[i, k]))

    @property
    def passed(self) -> np.ndarray:
        """Which differences have a q-value of at most 0.05: (layer, head, metric)."""
        passed: np.ndarray = self.numbers["q_value"] <= PASSES
        return passed

    def most_changed(self) -> list[tuple[int, int, int]]:
        """Lists the heads that changed, most first, with the metric that did most, each as numbers of the axes.

        A change is weighed by how much the heads of A differ in its metric, so that metrics of any unit compare.
        """
        spread = np.nan_to_num(self.numbers["mean_a"]).std((0, 1))
        weighed = np.abs(self.numbers["difference"]) / np.where(spread > 0, spread, np.inf)
        weighed = np.where(self.passed, weighed, -1)
        best = weighed.argmax(2)
        found = [
            (float(weighed[i, j, k]), (i, j, int(k))) for (i, j), k in np.ndenumerate(best) if self.passed[i, j, k]
        ]
        return [at for _, at in sorted(found, key=lambda pair: -pair[0])]

    @property
    def remarks(self) -> list[str]:
        """What is to be said of the numbers: how many heads changed, and how the numbers came about."""
        rows, heads = int((~np.isnan(self.numbers["q_value"])).sum()), len(self.layers) * len(self.heads)
        found = [f"{int(self.passed.any(2).sum())} of {heads} heads changed, q ≤ {PASSES}"]
        if len(self.metrics) > 1:
            found[0] += f" in some metric: {int(self.passed.sum()):,} of {rows:,} rows"
        texts = [int(self.first.n.max(initial=0)), int(self.second.n.max(initial=0))]
        if min(texts) < 2:
            found = ["no interval and no q-value: these take at least 2 texts"]
        elif min(texts) < FEW:
            found.append(f"intervals and q-values of {min(texts)} texts are rough")
        return [*found, *self.said]

    def picture(self, metric: str | None = None) -> StatMap:
        """Makes the map of a metric's difference by layer and head, marked where it passes.

        Raises:
            UsageError: no metric is named, of several, or an unknown one.
        """
        if metric is None and len(self.metrics) > 1:
            raise UsageError(f"a picture is of one metric, not of {len(self.metrics)}", f"-k {self.metrics[0]}")
        if metric is not None and metric not in self.metrics:
            raise UsageError(f"no metric {metric!r} in both{nearest(metric, self.metrics)}")
        at = 0 if metric is None else self.metrics.index(metric)
        texts = int(self.n_texts[:, at].max(initial=0))
        notes = {"model": " → ".join(self.names), "of": f"{texts:,} text{'' if texts == 1 else 's'}"}
        change, passed = self.numbers["difference"][..., at], self.passed[..., at]
        name, sign = self.metrics[at], lambda: self.signature
        return StatMap(name, change, self.layers, self.heads, notes, sign, passed, f"q ≤ {PASSES}", centred=True)


def bootstrap_parts(seed: int, *, paired: bool) -> dict[str, object]:
    """The parts of a comparison's signature that say how texts were drawn."""
    return {"texts": "paired" if paired else "unpaired", "bootstrap": f"poisson-{DRAWS}", "seed": seed}


def signed(a: Mapping[str, str], b: Mapping[str, str], seed: int, *, paired: bool) -> str:
    """Signs the comparison of two results.

    Args:
        a: the parts of A's signature.
        b: the parts of B's that A's has not, named ``b_...``.
    """
    versions = {name: a[name] for name in ("torch", "transformers") if name in a}
    rest = {name: part for name, part in a.items() if name not in versions}
    parts = {**rest, **b, **bootstrap_parts(seed, paired=paired), **versions}
    return "|".join(f"{name}:{part}" for name, part in parts.items())


def _product(*axes: Sequence[Any]) -> Iterator[tuple[tuple[int, Any], ...]]:
    """Combines the labels of some axes, each with its number."""
    grid = np.ndindex(*map(len, axes))
    return (tuple((at, axis[at]) for at, axis in zip(place, axes, strict=True)) for place in grid)
