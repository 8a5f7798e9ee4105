"""How far apart the maps of heads of two models are over many texts, head by head or matched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.pictures import StatMap
from attnprobe.values.arguments import check_choice
from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.signature import model_of
from attnprobe.values.summary import check_alike, check_arrays
from attnprobe.values.table import Cell, Table, Tabled

if TYPE_CHECKING:
    from attnprobe.measure.kinds import Measured

MAPS: Mapping[str, str] = {
    "layer": "counted from 0",
    "head": "counted from 0",
    "js": "the Jensen–Shannon distance of its rows in A and in B, 0 … ln 2 nats; the mean over queries and texts",
    "cosine": "the cosine of its maps in A and in B, each taken as one vector; the mean over texts",
    "n_texts": "how many texts",
}
MATCHED: Mapping[str, str] = {
    "layer_b": "the layer of the head in B that A's is matched with, where heads are matched",
    "head_b": "its head",
}


@dataclass(frozen=True, repr=False)
class MapChanges(Tabled):
    """Distances of maps, summed over texts.

    Attributes:
        layers, heads: those of A.
        layers_b, heads_b: those of B; the same unless heads are matched.
        signature: as in :class:`attnprobe.analyses.comparison.Comparison`.
        matched: whether all pairs of A's and B's heads are measured and then matched.
        unit: "token" or "word", what a map's rows and columns are.
        js, cosine: summed over texts: (layer, head), or (layer, head, layer_b, head_b) if heads are matched.
        n_texts: how many texts that are.
        n_outside: of how many some weight falls on no token.
        said: further remarks on how the numbers came about.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    layers_b: tuple[int, ...]
    heads_b: tuple[int, ...]
    signature: str
    matched: bool
    unit: str
    js: np.ndarray
    cosine: np.ndarray
    n_texts: np.ndarray
    n_outside: np.ndarray
    said: tuple[str, ...] = ()

    def __repr__(self) -> str:
        sizes = f"{len(self.layers)} layers × {len(self.heads)} heads"
        return one_line("MapChanges", " → ".join(self.names), sizes, f"{int(self.n_texts):,} texts")

    def _repr_html_(self) -> str:
        """Shows the rows of the first heads."""
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    @property
    def names(self) -> tuple[str, str]:
        """The names of the models A and B."""
        return model_of(self.signature), model_of(self.signature, "b_")

    def of_texts(self, texts: Sequence[Measured], together: Any) -> MapChanges:
        """Summarizes texts whose ``found`` hold their distances."""
        total = self
        for text in texts:
            total = replace(
                total,
                js=total.js + text.found.js,
                cosine=total.cosine + text.found.cosine,
                n_texts=total.n_texts + 1,
                n_outside=total.n_outside + text.found.outside,
            )
        return total

    def __add__(self, other: MapChanges) -> MapChanges:
        """Summarizes the texts of both.

        Raises:
            UsageError: the signatures differ.
        """
        check_alike(self, other, ["signature"])
        numbers = {name: array + other.arrays()[name] for name, array in self.arrays().items()}
        return replace(self, **numbers)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal value."""
        names = ("js", "cosine", "n_texts", "n_outside")
        return {name: np.asarray(getattr(self, name)) for name in names}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> MapChanges:
        """Makes the value whose :meth:`arrays` these are.

        Raises:
            ValueError: no such value has such arrays.
        """
        check_arrays(arrays, self.arrays())
        numbers: dict[str, Any] = {**arrays}
        return replace(self, **numbers)

    @cached_property
    def matches(self) -> list[tuple[int, int, int, int]]:
        """The numbers of layer and head in A, and of those in B, among the axes.

        Matched heads are those whose distances have the smallest sum (Hungarian method), each in one pair at most.
        """
        pairs = [(i, j) for i in range(len(self.layers)) for j in range(len(self.heads))]
        if not self.matched:
            return [(*pair, *pair) for pair in pairs]
        from scipy.optimize import linear_sum_assignment

        others = [(i, j) for i in range(len(self.layers_b)) for j in range(len(self.heads_b))]
        found = linear_sum_assignment(self.js.reshape(len(pairs), len(others)))
        return [(*pairs[a], *others[b]) for a, b in zip(*found, strict=True)]

    def table(self) -> Table:
        """Makes the table with a row per head of A; see MAPS and MATCHED for the columns."""
        columns = [*MAPS, *(MATCHED if self.matched else ())]
        return Table(columns, list(self._rows()), sign=lambda: self.signature)

    def _rows(self) -> Iterator[Sequence[Cell]]:
        n = int(self.n_texts)
        for i, j, i_b, j_b in self.matches:
            at = (i, j, i_b, j_b) if self.matched else (i, j)
            found = [float(total[at]) / n if n else None for total in (self.js, self.cosine)]
            other = [self.layers_b[i_b], self.heads_b[j_b]] if self.matched else []
            yield (self.layers[i], self.heads[j], *found, n, *other)

    @property
    def remarks(self) -> list[str]:
        """What is to be said of the numbers."""
        found = []
        if self.matched:
            found.append("heads are matched by the distance of their maps, not by number (Hungarian method)")
        if self.unit == "word":
            found.append("maps are between words: summed over the key's pieces, averaged over the query's")
        if self.n_outside:
            texts = f"{int(self.n_outside):,} text{'' if self.n_outside == 1 else 's'}"
            found.append(f"weight falls on no token in {texts}; it counts as one more key in js, not in cosine")
        return [*found, *self.said]

    def picture(self, metric: str = "js") -> StatMap:
        """Makes the map of ``js``, or of ``cosine``, by layer and head of A.

        Raises:
            UsageError: another metric is named.
        """
        check_choice("metric", metric, ("js", "cosine"))
        values = np.full((len(self.layers), len(self.heads)), np.nan)
        for (i, j, *_), row in zip(self.matches, self.table().rows, strict=True):
            value = row[list(MAPS).index(metric)]
            values[i, j] = np.nan if value is None else value
        notes = {"model": " → ".join(self.names), "of": f"{int(self.n_texts):,} text{'' if self.n_texts == 1 else 's'}"}
        return StatMap(metric, values, self.layers, self.heads, notes, lambda: self.signature)
