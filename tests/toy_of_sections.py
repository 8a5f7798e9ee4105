"""An analysis of several sections, as another package would bring it: the own weights of each, by half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attnprobe.analyses.kinds import CorpusAnalysis, Section
from attnprobe.measure.kinds import Measured
from attnprobe.models.encoder import Encoder
from attnprobe.values.options import Reading, Selection
from attnprobe.values.table import Table
from tests.toy_of_many import Judging, OwnSummary, OwnWeights

COLUMNS = {
    "section": "texts, treebank or documents",
    "half": "even or odd",
    "n": "how many queries",
    "own": "the mean weight",
    "labelled": "how many records have labels",
}


@dataclass(frozen=True)
class OwnBySection(OwnWeights):
    """The weight of each query on itself, by section and half, over all heads."""

    sections: tuple[str, ...] = ()

    @classmethod
    def choose(cls, encoder: Encoder, reading: Reading, **options: Any) -> OwnBySection:
        sections = options.pop("sections")
        return replace(super().choose(encoder, reading, **options), sections=sections)  # type: ignore[return-value]

    def described(self) -> dict[str, Any]:
        return {**super().described(), "sections": self.sections}

    def empty(self, signature: str) -> SectionSummary:
        zeros = np.zeros((len(self.sections), 2))
        return SectionSummary(signature, self, np.stack([zeros, zeros]), np.zeros_like(zeros))


@dataclass(frozen=True)
class SectionSummary(OwnSummary):
    """Sums (what is summed, section, half), of weights and of labelled records, and the number of queries."""

    measurement: OwnBySection

    def of_texts(self, texts: Sequence[Measured], together: None) -> SectionSummary:
        assert len({text.record.section for text in texts}) < 2, "texts of several sections in one call"
        sums, counts = np.zeros_like(self.sums), np.zeros_like(self.n_queries)
        for text in texts:
            at = self.measurement.sections.index(text.record.section), text.number % 2
            sums[(slice(None), *at)] += text.found.sums.sum(), bool(text.record.labels)
            counts[at] += text.found.n_queries
        return replace(self, sums=self.sums + sums, n_queries=self.n_queries + counts)

    def to_table(self) -> Table:
        rows = [
            (section, half, int(n), float(own / n) if n else None, int(labelled))
            for section, *of_section in zip(self.measurement.sections, *self.sums, self.n_queries, strict=True)
            for half, own, labelled, n in zip(("even", "odd"), *of_section, strict=True)
        ]
        return Table(list(COLUMNS), rows, sign=lambda: self.signature)

    def by_layer(self) -> Table:
        return self.to_table()


PARTED = CorpusAnalysis(
    "tests.toy_of_sections:OwnBySection",
    COLUMNS,
    options=(Selection, Judging),
    sections={
        "treebank": Section("conllu", "Sentences with relations.", ("relations",)),
        "documents": Section("coref", "Documents.", ("mentions",), {"conllu": "conllu-documents"}),
    },
    sample=True,
    meaning="How much of each head falls on the query itself.",
)
