"""The inputs of a run that reads several sections, such as texts and a treebank, each in a way of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attnprobe.corpus.chunks import Item
from attnprobe.corpus.inputs import Inputs
from attnprobe.readers.source import Source, warn
from attnprobe.values.records import TEXTS, Record


@dataclass(frozen=True)
class Sections:
    """The inputs of each section by name, read one after the other; used as one :class:`Inputs`.

    Attributes:
        tell: called with a message if a section turns out to have no records.
    """

    inputs: Mapping[str, Inputs]
    tell: Callable[[str], None] = warn

    @property
    def sources(self) -> list[Source]:
        """The sources of all sections."""
        return [source for inputs in self.inputs.values() for source in inputs.sources]

    @property
    def files(self) -> list[Path]:
        """The files and folders among the sources."""
        return [file for inputs in self.inputs.values() for file in inputs.files]

    @property
    def is_read_once(self) -> bool:
        """Whether standard input or a pipe is among the sources."""
        return any(inputs.is_read_once for inputs in self.inputs.values())

    def records(self) -> Iterator[Item]:
        """Reads the records, each with its section; the sources of all sections are opened at once."""
        return in_sections({name: self._told(inputs, inputs.records()) for name, inputs in self.inputs.items()})

    def _told(self, inputs: Inputs, items: Iterator[Item]) -> Iterator[Item]:
        """Passes the items of a section on, and tells if there are none."""
        first = next(items, None)
        if first is None:
            self.tell(f"no records in {', '.join(repr(source.name) for source in inputs.sources)}")
            return
        yield first
        yield from items

    def count(self) -> int | None:
        """Counts the records that will come, about; None if that takes reading them."""
        counts = [inputs.count() for inputs in self.inputs.values()]
        return None if None in counts else sum(count for count in counts if count is not None)

    def fingerprints(self) -> dict[str, str]:
        """Returns the fingerprints of the sources by name, after that of the section where these are not texts."""
        return {
            source if name == TEXTS else f"{name} {source}": made
            for name, inputs in self.inputs.items()
            for source, made in inputs.fingerprints().items()
        }

    def described(self) -> dict[str, Any]:
        """Returns how texts are read, as values of JSON; how other sections are follows from their files."""
        return self.inputs[TEXTS].described()

    def watched(self, chunks: Iterable[list[Item]]) -> Iterator[list[Item]]:
        """Passes chunks on, and checks that no file of any section changes meanwhile; see :meth:`Inputs.watched`."""
        for inputs in self.inputs.values():
            chunks = inputs.watched(chunks)
        yield from chunks

    def known_to(self, tokenizer: Any) -> Sections:
        """Leaves out what :meth:`Inputs.known_to` does."""
        return replace(self, inputs={name: inputs.known_to(tokenizer) for name, inputs in self.inputs.items()})


def in_sections(items: Mapping[str, Iterable[Item]]) -> Iterator[Item]:
    """Yields the items of one section after the other, records with the section's name."""
    for name, of_section in items.items():
        for item in of_section:
            yield replace(item, section=name) if isinstance(item, Record) else item
