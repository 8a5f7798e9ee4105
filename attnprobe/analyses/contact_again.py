"""Measures some proteins again: to fit a regression over heads, to test it, to draw a map, and to write maps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit
from torch import Tensor

from attnprobe.analyses.residue_maps import Pairs, ResidueListener, values_of
from attnprobe.attention.contacts import scores_of
from attnprobe.attention.regression import Examples, Regression
from attnprobe.measure.kinds import Found, Measured
from attnprobe.measure.nothing import NoRows
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.tokens import Tokens
from attnprobe.writers.files import replacing
from attnprobe.writers.tensors import save_tensors

MOST_FEATURES = 2**23  # numbers that the regression is fitted to: 64 MiB


@dataclass(frozen=True)
class Gathered:
    """The results of some texts, in any order."""

    signature: str
    found: tuple[Any, ...] = ()

    def of_texts(self, texts: Sequence[Measured], together: Any) -> Gathered:
        """Gathers the results of these."""
        return Gathered(self.signature, tuple(text.found for text in texts))

    def __add__(self, other: Gathered) -> Gathered:
        return Gathered(self.signature, self.found + other.found)


@dataclass(frozen=True)
class Again(NoRows):
    """Measures proteins as they were read before.

    Attributes:
        first: the measurement that read them, a :class:`attnprobe.analyses.contact_maps.ContactMaps`.
    """

    first: Any

    alone = False
    size = 1

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that were measured."""
        layers: tuple[int, ...] = self.first.layers
        return layers

    @property
    def heads(self) -> tuple[int, ...]:
        """The heads that were measured."""
        heads: tuple[int, ...] = self.first.heads
        return heads

    @property
    def reading(self) -> Reading:
        """How sequences are read."""
        reading: Reading = self.first.reading
        return reading

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a protein."""
        read: list[Tokens] = self.first.read(record, encoder, reading)
        return read

    def described(self) -> dict[str, Any]:
        """No settings: such a run is never resumed."""
        return {}

    def signed(self) -> dict[str, object]:
        """What the first measurement depends on."""
        signed: dict[str, object] = self.first.signed()
        return signed

    def empty(self, signature: str) -> Gathered:
        """The results of no protein."""
        return Gathered(signature)


@dataclass(frozen=True)
class Features(Again):
    """Keeps what all heads say of some pairs of each protein, to fit a regression to it.

    Attributes:
        proteins: how many there are.
    """

    proteins: int

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> FeaturesListener:
        """Makes a listener that keeps the values of the pairs."""
        return FeaturesListener(self, texts, encoder)


class FeaturesListener(ResidueListener):
    """Keeps the values of contacts and other pairs: all, or of either kind as many as there is room for, at random."""

    def __init__(self, measurement: Features, texts: Sequence[Tokens], encoder: Encoder) -> None:
        super().__init__(measurement, texts, encoder)
        size = len(measurement.layers) * len(measurement.heads)
        most = max(2, MOST_FEATURES // (size * measurement.proteins))
        self.pairs, self.counts = [], []
        for text in texts:
            pairs = Pairs.of(text, measurement.first.separation)
            chosen, counts = _drawn(pairs, most, measurement.first.sample.seed, "".join(text.labels["residues"]))
            self.pairs.append(pairs.take(chosen))
            self.counts.append(counts)
        self.values = [np.zeros((len(pairs.i), size)) for pairs in self.pairs]

    def take(self, text: int, layer: int, heads: list[int], maps: Float[Tensor, "head residue residue"]) -> None:
        """Keeps the values of some heads."""
        places = [layer * len(self.measurement.heads) + head for head in heads]
        self.values[text][:, places] = values_of(maps, self.pairs[text]).T

    def finish(self) -> Found:
        """Returns the examples of each protein."""
        found = zip(self.values, self.pairs, self.counts, strict=True)
        return Found([Examples(values, pairs.is_contact, counts) for values, pairs, counts in found])


def _drawn(pairs: Pairs, most: int, seed: int, residues: str) -> tuple[np.ndarray, np.ndarray]:
    """Draws at most half so many contacts, and other pairs; and counts for how many pairs each of them stands."""
    digest = hashlib.blake2b(f"{seed}\0{residues}".encode(), digest_size=8).digest()
    chance = np.random.default_rng(int.from_bytes(digest, "little"))
    chosen, counts = [], []
    room = most // 2
    for kind in (np.flatnonzero(pairs.is_contact), np.flatnonzero(~pairs.is_contact)):
        drawn = np.sort(chance.choice(kind, room, replace=False)) if len(kind) > room else kind
        chosen.append(drawn)
        counts.append(np.full(len(drawn), len(kind) / max(1, len(drawn))))
        room = most - len(drawn)
    return np.concatenate(chosen), np.concatenate(counts)


@dataclass(frozen=True)
class Weighed(Again):
    """Adds up the maps of heads by the weights of a regression.

    Attributes:
        regression: None: the map of each head is kept instead.
    """

    regression: Regression | None

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> WeighedListener | HeadsListener:
        """Makes a listener that holds one map of each protein, or those of all heads."""
        return HeadsListener(self, texts, encoder) if self.regression is None else WeighedListener(self, texts, encoder)

    def found_in(self, text: Tokens, values: Float[np.ndarray, "*head residue residue"]) -> Any:
        """Returns what is wanted of a protein's map."""
        raise NotImplementedError


