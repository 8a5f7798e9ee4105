"""Sums up, over many sentences, how many annotated edges the trees of heads have, beside those of baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from attnprobe.analyses.pictures import StatMap
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.signature import counted, model_of
from attnprobe.values.summary import check_alike, check_arrays
from attnprobe.values.table import Cell, Table, Tabled

COLUMNS = ("layer", "head", "uuas", "n")
INTERVAL_COLUMNS = (*COLUMNS[:3], "ci_low", "ci_high", "above_chain", "above_low", "above_high", "n_sentences", "n")
APART = 5  # the largest distance that is tried for the baseline of a fixed offset
LABELS = ("layers", "heads", "signature")


@dataclass(frozen=True, repr=False)
class TreeScores(Tabled):
    """How many annotated edges trees have; ``a + b`` are the scores of the sentences of both.

    The trees are those of each layer's heads and then of their mean, layer by layer; then come words that are joined
    if they are 1, 2, ... APART words apart, punctuation not counted. All sums are whole numbers.

    Attributes:
        layers, heads: the numbers of those measured.
        signature: what the numbers depend on; scores with unequal signatures do not add up.
        n_texts: how many sentences have edges.
        untagged: how many of them have no parts of speech, so that punctuation counts.
        edges, squared_edges: n, the annotated edges of a sentence, and n², summed over sentences.
        right, squared, by_edges, by_chain: (tree,) r, the edges that are right, r², r·n and r·c, likewise; c are the
            right edges of words 1 apart.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    signature: str
    n_texts: np.ndarray
    untagged: np.ndarray
    edges: np.ndarray
    squared_edges: np.ndarray
    right: np.ndarray
    squared: np.ndarray
    by_edges: np.ndarray
    by_chain: np.ndarray

    @classmethod
    def empty(cls, layers: Sequence[int], heads: Sequence[int], signature: str) -> TreeScores:
        """The scores of no sentence."""
        nothing, trees = np.zeros(()), np.zeros(len(layers) * (len(heads) + 1) + APART)
        return cls(tuple(layers), tuple(heads), signature, *[nothing] * 4, *[trees] * 4)

    def __repr__(self) -> str:
        sizes = f"{len(self.layers)} layers × {len(self.heads)} heads", f"{int(self.n_texts):,} sentences"
        return one_line("TreeScores", model_of(self.signature), *sizes)

    def _repr_html_(self) -> str:
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    def of_texts(self, texts: Sequence[Any], together: Any) -> TreeScores:
        """Sums up sentences, whose ``found`` are :class:`attnprobe.analyses.spanning.TreeCounts`."""
        found = [text.found for text in texts if text.found.edges]
        if not found:
            return self
        edges = np.array([one.edges for one in found], dtype=float)
        right = np.array([[*one.right.ravel(), *one.apart] for one in found], dtype=float)
        return replace(
            self,
            n_texts=np.array(float(len(found))),
            untagged=np.array(float(sum(not one.tagged for one in found))),
            edges=edges.sum(),
            squared_edges=np.square(edges).sum(),
            right=right.sum(0),
            squared=np.square(right).sum(0),
            by_edges=edges @ right,
            by_chain=right[:, -APART] @ right,
        )

    def __add__(self, other: TreeScores) -> TreeScores:
        """Sums up the sentences of both.

        Raises:
            UsageError: the layers, heads or signatures differ.
        """
        check_alike(self, other, LABELS)
        return replace(self, **{name: array + other.arrays()[name] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes equal scores."""
        return {name: np.asarray(array) for name, array in vars(self).items() if name not in LABELS}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> TreeScores:
        """Makes the scores whose :meth:`arrays` these are.

        Raises:
            ValueError: no scores of these heads have such arrays.
        """
        check_arrays(arrays, self.arrays())
        numbers: dict[str, Any] = {**arrays}
        return replace(self, **numbers)

    @property
    def best_offset(self) -> int:
        """How far apart the words are that ``offset`` joins: the distance of most edges, of equals the least."""
        return 1 + int(self.right[-APART:].argmax())

    @property
    def uuas(self) -> np.ndarray:
        """(tree,) the share of edges that are right; NaN if there are no edges."""
        return self.right / (self.edges if self.edges else np.nan)

    def reported(self) -> list[tuple[int | None, int | str, int]]:
        """Lists layer, head and index of the trees that are reported: heads, their means, and the two baselines."""
        heads: list[int | str] = [*self.heads, "mean"]
        names: list[tuple[int | None, int | str]] = [*product(self.layers, heads)]
        chain, offset = len(names), len(names) + self.best_offset - 1
        trees = [(*name, index) for index, name in enumerate(names)]
        return [*trees, (None, "chain", chain), (None, "offset", offset)]

    def margins(self) -> tuple[np.ndarray, np.ndarray]:
        """Computes half the width of 95 % intervals: of each tree's ``uuas``, and of how far it is above chain's.

        Both are ratios of sums over sentences, R = Σr / Σn. Their standard error is √(N / (N − 1) · Σ(r − R·n)²) / Σn
        over N sentences (Cochran 1977, §6.3), and the interval Student's t. NaN for fewer than two sentences.
        """
        from scipy.special import stdtrit

        if self.n_texts < 2:
            return np.full_like(self.right, np.nan), np.full_like(self.right, np.nan)
        chain = len(self.right) - APART
        above, above_squared = self.right - self.right[chain], self.squared - 2 * self.by_chain + self.squared[chain]
        of_right = self._deviations(self.right, self.squared, self.by_edges)
        of_above = self._deviations(above, above_squared, self.by_edges - self.by_edges[chain])
        factor = stdtrit(self.n_texts - 1, 0.975) * np.sqrt(self.n_texts / (self.n_texts - 1)) / self.edges
        return factor * of_right, factor * of_above

    def _deviations(self, total: np.ndarray, squared: np.ndarray, by_edges: np.ndarray) -> np.ndarray:
        """Computes √Σ(x − X·n)² of numbers x with X = Σx / Σn, from Σx, Σx² and Σx·n."""
        ratio = total / self.edges
        squares = squared - 2 * ratio * by_edges + ratio**2 * self.squared_edges
        deviations: np.ndarray = np.sqrt(np.maximum(squares, 0))
        return deviations

    def table(self) -> Table:
        """Makes a row of each head, of each layer's mean, and of the baselines; no ``uuas`` if there are no edges."""
        uuas, n = self.uuas, int(self.edges)
        rows: list[Sequence[Cell]] = [
            (layer, head, float(uuas[index]) if n else None, n) for layer, head, index in self.reported()
        ]
        return Table(COLUMNS, rows, sign=lambda: self.signature)

    def intervals(self) -> Table:
        """Makes the same rows with intervals over sentences, also of how far a tree is above ``chain``."""
        uuas, (margin, above_margin) = self.uuas, self.margins()
        above = uuas - uuas[-APART]
        columns = uuas, uuas - margin, uuas + margin, above, above - above_margin, above + above_margin
        rows: list[Sequence[Cell]] = [
            (
                *(layer, head),
                *(None if np.isnan(column[index]) else float(column[index]) for column in columns),
                *(int(self.n_texts), int(self.edges)),
            )
            for layer, head, index in self.reported()
        ]
        return Table(INTERVAL_COLUMNS, rows, sign=lambda: self.signature)

    def tables(self) -> dict[str, Callable[[], Table]]:
        """The functions that make the tables ``summary`` and ``intervals``."""
        return {"summary": self.table, "intervals": self.intervals}

    @property
    def remarks(self) -> list[str]:
        """A sentence if some sentences have no parts of speech."""
        remark = "no UPOS, so that punctuation counts as other words do"
        return [f"{remark} (sentences: {int(self.untagged):,})"] if self.untagged else []

    def picture(self) -> StatMap:
        """Makes the map of all heads and of each layer's mean, with the baselines on its scale."""
        size = len(self.layers), len(self.heads) + 1
        levels = {str(head): float(self.uuas[index]) for layer, head, index in self.reported() if layer is None}
        notes = {
            "model": model_of(self.signature),
            "counted": counted(self.signature),
            "of": f"{int(self.edges):,} edges of {int(self.n_texts):,} sentences",
        }
        values = self.uuas[:-APART].reshape(size)
        return StatMap("UUAS", values, self.layers, (*self.heads, None), notes, lambda: self.signature, levels=levels)
