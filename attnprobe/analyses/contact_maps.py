"""Measures how well the map of each head finds the contacts of a protein, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from attnprobe.analyses.contact_scores import ContactScores
from attnprobe.analyses.contacts import check_folder
from attnprobe.analyses.residue_maps import Pairs, ResidueListener, values_of
from attnprobe.attention.contacts import SCORES, scores_of
from attnprobe.errors import UsageError
from attnprobe.measure.kinds import Found
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.residues import read_residues, reads_apart
from attnprobe.models.encoder import Encoder
from attnprobe.readers.contacts import ContactFile, read_contacts
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.selection import Indices, select
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Sampled:
    """How many proteins a regression is fitted and tested on, at random, and the seed."""

    fit: int
    test: int
    seed: int


@dataclass(frozen=True)
class ContactMaps(NoRows):
    """Measures how well heads find contacts, for ``contacts``.

    Attributes:
        layers, heads: the numbers of those measured, ascending.
        reading: how sequences are read.
        separation: how many residues apart those of a pair are at least.
        sample: of proteins for the regression over heads.
        file: the contacts, where records do not bring them.
        within: the distance that contacts of the file are closer than; None: it has no distances.
        maps: the folder that gets the maps; None: they are not kept.
        apart: whether residues are read by themselves although the tokenizer would join some.
    """

    knows: ClassVar[Sequence[str]] = ("contacts",)

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    reading: Reading
    separation: int
    sample: Sampled
    file: ContactFile | None = None
    within: float | None = None
    maps: Path | None = None
    apart: bool = False

    alone = False

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        layers: Indices,
        heads: Indices,
        contacts: Path | None,
        within: float | None,
        separation: int,
        fit_proteins: int,
        test_proteins: int,
        seed: int,
        maps: Path | None,
    ) -> ContactMaps:
        """Chooses the heads, and reads the contacts.

        Raises:
            UsageError: a layer or head is out of range, or the file lacks a column.
            InputError: the file cannot be read.
            OutputError: the folder of maps holds something, or cannot be made.
        """
        if maps is not None:
            check_folder(Path(maps))
        file = None if contacts is None else read_contacts(Path(contacts), within)
        return cls(
            tuple(select(layers, encoder.layers, "layer")),
            tuple(select(heads, encoder.heads, "head")),
            reading,
            separation,
            Sampled(fit_proteins, test_proteins, seed),
            file,
            within,
            None if maps is None else Path(maps),
            reads_apart(encoder, reading),
        )

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a protein a residue a word, and finds its contacts: those of the file, else of the record.

        Raises:
            UsageError: it is no sequence or too long, or its contacts are no pairs of residues that it has.
        """
        if record.pair is not None:
            raise UsageError("contacts are within one sequence, not between the two of a pair")
        tokens, residues = read_residues(encoder, record.text, reading)
        found = None if self.file is None else self.file.of(record.id, len(residues))
        if found is None:
            found = checked(record.labels.get("contacts"), len(residues))
        about = {"id": record.id, "number": record.number}
        labels = {**about, "contacts": found, "residues": residues.texts, "owner": residues.owner}
        return [replace(tokens, labels=labels)]

    @property
    def size(self) -> int:
        """The numbers of a protein."""
        return len(self.layers) * len(self.heads) * (len(SCORES) + 1)

    def described(self) -> dict[str, Any]:
        """The settings that are not in the signature."""
        maps = None if self.maps is None else str(self.maps)
        return {"layers": self.layers, "heads": self.heads, "maps": maps}

    def signed(self) -> dict[str, object]:
        """What counts as a contact, and how many proteins the regression sees."""
        fitted = {"fit": self.sample.fit, "test": self.sample.test, "seed": self.sample.seed} if self.sample.fit else {}
        return {
            "positions": "residues apart" if self.apart else "residues",
            "separation": self.separation,
            "contacts": self.file.digest if self.file else None,
            "within": self.within,
            **fitted,
        }

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> ScoringListener:
        """Makes a listener that holds one layer of maps at a time."""
        return ScoringListener(self, texts, encoder)

    def empty(self, signature: str) -> ContactScores:
        """The summary of no protein."""
        return ContactScores.of_none(self, signature)


def checked(pairs: Any, length: int) -> list[list[int]] | None:
    """Returns a record's contacts; None if it has none.

    Raises:
        UsageError: they are no pairs of residues of a sequence of this length.
    """
    if pairs is None:
        return None
    if not isinstance(pairs, list) or not all(map(_is_pair, pairs)):
        raise UsageError("contacts are a list of pairs [i, j] of residues, counted from 0")
    beyond = next((pair for pair in pairs if not 0 <= min(pair) <= max(pair) < length), None)
    if beyond is not None:
        raise UsageError(f"contact {beyond}: no such residue in a sequence of {length}, from 0")
    return pairs


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(type(number) is int for number in pair)


class ScoringListener(ResidueListener):
    """Measures how well each head finds contacts, and keeps no map."""

    def __init__(self, measurement: ContactMaps, texts: Sequence[Tokens], encoder: Encoder) -> None:
        super().__init__(measurement, texts, encoder)
        self.pairs = [Pairs.of(text, measurement.separation) if text.labels["contacts"] else None for text in texts]
        shape = len(measurement.layers), len(measurement.heads), len(SCORES)
        self.scores = [np.zeros(shape) if pairs and pairs.tell else None for pairs in self.pairs]

    def start_layer(self, layer: int) -> Any:
        """Returns the observer of the layer's blocks; None where no protein has contacts."""
        return super().start_layer(layer) if any(scores is not None for scores in self.scores) else None

    def take(self, text: int, layer: int, heads: list[int], maps: Float[Tensor, "head residue residue"]) -> None:
        """Scores the maps of some heads."""
        scores, pairs = self.scores[text], self.pairs[text]
        if scores is not None and pairs is not None:
            scores[layer, heads] = scores_of(values_of(maps, pairs), pairs.is_contact, pairs.length)

    def finish(self) -> Found:
        """Returns the scores of each protein, and the share of contacts among its pairs; None where none are known."""
        found = zip(self.scores, self.pairs, strict=True)
        return Found(
            [None if scores is None or pairs is None else (scores, pairs.is_contact.mean()) for scores, pairs in found]
        )
