"""The files that the texts of each section come from, how many texts there are, and what was not read of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from attnprobe.measure.kinds import Measured
from attnprobe.values.records import Skipped

MOST = 20  # names of files
MORE = "…"


@dataclass(frozen=True)
class Source:
    """Where the texts of one section come from; ``a + b`` has those of both.

    Attributes:
        names: of the first files, in order, and "…" if there are more than MOST; none for texts in memory.
        texts, tokens: how many were measured.
        unknown: how many texts have too many tokens that the vocabulary lacks.
        cut: how many texts were cut, since the model reads no more of them.
        read: of the texts that were cut, how many tokens were read at most.
    """

    names: tuple[str, ...] = ()
    texts: int = 0
    tokens: int = 0
    unknown: int = 0
    cut: int = 0
    read: int = 0

    @classmethod
    def of(cls, texts: Sequence[Measured]) -> Source:
        """Counts measured texts."""
        names = dict.fromkeys(text.record.file for text in texts if text.record.file)
        unknown = sum(text.unknown for text in texts)
        cut = [text.n_tokens for text in texts if text.windows[0].n_cut]
        return cls(
            _first(names), len(texts), sum(text.n_tokens for text in texts), unknown, len(cut), max(cut, default=0)
        )

    def __add__(self, other: Source) -> Source:
        names = dict.fromkeys([*self.names, *other.names])
        counts = {name: getattr(self, name) + getattr(other, name) for name in ("texts", "tokens", "unknown", "cut")}
        return Source(_first(names), **counts, read=max(self.read, other.read))


def _first(names: Collection[str]) -> tuple[str, ...]:
    """Keeps the first names, and the sign that there are more."""
    known = [name for name in names if name != MORE]
    is_whole = len(known) <= MOST and MORE not in names
    return tuple(known) if is_whole else (*known[:MOST], MORE)


@dataclass(frozen=True)
class Sources(Mapping[str, Source]):
    """The source of each section, by name, in the order in which sections are read.

    Attributes:
        skipped: how many records of all sections could not be used.
        reason: why not the first of them.
    """

    sections: Mapping[str, Source]
    skipped: int = 0
    reason: str = ""

    def __getitem__(self, section: str) -> Source:
        return self.sections[section]

    def __iter__(self) -> Iterator[str]:
        return iter(self.sections)

    def __len__(self) -> int:
        return len(self.sections)

    def of_texts(self, section: str, texts: Sequence[Measured]) -> Sources:
        """Counts measured texts of one section."""
        return Sources({name: Source.of(texts) if name == section else Source() for name in self})

    def without(self, skipped: Sequence[Skipped]) -> Sources:
        """Counts records that were skipped."""
        return self + Sources({name: Source() for name in self}, len(skipped), skipped[0].reason if skipped else "")

    def __add__(self, other: Sources) -> Sources:
        sections = {name: source + other[name] for name, source in self.items()}
        return Sources(sections, self.skipped + other.skipped, self.reason or other.reason)

    def array(self) -> np.ndarray:
        """Returns the sources as bytes."""
        return np.frombuffer(json.dumps(asdict(self)).encode(), np.uint8)

    def restored(self, array: np.ndarray) -> Sources:
        """Makes the sources whose :meth:`array` this is.

        Raises:
            ValueError: no sources of these sections have such an array.
        """
        content = json.loads(array.astype(np.uint8).tobytes())
        sections = content.pop("sections", {})
        if list(sections) != list(self):
            raise ValueError("wrong sources")
        made = {name: Source(**{**of, "names": tuple(of["names"])}) for name, of in sections.items()}
        return replace(Sources(made), **content)
