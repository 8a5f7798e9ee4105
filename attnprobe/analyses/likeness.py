"""Which heads are alike over many texts: distances that add up, and the clusters and the map that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from attnprobe.values.notebook import html_table, one_line
from attnprobe.values.signature import model_of
from attnprobe.values.summary import check_alike, check_arrays
from attnprobe.values.table import Cell, Table, Tabled

COLUMNS = ["layer", "head", "cluster", "x", "y", "nearest_layer", "nearest_head", "nearest_distance"]
PAIR_COLUMNS = ["layer_a", "head_a", "layer_b", "head_b", "distance"]
NOTHING = 1e-12  # of the largest eigenvalue: an axis of the map that only rounding makes


@dataclass(frozen=True, repr=False)
class Similarity(Tabled):
    """The distances between heads over many texts, each counted once; ``a + b`` is the summary of the texts of both.

    Attributes:
        layers, heads: the numbers of those compared; the axes below count heads of the first layer, then of the next.
        n_clusters: how many clusters heads form, if there are so many heads.
        signature: what the numbers depend on; summaries with unequal signatures do not add up.
        n_texts: how many texts.
        total: (pair,) the distances summed over texts, of the pairs (1, 0), (2, 0), (2, 1), (3, 0) ...
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    n_clusters: int
    signature: str
    n_texts: np.ndarray
    total: np.ndarray

    def __repr__(self) -> str:
        sizes = f"{len(self.layers)} layers × {len(self.heads)} heads", f"{int(self.n_texts):,} texts"
        return one_line("Similarity", model_of(self.signature), *sizes)

    def _repr_html_(self) -> str:
        table = self.table()
        return html_table(repr(self), table.columns, table.rows)

    def of_texts(self, texts: Sequence[Any], together: Any) -> Similarity:
        """Summarizes measured texts, whose ``found`` are :class:`attnprobe.analyses.distances.Divergences`."""
        if not texts:
            return self
        means = np.array([text.found.total / text.found.n_queries for text in texts])
        return replace(self, n_texts=np.array(float(len(texts))), total=means.sum(0))

    def __add__(self, other: Similarity) -> Similarity:
        """Summarizes the texts of both.

        Raises:
            UsageError: the layers, heads or signatures differ.
        """
        check_alike(self, other, ("layers", "heads", "signature"))
        return replace(self, n_texts=self.n_texts + other.n_texts, total=self.total + other.total)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers by name, from which :meth:`restored` makes an equal summary."""
        return {"n_texts": self.n_texts, "total": self.total}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Similarity:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary of these heads has such arrays.
        """
        check_arrays(arrays, self.arrays())
        numbers: dict[str, Any] = {**arrays}
        return replace(self, **numbers)

    @cached_property
    def labels(self) -> list[tuple[int, int]]:
        """The layer and head of each index of the matrix."""
        return [(layer, head) for layer in self.layers for head in self.heads]

    @cached_property
    def distances(self) -> np.ndarray:
        """The matrix (head, head) of Jensen-Shannon divergences in nats, means over texts; NaN if there is none."""
        matrix = np.zeros((len(self.labels), len(self.labels)))
        with np.errstate(invalid="ignore"):
            matrix[np.tril_indices(len(matrix), -1)] = np.maximum(self.total, 0) / self.n_texts
        return matrix + matrix.T

    @cached_property
    def linkage(self) -> np.ndarray:
        """The tree of heads as scipy has it: average linkage on the roots of distances, which are a metric."""
        from scipy.cluster.hierarchy import average

        if len(self.labels) < 2 or not self.n_texts:
            return np.zeros((0, 4))
        tree: np.ndarray = average(np.sqrt(self.distances[np.triu_indices(len(self.labels), 1)]))
        return tree

    def leaves(self) -> list[int]:
        """Lists the heads' indices as they stand side by side in the tree."""
        from scipy.cluster.hierarchy import leaves_list

        return [int(leaf) for leaf in leaves_list(self.linkage)] if len(self.linkage) else [*range(len(self.labels))]

    @property
    def cut(self) -> float:
        """The height at which the tree falls into the clusters; 0 if each head is one."""
        heights = self.linkage[::-1, 2]
        if self.n_clusters > len(heights):
            return 0.0
        upper = heights[self.n_clusters - 2] if self.n_clusters > 1 else heights[0]
        return float((upper + heights[self.n_clusters - 1]) / 2)

    @cached_property
    def clusters(self) -> np.ndarray:
        """(head,) the number of each head's cluster: 0 is the largest; of equal ones, that of the first head."""
        from scipy.cluster.hierarchy import cut_tree

        if not len(self.linkage):
            return np.zeros(len(self.labels), dtype=int)
        cut = cut_tree(self.linkage, n_clusters=[min(self.n_clusters, len(self.labels))])[:, 0]
        _, first, sizes = np.unique(cut, return_index=True, return_counts=True)
        numbers = np.empty(len(sizes), dtype=int)
        numbers[np.lexsort((first, -sizes))] = np.arange(len(sizes))
        found: np.ndarray = numbers[cut]
        return found

    def members(self) -> list[list[int]]:
        """Lists the indices of each cluster's heads."""
        return [np.flatnonzero(self.clusters == number).tolist() for number in range(self.clusters.max() + 1)]

    @cached_property
    def _scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """The eigenvalues of classical scaling (Torgerson 1952), from the largest on, and the places (head, axis)."""
        squares = self.distances  # of the roots of distances
        centred = squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean()
        values, vectors = np.linalg.eigh(-centred / 2) if self.n_texts else (squares[0], squares)
        values, vectors = values[::-1], vectors[:, ::-1]
        largest = vectors[np.abs(vectors).argmax(0), np.arange(len(vectors))]
        roots = np.sqrt(np.where(values > NOTHING * values[0], values, 0))
        return values, vectors * np.where(largest < 0, -1, 1) * roots

    @property
    def eigenvalues(self) -> np.ndarray:
        """(axis,) how much of the distances each axis of the map holds, from the largest on."""
        return self._scaled[0]

    @property
    def places(self) -> np.ndarray:
        """(head, 2) x and y on the map; of either axis, the place farthest from 0 is positive."""
        two = np.zeros((len(self.labels), 2))
        two[:, : len(self.labels)] = self._scaled[1][:, :2]
        return two

    def nearest(self) -> list[tuple[int, float] | None]:
        """Finds for each head the index of the most similar other one, the first of equals, and its distance."""
        if len(self.labels) < 2 or not self.n_texts:
            return [None] * len(self.labels)
        others = self.distances + np.diag(np.full(len(self.labels), np.inf))
        return [(int(index), float(row[index])) for row, index in zip(others, others.argmin(1), strict=True)]

    def ranked(self) -> list[tuple[int, int, float]]:
        """Lists all pairs of indices with their distances, from the nearest to the farthest."""
        one, other = np.triu_indices(len(self.labels), 1)
        distances = self.distances[one, other]
        order = np.argsort(distances, kind="stable")
        return list(zip(one[order].tolist(), other[order].tolist(), distances[order].tolist(), strict=True))

    def table(self) -> Table:
        """Makes a table with one row per head; empty cells if there are no texts, or no other heads."""
        rows: list[Sequence[Cell]] = []
        measured = self.n_texts > 0
        places = zip(self.labels, self.clusters.tolist(), self.places.tolist(), self.nearest(), strict=True)
        for label, cluster, place, near in places:
            where = (cluster, *place) if measured else (None, None, None)
            rows.append((*label, *where, *((*self.labels[near[0]], near[1]) if near else (None, None, None))))
        return Table(COLUMNS, rows, sign=lambda: self.signature)

    def pairs(self) -> Table:
        """Makes a table with one row per pair of heads."""
        one, other = np.triu_indices(len(self.labels), 1)
        found = self.distances[one, other].tolist()
        rows: list[Sequence[Cell]] = [
            (*self.labels[a], *self.labels[b], distance if self.n_texts else None)
            for a, b, distance in zip(one.tolist(), other.tolist(), found, strict=True)
        ]
        return Table(PAIR_COLUMNS, rows, sign=lambda: self.signature)

    def tables(self) -> dict[str, Callable[[], Table]]:
        """The functions that make the tables ``summary`` and ``pairs``."""
        return {"summary": self.table, "pairs": self.pairs}
