"""Makes the corrected map of each head between the residues of a protein, as layers come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from attnprobe.attention.contacts import corrected
from attnprobe.measure.by_word import WordListener, WordRows
from attnprobe.models.encoder import Encoder
from attnprobe.values.tokens import Tokens
from attnprobe.values.words import Words


@dataclass(frozen=True)
class Pairs:
    """The pairs of residues of a protein that may be contacts, in order of the first, then of the second.

    Attributes:
        length: of the sequence.
        i, j: (pair,) the residues, the smaller number first; those without a token are in no pair.
        is_contact: (pair,) whether it is a contact.
    """

    length: int
    i: np.ndarray
    j: np.ndarray
    is_contact: np.ndarray

    @classmethod
    def of(cls, text: Tokens, separation: int) -> Pairs:
        """Lists the pairs of a protein that was read by :class:`ContactMaps`."""
        length = len(text.labels["residues"])
        has_token = np.isin(np.arange(length), text.labels["owner"])
        i, j = np.triu_indices(length, max(1, separation))
        kept = has_token[i] & has_token[j]
        is_contact = np.zeros((length, length), bool)
        if text.labels["contacts"]:
            is_contact[tuple(np.sort(text.labels["contacts"], 1).T)] = True
        i, j = i[kept], j[kept]
        return cls(length, i, j, is_contact[i, j])

    def take(self, chosen: np.ndarray) -> Pairs:
        """Keeps only these pairs."""
        return Pairs(self.length, self.i[chosen], self.j[chosen], self.is_contact[chosen])

    @property
    def tell(self) -> bool:
        """Whether there are contacts and other pairs, without which no head is better than another."""
        return bool(self.is_contact.any() and not self.is_contact.all())


class ResidueListener(WordListener):
    """Makes the corrected map of each head of a layer once its rows have come; a listener's base."""

    def __init__(self, measurement: Any, texts: Sequence[Tokens], encoder: Encoder) -> None:
        self.measurement, self.texts = measurement, texts
        residues = [Words(text.labels["residues"], text.labels["owner"]) for text in texts]
        super().__init__(residues, encoder, measurement.layers)
        self.open: dict[tuple[int, int], Tensor] = {}

    def receive(self, rows: WordRows) -> None:
        """Keeps rows until a map is whole."""
        count = max(map(len, self.words))
        weights = rows.weights
        if rows.rows != slice(0, count):
            key = rows.texts.start, rows.heads.start
            if key not in self.open:
                self.open[key] = weights.new_zeros(*weights.shape[:2], count, count)
            self.open[key][:, :, rows.rows] = weights
            if rows.rows.stop < count:
                return
            weights = self.open.pop(key)
        self._correct(rows, weights)

    def _correct(self, rows: WordRows, weights: Float[Tensor, "text head residue residue"]) -> None:
        present = range(rows.heads.start, rows.heads.stop)
        places = [(place, head) for place, head in enumerate(self.measurement.heads) if head in present]
        chosen = [head - present.start for _, head in places]
        if not chosen:
            return
        layer = self.measurement.layers.index(rows.layer)
        for text, maps in enumerate(weights, rows.texts.start):
            length = len(self.words[text])
            picked = maps[chosen] if len(chosen) < len(present) else maps
            self.take(text, layer, [place for place, _ in places], corrected(picked[:, :length, :length]))

    def take(self, text: int, layer: int, heads: list[int], maps: Float[Tensor, "head residue residue"]) -> None:
        """Measures the maps of some heads, whose places are given among those that are measured."""
        raise NotImplementedError


def values_of(maps: Float[Tensor, "head residue residue"], pairs: Pairs) -> Float[np.ndarray, "head pair"]:
    """Returns the values of pairs."""
    flat = maps.reshape(len(maps), -1).cpu().numpy()
    found: np.ndarray = flat.take(pairs.i * pairs.length + pairs.j, axis=1)
    return found
