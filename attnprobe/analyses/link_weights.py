"""Mean weights of links between words over many texts, with intervals from sums that add up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

NOTHING = 1e-13  # of a sum of squares: what only rounding makes


@dataclass(frozen=True)
class LinkWeights:
    """Sums over texts for each row of a table; those of more texts add up (+).

    A text has of each row the vector v = (n, w, …): how many links, and their weight for each candidate.

    Attributes:
        names: of the rows, ascending.
        texts: (row,) how many texts have a link.
        sums: (row, 3, 1 + candidate) Σ v, Σ n·v and Σ v².
    """

    names: tuple[str, ...]
    texts: Float[np.ndarray, " row"]
    sums: Float[np.ndarray, "row 3 columns"]

    @classmethod
    def empty(cls, candidates: int) -> LinkWeights:
        """The sums of no text."""
        return cls((), np.zeros(0), np.zeros((0, 3, 1 + candidates)))

    @classmethod
    def of(
        cls, names: Sequence[str], texts: Int[np.ndarray, " link"], weights: Float[np.ndarray, "link candidate"]
    ) -> LinkWeights:
        """Sums up links, each given with the name of its row and the number of its text."""
        if not len(names):
            return cls.empty(weights.shape[1])
        known, rows = np.unique(np.array(names, object), return_inverse=True)
        order = np.lexsort((texts, rows))
        by_text, starts = _starts(np.stack([rows, texts])[:, order])
        vectors = np.add.reduceat(np.insert(weights[order], 0, 1.0, axis=1), starts)
        counts = vectors[:, :1]
        powers = np.stack([vectors, counts * vectors, np.square(vectors)], axis=1)
        _, first = _starts(by_text[:1])
        return cls(tuple(known), np.bincount(by_text[0]).astype(float), np.add.reduceat(powers, first))

    def __add__(self, other: LinkWeights) -> LinkWeights:
        names = tuple(sorted({*self.names, *other.names}))
        texts, sums = np.zeros(len(names)), np.zeros((len(names), *self.sums.shape[1:]))
        for part in (self, other):
            rows = [names.index(name) for name in part.names]
            texts[rows] += part.texts
            sums[rows] += part.sums
        return LinkWeights(names, texts, sums)

    def means(self, name: str) -> Float[np.ndarray, "candidate 3"]:
        """Computes the mean weight of the row's links, and the ends of its 95 % interval over texts (Student's t).

        The mean is the ratio Σ w / Σ n, and its variance Σ (w − mean·n)² / (Σ n)² · t / (t − 1) for t texts; NaN where
        there is no link, and for the interval of fewer than two texts.
        """
        from scipy.special import stdtrit

        missing = np.full((self.sums.shape[2] - 1, 3), np.nan)
        if name not in self.names:
            return missing
        row = self.names.index(name)
        total, products, squares = self.sums[row]
        texts, mean = self.texts[row], total[1:] / total[0]
        missing[:, 0] = mean
        if texts > 1:
            size = squares[1:] + np.square(mean) * squares[0]
            residue = size - 2 * mean * products[1:]
            residue = np.where(residue > NOTHING * size, residue, 0)
            margin = stdtrit(texts - 1, 0.975) * np.sqrt(residue * texts / (texts - 1)) / total[0]
            missing[:, 1], missing[:, 2] = mean - margin, mean + margin
        return missing

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the numbers by name, from which :meth:`restored` makes equal sums."""
        names = np.frombuffer(json.dumps(self.names).encode(), np.uint8)
        return {"weight_names": names, "weight_texts": self.texts, "weight_sums": self.sums}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> LinkWeights:
        """Makes the sums whose :meth:`arrays` these are.

        Raises:
            ValueError: no sums of so many candidates have such arrays.
        """
        names = json.loads(arrays["weight_names"].tobytes())
        texts, sums = arrays["weight_texts"], arrays["weight_sums"]
        shapes = texts.shape, sums.shape
        wanted = (len(names),), (len(names), *self.sums.shape[1:])
        if names != sorted(map(str, names)) or shapes != wanted or {texts.dtype, sums.dtype} != {np.dtype(float)}:
            raise ValueError("wrong weights of links")
        return LinkWeights(tuple(names), texts, sums)


def _starts(groups: Int[np.ndarray, "keys member"]) -> tuple[Int[np.ndarray, "keys group"], Int[np.ndarray, " group"]]:
    """Finds the groups of neighbours with equal keys, and where each starts."""
    new = np.concatenate([[True], (groups[:, 1:] != groups[:, :-1]).any(0)])
    starts = np.flatnonzero(new)
    return groups[:, starts], starts
