"""Measures all that an atlas shows of a model's heads, in one pass over texts, sentences and documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from attnprobe.analyses.coreference import COREFERENCE
from attnprobe.analyses.importance import IMPORTANCE
from attnprobe.analyses.patterns import PATTERN_CLASSES
from attnprobe.analyses.relations import RELATIONS
from attnprobe.analyses.similarity import SIMILARITY
from attnprobe.analyses.trees import TREES
from attnprobe.atlases.by_norm import ByNorm
from attnprobe.atlases.examples import Examples
from attnprobe.atlases.sources import Source, Sources
from attnprobe.atlases.summary import AtlasSummary
from attnprobe.atlases.summing import listeners_together
from attnprobe.errors import ModelError, UsageError
from attnprobe.measure.heads import HeadMeans
from attnprobe.measure.kinds import Found, Measurement
from attnprobe.measure.nothing import NoRows
from attnprobe.measure.reading import reader_of
from attnprobe.measure.running import added
from attnprobe.measure.several import SeveralListener
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading
from attnprobe.values.records import Record
from attnprobe.values.switches import Off
from attnprobe.values.tokens import Tokens

SECTION = "section"  # the label of tokens that names the section of their record
WORDS = {"norms": "contributions"}  # for what is not called as its field is
METHODS = {"zero": "zero", "sensitivity": "gradient"}
Members = Mapping[str, Measurement]
Makers = Mapping[str, Callable[[], Measurement]]


@dataclass(frozen=True)
class AtlasMeasurement(NoRows):
    """Measures all that the model allows, for ``atlas``: of each section what its texts are for.

    Attributes:
        model: name, source, type, layers, heads, and which are off.
        members: the measurements of each section, by the names of the fields of
            :class:`attnprobe.atlases.summary.AtlasSummary`.
        reading: how texts are read.
        seed: of the examples.
        left_out: what the model does not allow, and why, in sentences.
        against: the file with the atlas that this one is compared to.
    """

    model: Mapping[str, Any]
    members: Mapping[str, Members]
    reading: Reading
    seed: int
    left_out: tuple[str, ...] = ()
    against: str | None = None

    knows: ClassVar[Sequence[str]] = tuple(dict.fromkeys([*RELATIONS.labels, *COREFERENCE.labels]))

    @classmethod
    def choose(
        cls,
        encoder: Encoder,
        reading: Reading,
        *,
        sections: Sequence[str],
        importance: str = "none",
        seed: int = 0,
        clusters: int = 8,
        against: str | None = None,
    ) -> AtlasMeasurement:
        """Chooses what is measured, with the defaults of the commands that measure each alone.

        Args:
            sections: the names of those that are read: "texts", "treebank", "documents".
            importance: "zero", "sensitivity", or "none".
            seed, clusters: of all measurements that have them.
        """
        makers = _makers(encoder, reading, importance, seed, clusters)
        members, reasons = dict[str, Members](), dict[str, str]()
        for section in sections:
            members[section], why = _possible(makers[section])
            reasons |= why
        heads = {"layers": [*range(encoder.layers)], "heads": [*range(encoder.heads)]}
        source = encoder.location.name if encoder.origin is None else None
        named = {"name": encoder.location.short_name, "source": source, "type": encoder.kind}
        model = {**named, **heads, "off": encoder.off or Off()}
        return cls(model, members, reading, seed, tuple(_in_words(reasons)), against)

    def _all(self) -> Iterator[tuple[str, Measurement]]:
        """Yields all measurements, by name."""
        return chain.from_iterable(members.items() for members in self.members.values())

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that any member measures."""
        return tuple(sorted({layer for _, member in self._all() for layer in member.layers}))

    @property
    def alone(self) -> bool:
        """Whether any member needs each text by itself."""
        return any(member.alone for _, member in self._all())

    @property
    def reads_values(self) -> bool:
        """Whether blocks must carry the norms of values."""
        return any(getattr(member, "reads_values", False) for _, member in self._all())

    @property
    def size(self) -> int:
        """The size of all members of the section with the most."""
        return max(sum(member.size for member in members.values()) for members in self.members.values())

    def described(self) -> dict[str, Any]:
        """The settings by section and member, and a digest of the atlas that this one is compared to."""
        settings: dict[str, Any] = {
            section: {name: member.described() for name, member in members.items()}
            for section, members in self.members.items()
        }
        content = None if self.against is None else Path(self.against).read_bytes()
        return settings if content is None else {**settings, "against": sha256(content).hexdigest()}

    def signed(self) -> dict[str, object]:
        """The parts of all members; one that another has with another value is named with its member."""
        parts: dict[str, object] = {}
        for member, measurement in self._all():
            for name, value in measurement.signed().items():
                parts[name if parts.get(name, value) == value else f"{member}_{name}"] = value
        return parts

    def read(self, record: Record, encoder: Encoder, reading: Reading) -> list[Tokens]:
        """Reads a record as the members of its section do, and labels it with the section.

        Raises:
            UsageError: the record cannot be used.
        """
        windows = reader_of(*self.members[record.section].values())(record, encoder, reading)
        return [replace(window, labels={**window.labels, SECTION: record.section}) for window in windows]

    def begin(self, texts: Sequence[Tokens], encoder: Encoder) -> AtlasListener:
        """Makes a listener that shows each block to the members of the texts' section."""
        members, encoder = self.members[texts[0].labels[SECTION]], replace(encoder, sources=())
        together = listeners_together(members, texts, encoder) if "statistics" in members else {}
        listeners = {name: together.get(name) or member.begin(texts, encoder) for name, member in members.items()}
        return AtlasListener([(member, listeners[name]) for name, member in members.items()], [*members], len(texts))

    def empty(self, signature: str) -> AtlasSummary:
        """The summary of no text."""
        found: dict[str, Any] = {name: member.empty(signature) for name, member in self._all()}
        if "importance" in found:  # without the curve, and without what is said of how long it takes
            found["importance"] = replace(found["importance"], curve=None, kept=None, remarks=())
        if "patterns" in found:
            found["examples"] = Examples.none(self.model["layers"], self.model["heads"], self.seed)
        sources = Sources({section: Source() for section in self.members})
        empty = AtlasSummary(signature, self.model, sources, self.left_out, **found)
        return replace(empty, reading=self.reading, against=self.against)


