"""What an atlas knows of a model's heads: the summaries of all that was measured, which add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attnprobe.analyses.coreferences import Coreferences
from attnprobe.analyses.importances import Importances
from attnprobe.analyses.likeness import Similarity
from attnprobe.analyses.related import Relations
from attnprobe.analyses.shares import Patterns
from attnprobe.analyses.tree_scores import TreeScores
from attnprobe.atlases.building import build_atlas
from attnprobe.atlases.data import Atlas, read_atlas
from attnprobe.atlases.examples import Examples, Roles
from attnprobe.atlases.sources import Sources
from attnprobe.atlases.wording import NOUNS
from attnprobe.errors import InputError
from attnprobe.measure.kinds import Measured
from attnprobe.measure.stretches import KeptTexts, Stretches
from attnprobe.values.notebook import one_line
from attnprobe.values.options import Reading
from attnprobe.values.records import Record, Skipped
from attnprobe.values.signature import model_of
from attnprobe.values.summary import Summary, check_alike
from attnprobe.values.table import Table

if TYPE_CHECKING:
    import pandas

FIELDS: Mapping[str, Sequence[str]] = {
    "texts": ("statistics", "patterns", "norms", "similarity", "importance", "examples"),
    "treebank": ("relations", "trees"),
    "documents": ("coreference",),
}
"""The summaries of each section, by the names of their fields."""


@dataclass(frozen=True, repr=False)
class AtlasSummary:
    """All that was measured of a model's heads; ``a + b`` has the texts of both. None: not measured.

    Attributes:
        signature: what the numbers depend on.
        model: name, source, type, layers and heads, as the atlas says them, and which heads are off.
        sources: where the texts of each section come from.
        left_out: what the model does not allow to measure, and why, in sentences.
        statistics, patterns, norms, similarity, importance: of the section ``texts``; norms are the statistics of
            contributions.
        relations, trees: of the section ``treebank``.
        coreference: of the section ``documents``.
        examples: texts of the section ``texts`` that show what heads do, which are measured again in the end.
        reading: how their texts are read.
        against: the file with the atlas that this one is compared to.
    """

    signature: str
    model: Mapping[str, Any]
    sources: Sources
    left_out: tuple[str, ...] = ()
    statistics: Summary | None = None
    patterns: Patterns | None = None
    norms: Summary | None = None
    similarity: Similarity | None = None
    importance: Importances | None = None
    relations: Relations | None = None
    trees: TreeScores | None = None
    coreference: Coreferences | None = None
    examples: Examples | None = None
    reading: Reading = Reading()  # noqa: RUF009 (immutable)
    against: str | None = None

    def __repr__(self) -> str:
        sizes = [f"{source.texts:,} {NOUNS[section][source.texts != 1]}" for section, source in self.sources.items()]
        return one_line("AtlasSummary", model_of(self.signature), *sizes)

    def _repr_html_(self) -> str:
        return self.atlas._repr_html_()

    def of_section(self, section: str) -> dict[str, Any]:
        """Returns the summaries of a section that there are, by name."""
        summaries = {name: getattr(self, name) for name in FIELDS[section]}
        return {name: summary for name, summary in summaries.items() if summary is not None}

    def _named(self) -> Iterator[tuple[str, str, Any]]:
        """Yields all summaries that there are, with their section and name."""
        for section in self.sources:
            for name, summary in self.of_section(section).items():
                yield section, name, summary

    def of_texts(self, texts: Sequence[Measured], together: Any) -> AtlasSummary:
        """Summarizes measured texts of one section, whose ``found`` holds results by name."""
        if not texts:
            return self
        section, known = texts[0].record.section, together or {}
        found = {name: [replace(text, found=text.found[name]) for text in texts] for name in texts[0].found}
        made: dict[str, Any] = {}
        if self.patterns and self.examples and "patterns" in found:
            shares = self.patterns.shares_of(found.pop("patterns"))
            made = {"patterns": self.patterns.of_shares(shares), "examples": self.examples.of_texts(texts, shares)}
        made |= {name: getattr(self, name).of_texts(of, known.get(name)) for name, of in found.items()}
        return replace(self, sources=self.sources.of_texts(section, texts), **made)

    def without(self, skipped: Sequence[Skipped]) -> AtlasSummary:
        """Returns the summary that knows of records that were skipped."""
        return replace(self, sources=self.sources.without(skipped))

    def check(self) -> None:
        """Refuses to be an atlas of nothing.

        Raises:
            InputError: no text of any section was measured.
        """
        if any(source.texts for source in self.sources.values()):
            return
        skipped = f": {self.sources.skipped:,} skipped, the first: {self.sources.reason}"
        raise InputError(
            f"no text was measured, so there is no atlas{skipped if self.sources.skipped else ''}",
            "give it texts, or name none: it then reads sentences that come with attnprobe",
        )

    def __add__(self, other: AtlasSummary) -> AtlasSummary:
        """Summarizes the texts of both.

        Raises:
            UsageError: the signatures differ.
        """
        check_alike(self, other, ["signature"])
        made = {name: summary + getattr(other, name) for _, name, summary in self._named()}
        return replace(self, sources=self.sources + other.sources, **made)

    def arrays(self) -> dict[str, np.ndarray]:
        """The numbers as ``section.summary.array``, and the sources, from which :meth:`restored` makes an equal one."""
        found = {
            f"{section}.{name}.{of}": array
            for section, name, summary in self._named()
            for of, array in summary.arrays().items()
        }
        return {**found, "sources": self.sources.array()}

    def restored(self, arrays: Mapping[str, np.ndarray]) -> AtlasSummary:
        """Makes the summary whose :meth:`arrays` these are.

        Raises:
            ValueError: no summary of these measurements has such arrays.
        """
        rest = {**arrays}
        if "sources" not in rest:
            raise ValueError("wrong names")
        sources, made = self.sources.restored(rest.pop("sources")), {}
        for section, name, summary in self._named():
            prefix = f"{section}.{name}."
            own = {of: rest.pop(of) for of in [*rest] if of.startswith(prefix)}
            made[name] = summary.restored({of.removeprefix(prefix): array for of, array in own.items()})
        if rest:
            raise ValueError("wrong names")
        return replace(self, sources=sources, **made)

    @property
    def roles(self) -> Roles:
        """The role of each head, by layer; none where they are not measured."""
        return self.patterns.roles() if self.patterns else []

    @property
    def again_at_most(self) -> int:
        """How many texts are measured once all have come, at most."""
        return self.examples.again_at_most if self.examples else 0

    @property
    def asks(self) -> dict[str, Callable[[], tuple[Stretches, list[Record]]]]:
        """Returns what measures the texts that are shown, and these, until that is done."""
        examples = self.examples
        if examples is None or examples.kept is not None:
            return {}
        return {"summary": lambda: examples.asked(self.roles, self.reading)}

    def answered(self, name: str, summary: KeptTexts) -> AtlasSummary:
        """Returns the summary with the weights of the texts that are shown."""
        return replace(self, examples=self.examples.answered(summary) if self.examples else None)

    @property
    def remarks(self) -> list[str]:
        """Says what was left out, and what a reader of the numbers should know; each sentence once."""
        of_members = (remark for _, _, summary in self._named() for remark in getattr(summary, "remarks", ()))
        return list(dict.fromkeys([*self.left_out, *of_members]))

    @cached_property
    def atlas(self) -> Atlas:
        """The atlas as data, beside the one it is compared to if there is one."""
        made = build_atlas(self)
        return made if self.against is None else made.against(read_atlas(self.against))

    def tables(self) -> dict[str, Callable[[], Table]]:
        """The functions that make the tables ``summary``, with a row for each head, and ``numbers``."""
        return {"summary": lambda: self.atlas.table(), "numbers": lambda: self.atlas.numbers()}

    def to_frame(self) -> pandas.DataFrame:
        """Returns a row for each head, with a column for each number."""
        return self.atlas.to_frame()

    def overview(self, title: str) -> Table:
        """Makes the table with a row for each head, with a title."""
        return replace(self.atlas.table(), notes={"title": title})
