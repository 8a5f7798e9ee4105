"""The files that the texts of each section come from, and how many texts there are."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from attnprobe.measure.kinds import Measured

MOST = 20  # names of files
MORE = "…"


@dataclass(frozen=True)
class Source:
    """Where the texts of one section come from; ``a + b`` has those of both.

    Attributes:
        names: of the first files, in order, and "…" if there are more than MOST; none for texts in memory.
        texts, tokens: how many were measured.
        unknown: how many texts have too many tokens that the vocabulary lacks.
    """

    names: tuple[str, ...] = ()
    texts: int = 0
    tokens: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, texts: Sequence[Measured]) -> Source:
        """Counts measured texts."""
        names = dict.fromkeys(text.record.file for text in texts if text.record.file)
        unknown = sum(text.unknown for text in texts)
        return cls(_first(names), len(texts), sum(text.n_tokens for text in texts), unknown)

    def __add__(self, other: Source) -> Source:
        names = dict.fromkeys([*self.names, *other.names])
        counts = (getattr(self, name) + getattr(other, name) for name in ("texts", "tokens", "unknown"))
        return Source(_first(names), *counts)


def _first(names: Collection[str]) -> tuple[str, ...]:
    """Keeps the first names, and the sign that there are more."""
    known = [name for name in names if name != MORE]
    is_whole = len(known) <= MOST and MORE not in names
    return tuple(known) if is_whole else (*known[:MOST], MORE)


@dataclass(frozen=True)
class Sources(Mapping[str, Source]):
    """The source of each section, by name, in the order in which sections are read."""

    sections: Mapping[str, Source]

    def __getitem__(self, section: str) -> Source:
        return self.sections[section]

    def __iter__(self) -> Iterator[str]:
        return iter(self.sections)

    def __len__(self) -> int:
        return len(self.sections)

    def of_texts(self, section: str, texts: Sequence[Measured]) -> Sources:
        """Counts measured texts of one section."""
        return Sources({name: Source.of(texts) if name == section else Source() for name in self})

    def __add__(self, other: Sources) -> Sources:
        return Sources({name: source + other[name] for name, source in self.items()})

    def array(self) -> np.ndarray:
        """Returns the sources as bytes."""
        content = {name: asdict(source) for name, source in self.items()}
        return np.frombuffer(json.dumps(content).encode(), np.uint8)

    def restored(self, array: np.ndarray) -> Sources:
        """Makes the sources whose :meth:`array` this is.

        Raises:
            ValueError: no sources of these sections have such an array.
        """
        content = json.loads(array.astype(np.uint8).tobytes())
        if list(content) != list(self):
            raise ValueError("wrong sources")
        return Sources({name: Source(**{**of, "names": tuple(of["names"])}) for name, of in content.items()})