class ByName(dict[str, Any]):
    """Results by name; they add up name by name."""

    def __add__(self, other: ByName) -> ByName:
        return ByName({name: added([one, other[name]]) for name, one in self.items()})


@dataclass(frozen=True)
class AtlasListener(SeveralListener):
    """Shows each block to the listeners of all members, and names what they find.

    Attributes:
        names: of the members.
        count: how many texts there are.
    """

    names: Sequence[str]
    count: int

    @property
    def reads_values(self) -> bool:
        """Whether blocks must carry the norms of values, which only one section's members read."""
        return any(getattr(member, "reads_values", False) for member, _ in self.members)

    def finish(self) -> Found:
        """Returns the results of all members, by name."""
        found = {name: listener.finish() for name, (_, listener) in zip(self.names, self.members, strict=True)}
        texts = [ByName({name: of.texts[at] for name, of in found.items()}) for at in range(self.count)]
        return Found(texts, ByName({name: of.together for name, of in found.items()}))


def _makers(encoder: Encoder, reading: Reading, importance: str, seed: int, clusters: int) -> Mapping[str, Makers]:
    """Lists by section and name what makes each measurement."""
    how: dict[str, Any] = {"method": METHODS.get(importance), "seed": seed}
    texts: dict[str, Callable[[], Measurement]] = {
        "statistics": lambda: HeadMeans.choose(encoder, reading),
        "patterns": lambda: PATTERN_CLASSES.choose(encoder, reading, {}),
        "norms": lambda: ByNorm.choose(encoder, reading),
        "similarity": lambda: SIMILARITY.choose(encoder, reading, {"seed": seed, "clusters": clusters}),
        "importance": lambda: IMPORTANCE.choose(encoder, reading, how),
    }
    if importance == "none":
        del texts["importance"]
    return {
        "texts": texts,
        "treebank": {
            "relations": lambda: RELATIONS.choose(encoder, reading, {"seed": seed}),
            "trees": lambda: TREES.choose(encoder, reading, {}),
        },
        "documents": {"coreference": lambda: COREFERENCE.choose(encoder, reading, {"seed": seed})},
    }


def _possible(makers: Makers) -> tuple[Members, dict[str, str]]:
    """Makes the measurements that the model allows, and says of each other one why it does not."""
    made, reasons = dict[str, Measurement](), dict[str, str]()
    for name, make in makers.items():
        try:
            made[name] = make()
        except (ModelError, UsageError) as error:
            reasons[name] = str(error)
    return made, reasons


def _in_words(reasons: Mapping[str, str]) -> Iterator[str]:
    """Writes what is left out, once for each reason."""
    for reason in dict.fromkeys(reasons.values()):
        names = [WORDS.get(name, name) for name, of in reasons.items() if of == reason]
        yield f"no {', '.join(names)}: {reason}"
