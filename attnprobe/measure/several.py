"""Several measurements that share one pass of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnprobe.attention.blocks import Block, Observer
from attnprobe.measure.kinds import Found, Listener, Measured, Measurement, Summary
from attnprobe.measure.reading import reader_of
from attnprobe.measure.running import added
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.rows import RowBlock
from attnprobe.values.table import Table
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Several:
    """A measurement made of others; the rows are those of the first that has columns.

    Attributes:
        members: the measurements by name; the name begins those of their tables, except the first member's.
    """

    members: Mapping[str, Measurement]

    @property
    def first(self) -> Measurement:
        """The member that makes the rows."""
        return next((member for member in self.members.values() if member.columns), next(iter(self.members.values())))

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that any member measures."""
        return tuple(sorted({layer for member in self.members.values() for layer in member.layers}))

    @property
    def alone(self) -> bool:
        """Whether any member needs each text by itself."""
        return any(member.alone for member in self.members.values())

    @property
    def reads_values(self) -> bool:
        """Whether any member needs blocks to carry the norms of values."""
        return any(getattr(member, "reads_values", False) for member in self.members.values())

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of the rows."""
        return self.first.columns

    @property
    def size(self) -> int:
        """The size of all members."""
        return sum(member.size for member in self.members.values())

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a record as the first member does that reads in its own way."""
        return reader_of(*self.members.values())(record, encoder, reading)

    def described(self) -> dict[str, Any]:
        """Returns the settings by member."""
        return {name: member.described() for name, member in self.members.items()}

    def signed(self) -> dict[str, object]:
        """Returns the parts of all members."""
        return {name: value for member in self.members.values() for name, value in member.signed().items()}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> SeveralListener:
        """Makes a listener that shows each block to the members that measure its layer."""
        return SeveralListener([(member, member.begin(texts, encoder)) for member in self.members.values()])

    def rows(self, texts: Sequence[Measured]) -> Sequence[RowBlock]:
        """Makes the rows of the first member that has columns."""
        index = list(self.members.values()).index(self.first)
        return self.first.rows([_of_member(text, index) for text in texts])

    def empty(self, signature: str) -> SeveralSummary:
        """The summary of no text."""
        return SeveralSummary({name: member.empty(signature) for name, member in self.members.items()})


class ByMember(tuple[Any, ...]):
    """The results of all members; they add up member by member."""

    def __add__(self, other: Any) -> ByMember:
        return ByMember(added(pair) for pair in zip(self, other, strict=True))


@dataclass(frozen=True)
class SeveralListener:
    """Shows each block to the listeners of all members."""

    members: Sequence[tuple[Measurement, Listener]]

    @property
    def starts(self) -> Sequence[int] | None:
        """The rows where a block may start for every member."""
        wanted = [set(listener.starts) for _, listener in self.members if listener.starts is not None]
        return sorted(set.intersection(*wanted)) if wanted else None

    def start_layer(self, layer: int) -> Observer:
        """Returns an observer that shows the layer's blocks to the members that measure it."""
        wanted = (listener.start_layer(layer) for member, listener in self.members if layer in member.layers)
        observers = [observer for observer in wanted if observer is not None]

        def observe(block: Block) -> None:
            for observer in observers:
                observer(block)

        return observe

    def finish(self) -> Found:
        """Returns the results of all members."""
        found = [listener.finish() for _, listener in self.members]
        texts = [ByMember(of_text) for of_text in zip(*(member.texts for member in found), strict=True)]
        return Found(texts, ByMember(member.together for member in found))


@dataclass(frozen=True)
class SeveralSummary:
    """The summaries of all members."""

    members: Mapping[str, Summary]

    @property
    def signature(self) -> str:
        """What the numbers depend on."""
        return next(iter(self.members.values())).signature

    def of_texts(self, texts: Sequence[Measured], together: Any) -> SeveralSummary:
        """Summarizes these texts by member."""
        found = {
            name: member.of_texts([_of_member(text, index) for text in texts], together[index] if together else None)
            for index, (name, member) in enumerate(self.members.items())
        }
        return SeveralSummary(found)

    def __add__(self, other: SeveralSummary) -> SeveralSummary:
        return SeveralSummary({name: member + other.members[name] for name, member in self.members.items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the arrays of all members, named ``member.array``."""
        return {
            f"{member}.{name}": array
            for member, summary in self.members.items()
            for name, array in summary.arrays().items()
        }

    def restored(self, arrays: Mapping[str, np.ndarray]) -> SeveralSummary:
        """Makes the summaries whose :meth:`arrays` these are.

        Raises:
            ValueError: no summaries of these members have such arrays.
        """
        by_member: dict[str, dict[str, np.ndarray]] = {member: {} for member in self.members}
        for full_name, array in arrays.items():
            member, _, name = full_name.partition(".")
            by_member.setdefault(member, {})[name] = array
        if by_member.keys() != self.members.keys():
            raise ValueError("wrong names")
        return SeveralSummary({member: summary.restored(by_member[member]) for member, summary in self.members.items()})

    def tables(self) -> dict[str, Callable[[], Table]]:
        """Returns the tables of the first member by name, and those of other members as ``member.name``."""
        first = next(iter(self.members))
        return {
            table if name == first else f"{name}.{table}": content
            for name, member in self.members.items()
            for table, content in member.tables().items()
        }

    def overview(self, title: str) -> Table:
        """Makes the first member's table."""
        return next(iter(self.members.values())).overview(title)


def _of_member(text: Measured, index: int) -> Measured:
    return replace(text, found=text.found[index])
