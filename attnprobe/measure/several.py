"""Several measurements that share one pass of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnprobe.attention.blocks import Block, Observer
from attnprobe.measure.kinds import Found, Listener, Measured, Measurement, Summary
from attnprobe.measure.running import added
from attnprobe.models.encoder import Encoder
from attnprobe.values.rows import RowBlock
from attnprobe.values.table import Table
from attnprobe.values.tokens import Tokens


@dataclass(frozen=True)
class Several:
    """A measurement made of others; rows are those of the first that has any.

    Attributes:
        members: by name, which the names of their tables begin with, but for the first member's.
    """

    members: Mapping[str, Measurement]

    @property
    def first(self) -> Measurement:
        """The member that gives rows."""
        return next((member for member in self.members.values() if member.columns), next(iter(self.members.values())))

    @property
    def layers(self) -> tuple[int, ...]:
        """Those that any member wants."""
        return tuple(sorted({layer for member in self.members.values() for layer in member.layers}))

    @property
    def alone(self) -> bool:
        """Whether any member wants each text by itself."""
        return any(member.alone for member in self.members.values())

    @property
    def columns(self) -> Mapping[str, str]:
        """Those of the rows."""
        return self.first.columns

    @property
    def size(self) -> int:
        """Of all members."""
        return sum(member.size for member in self.members.values())

    def described(self) -> dict[str, Any]:
        """By member."""
        return {name: member.described() for name, member in self.members.items()}

    def signed(self) -> dict[str, object]:
        """The parts of all members."""
        return {name: value for member in self.members.values() for name, value in member.signed().items()}

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> SeveralListener:
        """A listener that shows each block to all members that want it."""
        return SeveralListener([(member, member.begin(texts, encoder)) for member in self.members.values()])

    def rows(self, texts: Sequence[Measured]) -> Sequence[RowBlock]:
        """Those of the first member that has any."""
        place = list(self.members.values()).index(self.first)
        return self.first.rows([_of_member(text, place) for text in texts])

    def empty(self, signature: str) -> SeveralSummary:
        """The summary of no text."""
        return SeveralSummary({name: member.empty(signature) for name, member in self.members.items()})


class Each(tuple[Any, ...]):
    """What was found for each member; sums are taken member by member."""

    def __add__(self, other: Any) -> Each:
        return Each(added(pair) for pair in zip(self, other, strict=True))


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
        """Shows the layer's blocks to the members that want it, one after another."""
        wanted = (listener.start_layer(layer) for member, listener in self.members if layer in member.layers)
        observers = [observer for observer in wanted if observer is not None]

        def observe(block: Block) -> None:
            for observer in observers:
                observer(block)

        return observe

    def finish(self) -> Found:
        """What each member found."""
        found = [listener.finish() for _, listener in self.members]
        texts = [Each(of_text) for of_text in zip(*(one.texts for one in found), strict=True)]
        return Found(texts, Each(one.together for one in found))


@dataclass(frozen=True)
class SeveralSummary:
    """The summaries of all members."""

    members: Mapping[str, Summary]

    @property
    def signature(self) -> str:
        """What the numbers depend on."""
        return next(iter(self.members.values())).signature

    def of_texts(self, texts: Sequence[Measured], together: Any) -> SeveralSummary:
        """The summaries of these texts."""
        found = {
            name: member.of_texts([_of_member(text, place) for text in texts], together[place] if together else None)
            for place, (name, member) in enumerate(self.members.items())
        }
        return SeveralSummary(found)

    def __add__(self, other: SeveralSummary) -> SeveralSummary:
        return SeveralSummary({name: member + other.members[name] for name, member in self.members.items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """Those of all members, each name after the member's."""
        return {
            f"{name}.{part}": array for name, member in self.members.items() for part, array in member.arrays().items()
        }

    def restored(self, arrays: Mapping[str, np.ndarray]) -> SeveralSummary:
        """The summaries that gave these arrays.

        Raises:
            ValueError: none like these did.
        """
        parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in self.members}
        for name, array in arrays.items():
            member, _, part = name.partition(".")
            parts.setdefault(member, {})[part] = array
        if parts.keys() != self.members.keys():
            raise ValueError("wrong names")
        return SeveralSummary({name: member.restored(parts[name]) for name, member in self.members.items()})

    def tables(self) -> dict[str, Callable[[], Table]]:
        """The first member's tables, and the others' with the member's name before theirs."""
        first = next(iter(self.members))
        return {
            table if name == first else f"{name}.{table}": content
            for name, member in self.members.items()
            for table, content in member.tables().items()
        }

    def overview(self, title: str) -> Table:
        """The first member's."""
        return next(iter(self.members.values())).overview(title)


def _of_member(text: Measured, place: int) -> Measured:
    return Measured(text.id, text.windows, text.found[place])
