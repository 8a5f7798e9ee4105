"""Keeps some of many texts, to measure them again once all have come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from attnprobe.measure.kinds import Measured
from attnprobe.values.records import Record

FIELDS = ("id", "text", "pair", "words", "pair_words", "number", "section")


@dataclass(frozen=True)
class Kept:
    """Some texts at random: which ones follows from a seed and the texts alone, whatever reads them in what order.

    Attributes:
        most: how many are kept; all if there are no more.
        seed: of the sample.
        texts: each with a digest of seed and text, by which they are ordered, as JSON of its record.
    """

    most: int
    seed: int
    texts: tuple[tuple[str, str], ...] = ()

    def of_texts(self, texts: Iterable[Measured]) -> Kept:
        """Keeps some of these."""
        return self._with((digest_of(text.record, self.seed), written(text.record)) for text in texts)

    def __add__(self, other: Kept) -> Kept:
        return self._with(other.texts)

    def _with(self, texts: Iterable[tuple[str, str]]) -> Kept:
        return replace(self, texts=tuple(sorted([*self.texts, *texts])[: self.most]))

    def array(self) -> np.ndarray:
        """Returns the texts as bytes."""
        return np.frombuffer(json.dumps(self.texts).encode(), np.uint8)

    def restored(self, array: np.ndarray) -> Kept:
        """Makes the sample whose :meth:`array` this is; raises ValueError if none has it."""
        texts = json.loads(array.astype(np.uint8).tobytes())
        if not isinstance(texts, list) or any([*map(type, pair)] != [str, str] for pair in texts):
            raise ValueError("wrong texts")
        return replace(self, texts=tuple((digest, content) for digest, content in texts))

    def records(self) -> list[Record]:
        """Returns the texts as they were read."""
        return [Record(**json.loads(content)) for _, content in self.texts]


def digest_of(record: Record, seed: int) -> str:
    """Computes a digest of seed and text, by which texts are in an order as if by chance."""
    content = json.dumps([record.id, record.given, dict(record.labels)], ensure_ascii=True)
    return hashlib.blake2b(f"{seed}\0{content}".encode()).hexdigest()[:32]


def written(record: Record) -> str:
    """Writes a record as JSON, without where it was."""
    fields = {name: getattr(record, name) for name in FIELDS} | {"labels": dict(record.labels)}
    return json.dumps(fields, ensure_ascii=True)
