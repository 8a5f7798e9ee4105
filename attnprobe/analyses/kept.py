"""Keeps some of many texts, to measure them again once all have come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnprobe.measure.kinds import Measured
from attnprobe.values.records import Record


@dataclass(frozen=True)
class Kept:
    """Some texts at random: which ones follows from a seed and the texts alone, whatever reads them in what order.

    Attributes:
        most: how many are kept; all if there are no more.
        seed: of the sample.
        texts: each with a digest of seed and text, by which they are ordered, as JSON.
    """

    most: int
    seed: int
    texts: tuple[tuple[str, str], ...] = ()

    def of_texts(self, texts: Iterable[Measured]) -> Kept:
        """Keeps some of these."""
        return self._with(map(self._numbered, texts))

    def __add__(self, other: Kept) -> Kept:
        return self._with(other.texts)

    def _with(self, texts: Iterable[tuple[str, str]]) -> Kept:
        return replace(self, texts=tuple(sorted([*self.texts, *texts])[: self.most]))

    def _numbered(self, text: Measured) -> tuple[str, str]:
        content = content_of(text)
        return hashlib.blake2b(f"{self.seed}\0{content}".encode()).hexdigest()[:32], content

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
        return [_record(*json.loads(content)) for _, content in self.texts]


def content_of(text: Measured) -> str:
    """Writes a text with its id and labels, as JSON."""
    return json.dumps([text.id, text.windows[0].given, dict(text.labels)], ensure_ascii=True)


def _record(id: str, given: Sequence[Any], labels: Mapping[str, Any]) -> Record:
    text, pair = given
    words = {name: each for name, each in (("words", text), ("pair_words", pair)) if isinstance(each, list)}
    plain = {name: each for name, each in (("text", text), ("pair", pair)) if isinstance(each, str)}
    read: dict[str, Any] = words | plain
    return Record(id, labels=labels, **read)
