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
from attnprobe.atlas.sources import Sources
from attnprobe.measure.kinds import Measured
from attnprobe.values.notebook import one_line
from attnprobe.values.plugins import load
from attnprobe.values.signature import model_of
from attnprobe.values.summary import Summary, check_alike
from attnprobe.values.table import Table

if TYPE_CHECKING:
    import pandas

FIELDS: Mapping[str, Sequence[str]] = {
    "texts": ("statistics", "patterns", "norms", "similarity", "importance"),
    "treebank": ("relations", "trees"),
    "documents": ("coreference",),
}
"""The summaries of each section, by the names of their fields."""


@dataclass(frozen=True, repr=False)
class AtlasSummary:
    """All that was measured of a model's heads; ``a + b`` has the texts of both. None: not measured.

    Attributes:
        signature: what the numbers depend on.
        model: name, type, layers and heads, as the atlas says them.
        sources: where the texts of each section come from.
        left_out: what the model does not allow to measure, and why, in sentences.
        statistics, patterns, norms, similarity, importance: of the section ``texts``; norms are the statistics of
            contributions.
        relations, trees: of the section ``treebank``.
        coreference: of the section ``documents``.
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
    against: str | None = None

    def __repr__(self) -> str:
        sizes = [f"{source.texts:,} {section}" for section, source in self.sources.items()]
        return one_line("AtlasSummary", model_of(self.signature), *sizes)

    def _repr_html_(self) -> str:
        return str(self.atlas._repr_html_())

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
        made = {
            name: summary.of_texts([replace(text, found=text.found[name]) for text in texts], known.get(name))
            for name, summary in self.of_section(section).items()
        }
        return replace(self, sources=self.sources.of_texts(section, texts), **made)

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
    def remarks(self) -> list[str]:
        """Says what was left out, and what a reader of the numbers should know; each sentence once."""
        of_members = (remark for _, _, summary in self._named() for remark in getattr(summary, "remarks", ()))
        return list(dict.fromkeys([*self.left_out, *of_members]))

    @cached_property
    def atlas(self) -> Any:
        """The atlas as data, beside the one it is compared to if there is one."""
        made = load("attnprobe.atlas.building:build_atlas")(self)
        return made if self.against is None else made.against(load("attnprobe.atlas.data:read_atlas")(self.against))

    def tables(self) -> dict[str, Callable[[], Table]]:
        """The functions that make the tables ``summary``, with a row for each head, and ``numbers``."""
        return {"summary": lambda: self.atlas.table(), "numbers": lambda: self.atlas.numbers()}

    def to_frame(self) -> pandas.DataFrame:
        """Returns a row for each head, with a column for each number."""
        frame: pandas.DataFrame = self.atlas.to_frame()
        return frame

    def overview(self, title: str) -> Table:
        """Makes the table with a row for each head, with a title."""
        table: Table = replace(self.atlas.table(), notes={"title": title})
        return table