class WeighedListener(ResidueListener):
    """Adds up the maps of heads."""

    def __init__(self, measurement: Weighed, texts: Sequence[Tokens], encoder: Encoder) -> None:
        super().__init__(measurement, texts, encoder)
        assert measurement.regression is not None
        self.weights = measurement.regression.weights
        self.sums = [np.full((len(words), len(words)), measurement.regression.bias) for words in self.words]

    def take(self, text: int, layer: int, heads: list[int], maps: Float[Tensor, "head residue residue"]) -> None:
        """Adds the maps of some heads."""
        for weight, values in zip(self.weights[layer, heads], maps, strict=True):
            if weight:
                self.sums[text] += weight * values.cpu().numpy().astype(float)

    def finish(self) -> Found:
        """Returns what is wanted of each map."""
        return Found([self.measurement.found_in(*pair) for pair in zip(self.texts, self.sums, strict=True)])


class HeadsListener(ResidueListener):
    """Keeps the map of each head."""

    def __init__(self, measurement: Weighed, texts: Sequence[Tokens], encoder: Encoder) -> None:
        super().__init__(measurement, texts, encoder)
        shape = len(measurement.layers), len(measurement.heads)
        self.maps = [np.zeros((*shape, len(words), len(words)), np.float32) for words in self.words]

    def take(self, text: int, layer: int, heads: list[int], maps: Float[Tensor, "head residue residue"]) -> None:
        """Keeps the maps of some heads."""
        self.maps[text][layer, heads] = maps.cpu().numpy()

    def finish(self) -> Found:
        """Returns what is wanted of each protein's maps."""
        return Found([self.measurement.found_in(*pair) for pair in zip(self.texts, self.maps, strict=True)])


class Tested(Weighed):
    """Scores the map of a regression, as those of heads are scored."""

    def found_in(self, text: Tokens, values: Float[np.ndarray, "residue residue"]) -> np.ndarray:
        """Returns SCORES."""
        pairs = Pairs.of(text, self.first.separation)
        scores: np.ndarray = scores_of(values[None, pairs.i, pairs.j], pairs.is_contact, pairs.length)[0]
        return scores


@dataclass(frozen=True)
class Drawing:
    """The map of one protein, to be drawn.

    Attributes:
        id: of the protein.
        residues: its letters.
        contacts: pairs of their numbers.
        values: of the map.
    """

    id: str
    residues: Sequence[str]
    contacts: Sequence[Sequence[int]]
    values: Float[np.ndarray, "residue residue"]


class Drawn(Weighed):
    """Keeps the map of a protein."""

    def found_in(self, text: Tokens, values: Float[np.ndarray, "residue residue"]) -> Drawing:
        """Returns what is drawn."""
        labels = text.labels
        return Drawing(labels["id"], labels["residues"], labels["contacts"], values)


@dataclass(frozen=True)
class Written(Weighed):
    """Writes a file for each protein: how probable contacts are by a regression, or the map of each head.

    Attributes:
        folder: of the files.
        names: of the files, by the record's number.
        signature: what the numbers depend on.
    """

    folder: Path
    names: tuple[str, ...]
    signature: str

    def found_in(self, text: Tokens, values: Float[np.ndarray, "*head residue residue"]) -> None:
        """Writes the file."""
        labels = text.labels
        tensors = {"maps": values, "layers": np.array(self.layers), "heads": np.array(self.heads)}
        if self.regression is not None:
            tensors = {"contacts": expit(values).astype(np.float32)}
        about = {"id": labels["id"], "sequence": "".join(labels["residues"]), "signature": self.signature}
        with replacing(self.folder / self.names[labels["number"]]) as stream:
            save_tensors(tensors, about, stream)
